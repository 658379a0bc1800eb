"""What is found, over which phrase, with which evidence; and what happens when time is short."""

import itertools

import numpy as np

from services.graph.passages.index.index import PassageIndex
from services.graph.passages.passage import Passage, read
from services.graph.passages.query import base, choice, constants
from services.graph.passages.query.evidence import occurrences
from services.graph.passages.query.question import understand
from services.graph.passages.query.retrieve import NO_TIME, retrieve
from services.graph.passages.query.scope import Scope
from tests.support.passages import ask, blind, embed, index_of, passage

_FILLER = [
    passage(f"f{place}", f"Meadow {place}", f"In meadow {place} cows eat grass. The grass there is {colour}.")
    for place, colour in enumerate(["green", "brown", "tall", "wet", "dry", "short"] * 6)
]


def test_the_second_hop_is_found_over_a_name() -> None:
    index = index_of(
        [
            passage("author", "The Silent Harbour", "The Silent Harbour is a novel. It was written by Mira Oduya."),
            passage("birth", "Mira Oduya", "Mira Oduya grew up in Karvel. She studied law."),
            passage("other", "Loud Rivers", "Loud Rivers is a novel. It was written by Tom Pell."),
            *_FILLER,
        ]
    )
    question = "Where did the person who wrote The Silent Harbour grow up?"
    answer = ask(index, question)
    assert {hit.id for hit in answer.hits[:2]} == {"author", "birth"}
    second = next(hit for hit in answer.hits if hit.id == "birth")
    assert second.bridge is not None
    assert (second.bridge.anchor, second.bridge.phrase) == ("author", "mira oduya")
    text = "The Silent Harbour is a novel. It was written by Mira Oduya."
    assert [text[start:end] for start, end in occurrences(text, second.bridge.phrase)] == ["Mira Oduya"]
    assert second.sentence == (0, 29)
    assert answer.phrases == ("the silent harbour",)
    assert {entity for entity, _ in answer.entities[:2]} == {"the silent harbour", "mira oduya"}
    first = next(hit for hit in answer.hits if hit.id == "author")
    assert first.names == ("the silent harbour",)
    assert first.bridge is None
    assert [hit.score for hit in answer.hits] == sorted((hit.score for hit in answer.hits), reverse=True)
    assert set(answer.milliseconds) == {"question", "base", "walk", "paths", "choice", "evidence"}
    assert set(second.scores) == {"semantic", "lexical", "named", "walked", "path"}


def test_korean_names_are_found_behind_their_particles_and_without_a_model() -> None:
    def korean(id: str, text: str) -> Passage:
        return passage(id, "", text, blind)

    index = index_of(
        [
            korean("book", "별빛항구는 소설이다. 작가는 오다연이다."),
            korean("birth", "오다연은 하늘마을에서 자랐다. 오다연의 직업은 변호사였다."),
            korean("village", "하늘마을의 인구는 적다. 하늘마을에 강이 흐른다."),
            *[korean(f"k{n}", f"초원에서 소가 풀을 먹는다. 번호 {n}번.") for n in range(30)],
        ],
        blind,
    )
    answer = ask(index, "별빛항구를 쓴 사람의 고향은?", embed=blind)
    assert {hit.id for hit in answer.hits[:2]} == {"book", "birth"}
    second = next(hit for hit in answer.hits if hit.id == "birth")
    assert second.bridge is not None
    assert (second.bridge.anchor, second.bridge.phrase) == ("book", "오다연")
    assert occurrences("작가는 오다연이다.", "오다연") == [(4, 7)]


def test_names_without_capitals_are_found_by_being_shared() -> None:
    index = index_of(
        [
            passage("a", "", "i read silent harbour last week, mira oduya wrote it"),
            passage("b", "", "mira oduya grew up in karvel"),
            *[passage(f"c{n}", "", f"so we talked about lunch number {n} for a while") for n in range(30)],
        ]
    )
    answer = ask(index, "where is the one who wrote silent harbour from")
    assert {hit.id for hit in answer.hits[:2]} == {"a", "b"}
    assert index.wanted(10) == []
    leading = {index.phrases.text(phrase) for phrase in range(len(index.phrases)) if _leads(index, phrase)}
    assert leading == {"mira oduya"}


def test_a_path_begins_at_what_the_question_calls_by_name_however_unlike_it_is() -> None:
    meadows = [
        passage(f"m{n}", f"Meadow {n}", f"In which meadow cows eat the green grass: in meadow {n}.") for n in range(30)
    ]
    glimmer = passage("glimmer", "Glimmer", "Sung by Tara Voss.")
    index = index_of([glimmer, passage("voss", "Tara Voss", "Tara Voss lives in Karvel."), *meadows])
    question = "In which meadow do cows eat the green grass where the singer of Glimmer lives?"
    scored = base.score(Scope(index), understand(Scope(index), question, embed([question])[0]), 5)
    slots = {index.id(int(slot)): place for place, slot in enumerate(scored.best)}
    assert slots["glimmer"] >= constants.POOL
    found = {hit.id: hit for hit in ask(index, question).hits}
    assert found["voss"].bridge is not None
    assert (found["voss"].bridge.anchor, found["voss"].bridge.phrase) == ("glimmer", "tara voss")


