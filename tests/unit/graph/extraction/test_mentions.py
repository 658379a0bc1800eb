"""What a passage mentions, in scripts with case and without."""

import pytest

from services.graph.extraction.casing import casing_of
from services.graph.extraction.grams import grams_of
from services.graph.extraction.hangul import bare
from services.graph.extraction.mentions import mentions_of
from services.graph.extraction.terms import stem, terms


def _mentions(text: str, title: str = "") -> dict[str, tuple[float, bool]]:
    return {mention.key: (mention.weight, mention.nested) for mention in mentions_of(text, title)}


def test_a_title_names_its_passage_in_three_ways() -> None:
    found = _mentions("", "Paris, Texas (film)")
    assert found["paris texas film"] == (1.0, False)
    assert found["paris texas"] == (0.9, False)
    assert found["paris"] == (0.6, False)
    assert found["texas"] == (0.0, True)


def test_runs_of_capitals_and_their_parts() -> None:
    found = _mentions("The Ministry of the Interior hired G. Stanley Hall for the 2017 World Series.")
    assert found["ministry of the interior"] == (0.0, False)
    assert found["interior"] == (0.0, True)
    assert found["g stanley hall"] == (0.0, False)
    assert found["stanley hall"] == (0.0, True)
    assert found["2017 world series"] == (0.0, False)
    assert found["world series"] == (0.0, True)
    assert "the ministry of the interior" not in found
    assert "of the" not in found


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('She sang "blue in green" there.', "blue in green"),
        ("She sang ``blue in green'' there.", "blue in green"),
        ("on 12 March 1990 it", "12 march 1990"),
        ("on March 12, 1990 it", "march 12 1990"),
        ("in 1960 it", "1960"),
        ("in the 1960s it", "1960s"),
        ("Søren Łukasz", "soren lukasz"),
    ],
)
def test_quoted_spans_dates_and_folded_letters(text: str, key: str) -> None:
    assert _mentions(text)[key] == (0.0, False)


def test_text_with_capitals_has_no_candidates_by_sharing() -> None:
    assert grams_of("They met Ada Lovelace in the old town and then Alan Turing near the river.") == []


def test_candidates_of_text_without_capitals() -> None:
    found = grams_of("we went to new york, it was cold")
    assert "new york" in found
    assert "york it" not in found
    assert "to new" not in found
    assert grams_of("We went to new york.") != []


def test_korean_candidates_stand_with_and_without_particle() -> None:
    found = grams_of("Hello, 세종대왕은 경복궁에서 살았다.")
    assert {"세종대왕", "세종대왕은", "경복궁", "세종대왕은 경복궁"} <= set(found)


def test_candidates_of_scripts_without_blanks() -> None:
    found = grams_of("東京大学のキャンパスは本郷にある")
    assert {"東京大学", "東京", "大学", "キャンパス", "本郷"} <= set(found)
    assert "大学の" not in found


@pytest.mark.parametrize(
    ("word", "left"),
    [
        ("서울은", "서울"),
        ("나라는", "나라"),
        ("LG가", "LG"),
        ("부산으로부터", "부산"),
        ("나는", "나는"),
        ("hello", "hello"),
    ],
)
def test_particles(word: str, left: str) -> None:
    assert bare(word) == left


def test_terms_of_any_script() -> None:
    assert terms("The cities' running stories") == ["city", "run", "story"]
    assert terms("서울에서") == ["서울"]
    assert terms("東京大学") == ["東京", "京大", "大学"]
    assert stem("bus") == "bus"


def test_casing_counts_only_what_stands_inside_sentences() -> None:
    found = casing_of("Music is art. The music of Vienna. Vienna wins")
    assert found["music"] == (0, 1)
    assert found["vienna"] == (1, 0)
