"""What follows from what was said: pairs of a sentence, names of merged entities, fields said several times."""

import pytest

from services.graph.extraction.names import Name
from services.graph.extraction.sentences import MAX_TOGETHER, Sentence, sentences_of
from services.graph.knowledge import fields as of_fields
from services.graph.knowledge import said as of_said
from services.graph.knowledge.fields import Fields, joined, preferring, stated
from services.graph.knowledge.said import Said, Told
from services.graph.model import Value


def passage(*names: str, told: tuple[Told, ...] = (), sentences: tuple[Sentence, ...] = ()) -> Said:
    return Said("p", "d", "", 0, "", tuple(Name(name.lower(), name, 0.0) for name in names), sentences, told)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Then Ada Lovelace met Dr. Babbage in London. Nobody came.", [[["ada lovelace"], ["dr babbage"], ["london"]]]),
        ("It was Ada. It was London.", []),
        (
            "They played “The Analytical Engine” in Paris.",
            [[["the analytical engine", "analytical engine"], ["paris"]]],
        ),
        ("He met J. R. R. Tolkien in Oxford", [[["j r r tolkien"], ["oxford"]]]),
        ("昨日「東京」と「大阪」に行った。", [[["東京"], ["大阪"]]]),
        ("어제 “서울”에서 “부산”으로 갔다.", [[["서울"], ["부산"]]]),
        ("He said “No” to “Me” twice.", []),
    ],
)
def test_names_of_one_sentence(text: str, names: list[list[list[str]]]) -> None:
    assert [[list(one) for one in sentence.names] for sentence in sentences_of(text)] == names


def test_a_long_list_relates_its_first_names_only() -> None:
    (sentence,) = sentences_of("They saw " + ", ".join(f"Mount A{chr(97 + n)}" for n in range(20)) + ".")
    assert len(sentence.names) == MAX_TOGETHER
    assert len(of_said.pairs_of(sentence, str)) == MAX_TOGETHER * (MAX_TOGETHER - 1) // 2


def test_names_on_the_same_words_are_no_pair_and_merged_ones_neither() -> None:
    sentence = Sentence("…", [["the engine", "engine"], ["nyc"], ["new york"]])
    assert of_said.pairs_of(sentence, lambda key: "new york" if key == "nyc" else key) == {
        ("engine", "new york"),
        ("new york", "the engine"),
    }


def test_a_merged_name_does_not_name_while_the_own_one_does() -> None:
    def root(key: str) -> str:
        return "new york" if key == "big apple" else key

    both = of_said.edges(passage("Big Apple", "NEW YORK"), root)
    assert both["new york"].form[1:] == "NEW YORK"
    assert both["new york"].said == ["big apple", "new york"]
    assert of_said.edges(passage("Big Apple"), root)["new york"].form[1:] == "Big Apple"


def test_what_is_told_counts_once_with_what_was_found() -> None:
    edges = of_said.edges(passage("Ada", told=(Told("ada", "Ada", "she"), Told("fog", "Fog", ""))), str)
    assert {key: edge.name for key, edge in edges.items()} == {"ada": "Ada", "fog": "Fog"}


def test_what_is_kept_is_read_as_it_was() -> None:
    one = passage("Łódź", sentences=(Sentence("In Łódź.", (("lodz",), ("a", "b"))),))
    names, sentences = of_said.dumps(one)
    assert (of_said.names_from(names), of_said.sentences_from(sentences)) == (one.names, one.sentences)


def say(seq: int, before: Fields | None = None, known: Fields | None = None, **properties: Value | None) -> Fields:
    return stated(before or Fields(), known or before or Fields(), seq, properties=properties)


def test_the_last_word_counts_and_comes_off_again() -> None:
    first, second = say(1, a=1, b=1), say(2, a=2)
    assert joined([second, first]).present() == {"a": 2, "b": 1}
    assert joined([first]).present() == {"a": 1, "b": 1}
    removed = say(3, known=joined([first, second]), a=None)
    assert joined([first, second, removed]).present() == {"b": 1}


def test_saying_it_again_is_said_when_it_was_said_first() -> None:
    first = say(1, a=1)
    assert say(5, first, a=1) == first
    assert say(5, first, a=1.0).properties["a"].seq == 5
    other = say(3, a=2)
    assert say(5, first, joined([first, other]), a=1).properties["a"].seq == 5


def test_of_merged_entities_the_first_one_has_its_say() -> None:
    own, others = say(1, a=1), say(9, a=9, b=9)
    assert preferring([own, others]).present() == {"a": 1, "b": 9}


def test_fields_are_read_as_they_were_kept() -> None:
    said = stated(
        Fields(), Fields(), 7, name="N", type="t", weight=2.5, aliases=["x"], properties={"a": [1, 2], "b": True}
    )
    assert of_fields.loads(of_fields.dumps(said)) == said
    assert of_fields.dumps(Fields()) == ""