def test_months_days_and_years_lead_nowhere() -> None:
    index = index_of(
        [
            passage(
                "a",
                "Silent Harbour",
                "Mira Oduya wrote it in October 1984, on a Tuesday. October was cold, Tuesdays wet.",
            ),
            passage("b", "Karvel", "In October and November 1984 it snowed there. Every Tuesday Mira Oduya came."),
            passage("c", "October", "The tenth month has snow, and 1984 had a cold one in Oktober."),
            *_FILLER,
        ]
    )
    leading = {index.phrases.text(phrase) for phrase in range(len(index.phrases)) if _leads(index, phrase)}
    assert "mira oduya" in leading
    assert not leading & {"october", "tuesday", "1984"}
    # They are known all the same: a question may ask for what bears one as its title.
    named = {hit.id: hit.names for hit in ask(index, "What is October like?").hits}
    assert named["c"] == ("october",)


def test_japanese_names_are_found_inside_of_running_text() -> None:
    index = index_of(
        [
            passage("a", "", "静港記は小田谷美羅の小説である。"),
            passage("b", "", "小田谷美羅は空村で育った。"),
            *[passage(f"c{n}", "", f"牧場で牛が草を食べる。番号{n}。") for n in range(30)],
        ]
    )
    answer = ask(index, "静港記の作者はどこで育ったか")
    found = {hit.id: hit for hit in answer.hits}
    assert "b" in found
    assert occurrences("小田谷美羅は空村で育った。", "小田谷美羅") == [(0, 5)]


def test_only_some_passages_may_be_found() -> None:
    index = index_of(
        [
            passage("a", "Silent Harbour", "Silent Harbour was written by Mira Oduya."),
            passage("b", "Mira Oduya", "Mira Oduya grew up in Karvel."),
            *_FILLER,
        ]
    )
    question = "Where did the writer of Silent Harbour grow up?"
    answer = retrieve(Scope(index, only={"b", "f1", "f2", "gone"}), question, embed([question])[0], 5)
    assert {hit.id for hit in answer.hits} == {"b", "f1", "f2"}
    assert all(hit.bridge is None or hit.bridge.anchor != "a" for hit in answer.hits)


def test_with_no_time_left_the_base_ranking_is_the_answer() -> None:
    index = index_of([passage("a", "Silent Harbour", "Silent Harbour is a novel."), *_FILLER])
    question = "What is Silent Harbour?"
    for stages in range(1, 5):
        ticks = itertools.count()
        scope, vector = Scope(index), embed([question])[0]
        answer = retrieve(scope, question, vector, 3, deadline=stages, now=lambda: float(next(ticks)))  # noqa: B023
        assert answer.hits[0].id == "a"
        assert answer.degraded == NO_TIME
        assert len(answer.hits) == 3
        assert all(hit.bridge is None for hit in answer.hits)


def test_questions_of_any_kind_are_answered() -> None:
    index = index_of([passage("a", "", "One."), passage("b", "", "")])
    for question in ["?", "  ", "the of", "1984", "a" * 5000, "x " * 4000, "\U0001f600", "東" * 300]:
        assert len(ask(index, question).hits) == 2
    assert ask(index_of([]), "Who?").hits == []


def _leads(index: PassageIndex, phrase: int) -> bool:
    return bool(Scope(index).bridges(np.array([phrase]))[0])


def test_a_short_passage_is_found_by_the_words_before_it() -> None:
    def turn(id: str, text: str, before: str) -> Passage:
        spans = [(0, len(text))]
        return read(
            id, "", text, vector=embed([text])[0], sentences=spans, sentence_vectors=embed([text]), before=before
        )

    asked, said = "Which harbour do we leave from?", "Whitby, I would say."
    other = turn("other", "Nobody so far.", "Who takes care of the mules?")
    index = index_of([turn("asked", asked, ""), turn("said", said, asked), other])
    lexical = {hit.id: hit.scores["lexical"] for hit in ask(index, "From which harbour?").hits}
    # Its own words count twice, those before it once.
    assert lexical["asked"] > lexical["said"] > lexical["other"] == 0
    counts = dict(turn("said", said, asked).terms)
    assert (counts["whitby"], counts["harbour"]) == (2, 1)
    assert [mention.key for mention in turn("said", said, "Ask Ada Lovelace.").mentions] == ["whitby"]


def test_what_the_question_calls_by_name_comes_before_what_is_only_like_it() -> None:
    nothing, unsaid = np.zeros(5, np.float32), np.zeros((0, 5), np.float32)
    called = base.Base(
        nothing, nothing, nothing, nothing, nothing, unsaid, np.arange(5), np.arange(5) == 4, np.array([4])
    )
    parts = ["anchor", "question", "path", "question", "question"]
    chosen = [choice.Placed(slot, -1, part) for slot, part in enumerate(parts)]
    assert [one.slot for one in choice._called_first(called, chosen)] == [0, 4, 2, 1, 3]


def test_an_anchor_that_came_with_a_path_came_over_a_bridge() -> None:
    nothing, unsaid, unnamed = np.zeros(6, np.float32), np.zeros((0, 6), np.float32), np.zeros(6, np.bool_)
    none = np.empty(0, np.int64)
    plain = base.Base(nothing, nothing, nothing, nothing, nothing, unsaid, np.arange(6), unnamed, none)
    # One path brings two passages, each pair without a bridge one: as many came either way.
    pairs = choice._Pairs(
        np.array([2, 0, 0]), np.array([3, 4, 5]), np.array([3, 2, 1], np.float32), np.array([0, -1, -1])
    )
    chosen, first, mostly_plain = choice._set(plain, pairs, [0, 1])
    assert list(chosen) == [0, 1, 2, 3, 4, 5]
    assert (first, mostly_plain) == (0, False)
