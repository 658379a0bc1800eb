"""Names in a passage, by the way they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.graph.extraction.names import MAX_NAME_CHARACTERS, names_of
from services.graph.extraction.text import fold, normal_form, tokens, words


def found(text: str, title: str = "", *headings: str) -> dict[str, str]:
    """Key → as it is written."""
    return {name.key: name.text for name in names_of(text, title, headings)}


@pytest.mark.parametrize(
    ("phrase", "key"),
    [
        ("Ada  LOVELACE", "ada lovelace"),
        ("Łódź", "lodz"),
        ("Søren Kierkegård", "soren kierkegard"),
        ("Straße", "strasse"),
        ("Ævar & Œuvre", "aevar oeuvre"),
        ("Lovelace’s", "lovelace"),
        ("O’Brien", "o'brien"),
        ("e\u0301cole", "ecole"),
        ("서울특별시", "서울특별시"),
        ("हिन्दी", "हिन्दी"),
        ("東京タワー", "東京タワー"),
        ("“…”", ""),
    ],
)
def test_one_form_for_every_way_to_write_a_name(phrase: str, key: str) -> None:
    assert normal_form(phrase) == key


@given(st.text(max_size=60))
def test_the_normal_form_of_a_normal_form_is_itself(text: str) -> None:
    key = normal_form(text)
    assert normal_form(key) == key


@given(st.text(max_size=200))
def test_any_text_has_names_that_stand_for_themselves(text: str) -> None:
    names = names_of(text, text[:50], [text[50:80]])
    assert [name.key for name in names] == sorted({name.key for name in names})
    for name in names:
        assert normal_form(name.text) == name.key
        assert 2 <= len(name.key) <= MAX_NAME_CHARACTERS


def test_runs_of_capitalised_words_are_names() -> None:
    text = (
        "In 1833 Ada Lovelace met Charles Babbage at the Ministry of the Interior. J. R. R. Tolkien and Dr. Smith-Jones"
        " wrote to Ludwig van Beethoven about Apollo 11."
    )
    assert set(found(text)) == {
        "ada lovelace",
        "charles babbage",
        "ministry of the interior",
        "j r r tolkien",
        "dr smith jones",
        "ludwig van beethoven",
        "apollo 11",
    }


def test_names_end_where_a_sentence_a_comma_or_a_possessive_does() -> None:
    text = "She left London. Paris, Rome and Vienna's Opera followed; Berlin (Germany) too."
    assert set(found(text)) == {"london", "paris", "rome", "vienna", "opera", "berlin", "germany"}


def test_words_that_begin_sentences_are_no_names() -> None:
    assert found("The gardens are old. However, this is new. Music is new, and music is loud. He left.") == {}
    assert set(found("The Beatles played. Music played.")) == {"beatles", "music"}


def test_places_keep_their_articles() -> None:
    assert set(found("They flew from La Paz to Los Angeles.")) == {"la paz", "los angeles"}


def test_a_name_goes_on_in_a_wrapped_line_and_ends_with_a_heading() -> None:
    wrapped = "This is a line of prose that is long enough to be wrapped by Ada\nLovelace herself."
    assert "ada lovelace" in found(wrapped)
    assert set(found("Introduction\nPergola has one.")) == {"introduction", "pergola"}
    assert set(found("It was Ada\n\nLovelace was not there.")) == {"ada", "lovelace"}


def test_titles_name_the_passage_in_all_their_forms() -> None:
    weights = {name.key: name.weight for name in names_of("", "Paris (song), live", ["Verse", "Second verse"])}
    assert weights == {"paris song live": 1.0, "paris live": 0.9, "paris": 0.6, "second verse": 0.6}


def test_the_form_that_names_the_passage_wins() -> None:
    (name,) = names_of("ADA LOVELACE wrote it.", "Ada Lovelace")
    assert (name.text, name.weight) == ("Ada Lovelace", 1.0)


@pytest.mark.parametrize(
    "text",
    ["“the dead parrot”", '"the dead parrot"', "«the dead parrot»", "„the dead parrot“", "« the dead parrot »"],
)
def test_quoted_spans_are_names(text: str) -> None:
    assert found(f"they call it {text} today") == {"the dead parrot": "the dead parrot"}


def test_scripts_without_capitals_have_titles_and_quotes() -> None:
    text = "彼は「東京タワー」に登った。그는 《서울의 봄》을 보았다."
    assert set(found(text, "高い塔", "第一章")) == {"高い塔", "第一章", "東京タワー", "서울의 봄"}


def test_the_first_word_of_a_sentence_may_not_be_part_of_the_name() -> None:
    assert set(found("Gestern Anna Maria Meier gesehen.")) == {"gestern anna maria meier", "anna maria meier"}
    assert set(found("Ada Lovelace wrote.")) == {"ada lovelace"}


def test_cyrillic_and_greek_have_capitals() -> None:
    assert set(found("Вчера Анна Ахматова приехала в Москву. Η Αθήνα και ο Πειραιάς.")) >= {
        "анна ахматова",
        "москву",
        fold("Η Αθήνα"),
    }


def test_tokens_know_where_they_stand() -> None:
    text = "Ada’s 2nd e\u0301cole"
    assert [text[token.start : token.end] for token in tokens(text)] == ["Ada", "2nd", "e\u0301cole"]
    assert words("Ada’s École") == ["ada", "s", "ecole"]


def test_long_runs_end() -> None:
    names = found(" ".join(["Shout"] * 100))
    assert all(len(key.split()) <= 12 for key in names)
    assert names_of("x", "T" * 300) == []


def test_a_sentence_in_the_place_of_a_title_names_nothing() -> None:
    text = "Charles Babbage studied at Peterhouse, and never finished the Analytical Engine."
    assert set(found(text, text)) == {"charles babbage", "peterhouse", "analytical engine"}
    assert "dr strangelove jr" in found("A film.", "Dr. Strangelove Jr.")
