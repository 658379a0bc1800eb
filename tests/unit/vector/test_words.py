from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.vector.stores.points import lexicon
from services.vector.text import scripts, words
from services.vector.text.stemming import LANGUAGES, stemmer


@pytest.mark.parametrize(
    ("passage", "question"),
    [
        ("KRÅKØ is an island", "kråkø"),
        ("ﬁnd the Ｆｕｌｌ width", "FIND full"),
        ("Straße", "STRASSE"),
        ("don’t", "don't"),
        ("고양이가 집에 있다", "고양이"),
        ("고양이가 집에 있다", "집"),
        ("東京は日本の首都です", "首都"),
        ("東京は日本の首都です", "京"),
        ("カタカナ", "ｶﾀｶﾅ"),
        ("ประเทศไทย", "ไทย"),
        ("नमस्ते दुनिया", "दुनिया"),
        ("version 3.11 of x86_64", "x86_64"),
    ],
)
def test_what_is_asked_is_found(passage: str, question: str) -> None:
    asked = words.of_query(question)
    assert asked
    assert set(asked) <= set(words.of_passage(passage).counts)


def test_counts_and_length() -> None:
    made = words.of_passage("a cat, a dog; 고양이 물")
    assert made.counts == {"a": 2, "cat": 1, "dog": 1, "고양": 1, "양이": 1, "고": 1, "양": 1, "이": 1, "물": 1}
    assert made.length == 4 + 2 + 1


def test_a_question_is_bounded() -> None:
    assert len(words.of_query(" ".join(f"w{n}" for n in range(1000)))) == 64
    assert words.of_query("b a b") == ["b", "a"]
    assert words.of_query("!?") == []
    (long,) = words.of_query("x" * 1000)
    assert len(long) == 64
    assert long in words.of_passage("x" * 1000).counts


def test_a_stem_is_no_other_word() -> None:
    made = words.of_passage("Lanterns, a lantern; 고양이가 2026", "english")
    assert made.counts["~lantern"] == 2
    assert (made.counts["lanterns"], made.counts["lantern"]) == (1, 1)
    assert "~고양이가" not in made.counts
    assert made.length == 4 + len("고양이가") - 1
    assert made.order == ("~lantern", "~a", "~lantern", "고", "양", "이", "가", "~2026")
    assert words.of_query("LANTERNS 고양이", "english") == ["~lantern", "고양", "양이"]
    assert words.in_order("the lanterns", "english") == ["~the", "~lantern"]
    assert words.in_order("the lanterns") == ["the", "lanterns"]


@pytest.mark.parametrize(
    ("language", "forms"),
    [
        ("english", ("running", "runs", "RUN")),
        ("german", ("Häuser", "Hauses", "haus")),
        ("russian", ("книга", "книги", "книгу")),
        ("french", ("chevaux", "CHEVAL")),
        ("arabic", ("الكتاب", "كتاب")),
    ],
)
def test_forms_of_a_word_have_one_stem(language: str, forms: tuple[str, ...]) -> None:
    assert len({words.of_query(form, language)[0] for form in forms}) == 1


def test_every_language_stems_anything() -> None:
    assert {"english", "german", "porter", "turkish"} <= set(LANGUAGES)
    for language in LANGUAGES:
        made = words.of_passage("Lantern's 2026 ﬁne Straße книги العربية हिन्दी x", language)
        assert sum(word.startswith("~") for word in made.counts) == len(set(made.order))


def test_threads_may_stem_at_once() -> None:
    text = " ".join(f"generalizations{n}s nationally{n}ing" for n in range(400))
    stemmer.cache_clear()
    alone = words.of_passage(text, "english")
    stemmer.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        assert all(made == alone for made in pool.map(lambda _: words.of_passage(text, "english"), range(8)))


def test_a_phrase_stands_in_a_sequence() -> None:
    whole = lexicon.sequence(words.in_order("The red lantern hangs over 고양이가"))
    for phrase in ("red lantern", "the red", "over 고양", "양이가"):
        assert lexicon.sequence(words.in_order(phrase)) in whole
    for other in ("lantern red", "red hangs", "고양가", "red lanterns"):
        assert lexicon.sequence(words.in_order(other)) not in whole


def test_scripts_prevail_by_frequency() -> None:
    assert scripts.prevailing([("고양", 5), ("양이", 5), ("lantern", 3), ("2026", 100)]) == ["Korean"]
    assert scripts.prevailing([("고양", 2), ("lantern", 3)]) == []
    assert scripts.prevailing([("книга", 9)]) == ["Cyrillic"]
    assert scripts.prevailing([("2026", 9)]) == []
    assert scripts.prevailing([]) == []


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=200))
def test_the_short_way_to_the_words_of_an_ascii_text_leads_to_the_same(text: str) -> None:
    long_way = [match[0][:64] for match in words._TOKEN.finditer(text.casefold())]
    assert words.tokens(text) == long_way
    # What is not ASCII alone takes the long way.
    assert words.tokens(f"é {text}")[1:] == long_way


def test_what_stands_before_is_found_too_and_ones_own_words_count_twice() -> None:
    own = words.of_passage("the red lantern, the lamp")
    both = words.beside(own, "a red boat")
    assert both.counts == {"the": 4, "red": 3, "lantern": 2, "lamp": 2, "a": 1, "boat": 1}
    assert both.length == 2 * 5 + 3
    assert both.order == own.order
