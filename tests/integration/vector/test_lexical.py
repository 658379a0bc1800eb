"""Words by stems, phrases and beginnings, against what brute force in Python finds."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import ParseDict

from pergola.vector.v1 import collection_pb2, point_pb2, querying_pb2, selection_pb2
from services.vector.stores.points import lexicon
from services.vector.stores.points.terms import vocabulary
from services.vector.text import words
from tests.support.vector import Vector, status, violations

_WORDS = [
    *("lantern", "lanterns", "lanterned", "boat", "boats", "boating", "baker", "bakers", "bakery", "the", "The", "of"),
    *("고양이가", "고양이는", "집에", "東京", "東京は", "harbour"),
]
_PHRASES = [
    *("the boat", "bakers of", "lanterns lantern", "of the bakery", "boats"),
    *("고양이", "고양이가 집에", "東京", "lantern 고양이"),
]


@dataclass
class Told:
    """A collection, the texts it holds, and how its words are scored."""

    name: str
    texts: dict[str, str]
    language: str
    k1: float
    b: float

    def bm25(self, question: list[str], fits: Callable[[str], bool] = bool) -> dict[str, float]:
        """BM25 by the book, for points that fit and have one of the words."""
        made = {id: words.of_passage(text, self.language) for id, text in self.texts.items()}
        average = sum(one.length for one in made.values()) / len(made)
        scores: dict[str, float] = {}
        for term in question:
            holders = [id for id, one in made.items() if term in one.counts]
            idf = math.log(1 + (len(made) - len(holders) + 0.5) / (len(holders) + 0.5))
            for id in holders:
                if fits(self.texts[id]):
                    count, length = made[id].counts[term], made[id].length
                    norm = self.k1 * (1 - self.b + self.b * length / average)
                    scores[id] = scores.get(id, 0.0) + idf * count * (self.k1 + 1) / (count + norm)
        return scores

    def follows(self, phrase: str) -> Callable[[str], bool]:
        part = words.in_order(phrase, self.language)

        def fits(text: str) -> bool:
            whole = words.in_order(text, self.language)
            return any(whole[start : start + len(part)] == part for start in range(len(whole)))

        return fits


def begins(prefix: str) -> Callable[[str], bool]:
    return lambda text: any(token.startswith(prefix) for token in words.tokens(text))


async def told(vector: Vector, seed: int = 1, **lexical: Any) -> Told:
    dice = random.Random(seed)
    texts = {f"p{n}": " ".join(dice.choices(_WORDS, k=dice.randint(1, 14))) for n in range(120)}
    name = await vector.create(dimension=2, lexical=collection_pb2.Lexical(**lexical))
    await upsert(vector, name, texts)
    return Told(name, texts, lexical.get("language", ""), lexical.get("k1", 1.2), lexical.get("b", 0.75))


async def upsert(vector: Vector, name: str, texts: dict[str, str]) -> None:
    points = [{"id": id, "text": text, "vector": {"values": [1, 0.5]}} for id, text in texts.items()]
    await vector.points.UpsertPoints(ParseDict({"collection": name, "points": points}, point_pb2.UpsertPointsRequest()))


def scores(found: list[point_pb2.ScoredPoint]) -> dict[str, float]:
    return {one.point.id: one.score for one in found}


@pytest.mark.parametrize(
    "lexical",
    [{}, {"language": "english"}, {"language": "english", "k1": 0.0}, {"k1": 2.5, "b": 0.0}, {"k1": 0.4, "b": 1.0}],
)
async def test_words_are_scored_as_the_collection_says(vector: Vector, lexical: dict[str, Any]) -> None:
    one = await told(vector, **lexical)
    kept = (await vector.get(one.name)).lexical
    assert (kept.language, kept.k1, kept.b) == (one.language, one.k1, one.b)
    for question in ("lantern", "bakers of lanterns", "the boating harbour", "고양이", "東京 boat"):
        found = await vector.query(one.name, text=question, mode="lexical", k=1000)
        assert scores(found) == pytest.approx(one.bm25(words.of_query(question, one.language)))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("lexical", [{}, {"k1": 0.0}, {"k1": 10.0, "b": 1.0}, {"k1": 0.4, "b": 0.0}])
async def test_the_best_are_those_of_scoring_every_candidate(
    vector: Vector, monkeypatch: pytest.MonkeyPatch, lexical: dict[str, Any], *, shared: bool
) -> None:
    """Points are left out by bounds of their scores, also where words share their places in these (`shared`)."""
    if shared:
        real = lexicon.key
        monkeypatch.setattr(lexicon, "key", lambda word: b"x" + bytes([real(word)[0] % 5]) + real(word)[:4])
    dice = random.Random(11)
    vocabulary = [f"w{n}" for n in range(60)]
    texts = {
        f"p{n:03}": " ".join(word for word in dice.sample(vocabulary, dice.randint(1, 12))
                             for _ in range(int(dice.paretovariate(1.2)) % 200))
        for n in range(600)
    }  # fmt: skip
    texts = {id: text or "w0" for id, text in texts.items()}
    name = await vector.create(dimension=2, lexical=collection_pb2.Lexical(**lexical))
    await upsert(vector, name, texts)
    one = Told(name, texts, "", lexical.get("k1", 1.2), lexical.get("b", 0.75))
    for number in range(12):
        question = dice.sample(vocabulary, 1 + number % 12)
        every = one.bm25(question)
        expected = sorted(every.values(), reverse=True)
        for k in (1, 10, 40, 200):
            found = await vector.query(name, text=" ".join(question), mode="lexical", k=k)
            assert [each.score for each in found] == pytest.approx(expected[:k])
            assert scores(found) == pytest.approx({id: every[id] for id in scores(found)})


async def test_a_point_of_more_words_than_an_outline_takes_is_found(vector: Vector) -> None:
    dice = random.Random(5)
    # Each pair of them is a word, and each one.
    long = "".join(chr(0x4E00 + dice.randrange(20_000)) for _ in range(12_000))
    texts = {"long": long, "short": f"{long[50:52]} {long[700:702]}", "other": "harbour"}
    name = await vector.create(dimension=2)
    await upsert(vector, name, texts)
    one = Told(name, texts, "", 1.2, 0.75)
    for question in (long[3:5], long[50:52], f"{long[700:702]} harbour {long[-2:]}"):
        every = one.bm25(words.of_query(question))
        best = dict(sorted(every.items(), key=lambda pair: -pair[1])[:2])
        assert scores(await vector.query(name, text=question, mode="lexical", k=2)) == pytest.approx(best)
    await vector.points.DeletePoints(selection_pb2.DeletePointsRequest(collection=name, ids=["long"]))
    assert list(scores(await vector.query(name, text=f"{long[3:5]} {long[50:52]}", mode="lexical"))) == ["short"]


async def test_stems_find_the_other_forms_and_follow_changes(vector: Vector) -> None:
    one = await told(vector, language="english")
    plain = await told(vector)
    assert len(await vector.query(one.name, text="lantern", mode="lexical", k=1000)) > len(
        await vector.query(plain.name, text="lantern", mode="lexical", k=1000)
    )
    changed = {"p3": "boats boats", "p4": "nothing here", "p5": ""}
    await upsert(vector, one.name, {id: text for id, text in changed.items() if text})
    await vector.points.DeletePoints(selection_pb2.DeletePointsRequest(collection=one.name, ids=["p5"]))
    one.texts |= {id: text for id, text in changed.items() if text}
    del one.texts["p5"]
    found = await vector.query(one.name, text="a boating trip", mode="lexical", k=1000)
    assert scores(found) == pytest.approx(one.bm25(words.of_query("a boating trip", "english")))


@pytest.mark.parametrize("language", ["", "english"])
@pytest.mark.parametrize("phrase", _PHRASES)
async def test_a_phrase_has_to_be_there(vector: Vector, language: str, phrase: str) -> None:
    one = await told(vector, seed=2, language=language)
    fits = one.follows(phrase)
    expected = {id for id, text in one.texts.items() if fits(text)}
    assert await filtered(vector, one.name, {"phrase": phrase}) == expected
    assert (
        await filtered(vector, one.name, {"filter": {"must_not": [{"phrase": phrase}]}}) == one.texts.keys() - expected
    )
    # The words of the phrase are scored with those of the question.
    lexical = querying_pb2.LexicalOptions(phrases=[phrase])
    found = await vector.query(one.name, text="harbour", mode="lexical", lexical=lexical, k=1000)
    terms = words.of_query(f"harbour\n{phrase}", language)
    assert scores(found) == pytest.approx(one.bm25(terms, fits))
    alone = await vector.query(one.name, lexical=lexical, k=1000)
    assert scores(alone) == pytest.approx(one.bm25(words.of_query(phrase, language), fits))


@pytest.mark.parametrize("language", ["", "english"])
@pytest.mark.parametrize("prefix", ["lan", "LANTERN", "bak", "boati", "b", "t", "zebra"])
async def test_a_prefix_is_the_beginning_of_a_word_as_it_is_written(vector: Vector, language: str, prefix: str) -> None:
    one = await told(vector, seed=3, language=language)
    folded = prefix.casefold()
    expected = {id for id, text in one.texts.items() if begins(folded)(text)}
    assert await filtered(vector, one.name, {"words_prefix": prefix}) == expected
    lexical = querying_pb2.LexicalOptions(prefixes=[prefix])
    found = await vector.query(one.name, text="of", lexical=lexical, mode="lexical", k=1000)
    beginning = {word for text in one.texts.values() for word in words.tokens(text) if word.startswith(folded)}
    terms = [*words.of_query("of", language), *beginning - {"of"}]
    assert scores(found) == pytest.approx(one.bm25(terms, begins(folded)))
    both = await vector.query(one.name, vector={"values": [1, 0]}, lexical=lexical, k=1000)
    assert {each.point.id for each in both} == expected


@pytest.mark.parametrize("prefix", ["고양", "고", "양이", "京"])
async def test_in_scripts_cut_into_pairs_a_prefix_stands_anywhere(vector: Vector, prefix: str) -> None:
    one = await told(vector, seed=4, language="english")
    expected = {id for id, text in one.texts.items() if prefix in text}
    assert expected
    assert await filtered(vector, one.name, {"words_prefix": prefix}) == expected


async def test_a_korean_noun_is_found_whatever_particle_follows(vector: Vector) -> None:
    name = await vector.create(dimension=2, lexical=collection_pb2.Lexical(language="english"))
    particles = ["가", "는", "를", "에게", "와", "의", "도", "만", "처럼", ""]
    await upsert(vector, name, {f"p{n}": f"우리 고양이{one} 집에 있다" for n, one in enumerate(particles)})
    await upsert(vector, name, {"other": "강아지가 집에 있다"})
    every = {f"p{n}" for n in range(len(particles))}
    assert {one.point.id for one in await vector.query(name, text="고양이", mode="lexical")} == every
    assert await filtered(vector, name, {"words": "고양이"}) == every
    assert await filtered(vector, name, {"phrase": "우리 고양이"}) == every
    assert await filtered(vector, name, {"phrase": "고양이를 집에"}) == {"p2"}


async def test_points_with_unscored_beginnings_come_behind(vector: Vector) -> None:
    name = await vector.create(dimension=2)
    await upsert(vector, name, {f"p{n:03}": f"x{n:03} word" for n in range(200)})
    lexical = querying_pb2.LexicalOptions(prefixes=["x"])
    found = await vector.query(name, lexical=lexical, k=1000)
    assert len(found) == 200
    assert sum(one.score > 0 for one in found) == words.MAX_QUERY_WORDS
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


async def test_too_short_a_prefix_is_refused_by_name(vector: Vector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "BEGINNINGS", 3)
    one = await told(vector)
    assert await filtered(vector, one.name, {"words_prefix": "lantern"})
    for fields, field in (
        ({"filter": {"must": [{"words_prefix": "b"}]}, "vector": {"values": [1, 0]}}, "filter.must[0].words_prefix"),
        ({"text": "of", "lexical": {"prefixes": ["lantern", "b"]}, "mode": "lexical"}, "lexical.prefixes[1]"),
    ):
        request = ParseDict({"collection": one.name} | fields, point_pb2.QueryPointsRequest())
        with pytest.raises(grpc.RpcError) as caught:
            await vector.points.QueryPoints(request)
        assert status(caught.value) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")
        assert violations(caught.value) == [field]


async def test_words_that_share_their_32_bits_are_told_apart(vector: Vector, monkeypatch: pytest.MonkeyPatch) -> None:
    """`lantern` and `harbour` are made to collide in what the index sees."""
    real = lexicon.key
    monkeypatch.setattr(
        lexicon, "key", lambda word: (b"same" if word in ("lantern", "harbour") else real(word)[:4]) + real(word)[4:]
    )
    one = await told(vector, seed=5)
    expected = {id for id, text in one.texts.items() if begins("lantern")(text)}
    assert await filtered(vector, one.name, {"words_prefix": "lantern"}) == expected
    assert any("harbour" in text for id, text in one.texts.items() if id not in expected)


async def test_a_language_without_stems_is_refused_with_a_list(vector: Vector) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await vector.create(lexical=collection_pb2.Lexical(language="klingon"))
    assert status(caught.value) == ("INVALID_ARGUMENT", "UNKNOWN_LANGUAGE")
    assert violations(caught.value) == ["collection.lexical.language"]
    assert "english, esperanto" in (caught.value.details() or "")


@pytest.mark.parametrize("fields", [{"k1": -0.1}, {"k1": 11}, {"b": 1.1}, {"b": math.nan}])
async def test_wrong_weights_are_refused(vector: Vector, fields: dict[str, Any]) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await vector.create(lexical=collection_pb2.Lexical(**fields))
    assert violations(caught.value) == [f"collection.lexical.{next(iter(fields))}"]


async def test_weights_change_at_once_and_the_language_does_not(vector: Vector) -> None:
    one = await told(vector, language="english", k1=2.0)

    async def update(*paths: str, **lexical: Any) -> collection_pb2.Lexical:
        reply = await vector.collections.UpdateCollection(
            collection_pb2.UpdateCollectionRequest(
                collection=collection_pb2.Collection(name=one.name, lexical=collection_pb2.Lexical(**lexical)),
                update_mask=FieldMask(paths=paths),
            )
        )
        found: collection_pb2.Lexical = reply.collection.lexical
        return found

    changed = await update("lexical.b", b=0.1, k1=7)
    assert (changed.language, changed.k1, changed.b) == ("english", 2.0, 0.1)
    one.b = 0.1
    found = await vector.query(one.name, text="lantern", mode="lexical", k=1000)
    assert scores(found) == pytest.approx(one.bm25(["~lantern"]))
    assert (await update("lexical", k1=0.5)).b == 0.1
    assert (await update("lexical.k1", "lexical.language", language="english")).k1 == 1.2
    for paths, lexical in ((["lexical.language"], {}), (["lexical"], {"language": "german", "k1": 3.0})):
        with pytest.raises(grpc.RpcError) as caught:
            await update(*paths, **lexical)
        assert status(caught.value) == ("FAILED_PRECONDITION", "LANGUAGE_FIXED")
    assert (await vector.get(one.name)).lexical.k1 == 1.2
    with pytest.raises(grpc.RpcError) as caught:
        await update("dimension")
    assert status(caught.value) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")


async def filtered(vector: Vector, name: str, condition: dict[str, Any]) -> set[str]:
    """The points that fit."""
    request = ParseDict(
        {"collection": name, "vector": {"values": [1, 0]}, "k": 1000, "filter": {"must": [condition]}},
        point_pb2.QueryPointsRequest(),
    )
    return {one.point.id for one in (await vector.points.QueryPoints(request)).points}
