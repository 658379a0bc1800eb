import pytest

from services.runtime import sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four… Five", ["One.", "Two!", "Three?", "Four…", "Five"]),
        ("He said “Stop.” She did (at last.) Good.", ["He said “Stop.”", "She did (at last.)", "Good."]),
        ("Mr. Smith met Dr. J. R. Jones. They spoke.", ["Mr. Smith met Dr. J. R. Jones.", "They spoke."]),
        ("It costs 3.50 euros, i.e. nothing. Yes.", ["It costs 3.50 euros, i.e. nothing.", "Yes."]),
        ("See example.com. then go on", ["See example.com. then go on"]),
        ("Really?! No way...", ["Really?!", "No way..."]),
        ("吾輩は猫である。名前はまだ無い。", ["吾輩は猫である。", "名前はまだ無い。"]),
        ("「はい。」と言った。", ["「はい。」", "と言った。"]),
        ("서울은 수도이다. 한강이 흐른다.", ["서울은 수도이다.", "한강이 흐른다."]),
        ("यह है। वह है।", ["यह है।", "वह है।"]),
        ("A line\nand its rest\n\nNext paragraph", ["A line\nand its rest", "Next paragraph"]),
        ("Items:\n- one\n- two\n1. three", ["Items:", "- one", "- two", "1. three"]),
        ("   ", []),
        ("", []),
        ("...", ["..."]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentences.split(text)] == expected


def test_a_part_of_a_text_is_cut_in_its_own_bounds() -> None:
    text = "Zero. One. Two. Three."
    spans = sentences.split(text, 6, 15)
    assert [text[start:end] for start, end in spans] == ["One.", "Two."]


def test_a_long_text_without_sentences_takes_no_longer_than_a_moment() -> None:
    assert len(sentences.split("a." * 200_000)) == 1
    assert len(sentences.split("." * 400_000)) == 1
    assert len(sentences.split("a . " * 100_000)) >= 1
