import pytest

from services.vector.stores.points import lexicon
from services.vector.text import words


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


def test_packed_words_come_back() -> None:
    terms, weights = lexicon.pack({"one": 1, "two": 300})
    assert lexicon.keys(weights) == [lexicon.key("one"), lexicon.key("two")]
    assert terms == [lexicon.number(lexicon.key("one")), lexicon.number(lexicon.key("two"))]
    assert weights[lexicon.HASH_BYTES] == 1
    assert weights[-1] == 255
    assert all(-(2**31) <= term < 2**31 for term in terms)
