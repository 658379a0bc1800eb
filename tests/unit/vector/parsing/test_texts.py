"""Text, Markdown, HTML, CSV, JSON."""

import pytest

from services.vector.parsing.model import Limits, Reason
from tests.support.parsing import codes, paths, read, refused, shown

KOREAN = "회의록입니다. 정원에 퍼걸러를 세우기로 하였습니다. 나무는 참나무로 합니다."
JAPANESE = "これは日本語の文書です。庭にパーゴラを建てます。"
GERMAN = "Die Prüfung ergab größere Mängel an den Säulen. Über die Höhe wird später entschieden."


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_is_certain(encoding: str) -> None:
    text = "Überdachung, garden and oak, 정원 — 🌿"
    parsed = read(text.encode(encoding), "a.txt")
    assert parsed.text == text
    assert codes(parsed) == []


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (KOREAN, "cp949"),
        (JAPANESE, "cp932"),
        (JAPANESE * 10, "euc_jp"),
        ("这是一个关于花园的中文文档。", "gb18030"),
        (GERMAN, "cp1252"),
        ("Это документ о саде и о колоннах, написанный на русском языке.", "cp1251"),
    ],
)
def test_other_encodings_are_guessed_and_told(text: str, encoding: str) -> None:
    parsed = read(text.encode(encoding), "a.txt")
    assert parsed.text == text
    assert codes(parsed) == ["ENCODING_GUESSED"]


def test_a_declared_encoding_counts_before_a_guess() -> None:
    parsed = read("naïve".encode("mac_roman"), "a.txt", "text/plain; charset=macintosh")
    assert (parsed.text, codes(parsed)) == ("naïve", [])
    assert read(JAPANESE.encode("iso2022_jp"), "a.txt").text == JAPANESE


def test_a_declared_encoding_that_is_none_does_no_harm() -> None:
    for charset in ("zlib", "rot13", "no-such", "idna", "../x", "unicode_escape"):
        assert read(GERMAN.encode("cp1252"), "a.txt", f"text/plain; charset={charset}").text == GERMAN


def test_a_few_wrong_bytes_do_not_spoil_a_text() -> None:
    data = (KOREAN * 20).encode() + b"\xff" + KOREAN.encode()
    parsed = read(data, "a.txt")
    assert parsed.text.count("\ufffd") == 1
    assert codes(parsed) == ["UNDECODABLE"]


def test_text_has_paragraphs_and_no_control_characters() -> None:
    parsed = read(b"one\r\ntwo\r\n \r\n\r\nth\x0cree\x07\n\n\n", "a.txt")
    assert shown(parsed) == [("paragraph", "one\ntwo"), ("paragraph", "th\nree")]


def test_markdown_keeps_its_marks() -> None:
    text = "# Pergola\n\nA *row* of columns.\n\n## Parts\n\n- oak\n- ash\n\n| a | b |\n|---|---|\n\n```\ncode\n```\n"
    parsed = read(text.encode(), "a.md")
    assert (parsed.text, parsed.title) == (text, "Pergola")
    assert [kind for kind, _ in shown(parsed)] == ["heading", "paragraph", "heading", "item", "table", "code"]
    assert paths(parsed)["- oak\n- ash"] == ("Pergola", "Parts")


def test_html() -> None:
    page = """<!doctype html><html><head><title>The&nbsp;Pergola</title><style>p {}</style></head><body>
      <nav>Home</nav><h1>Columns</h1><p>They <b>car</b>ry
      the roof.<br>Always.</p><script>if (a < b) {}</script>
      <h2>Wood</h2><ul><li>oak<li>ash</ul><p hidden>unseen</p><div style="display: none">unseen</div>
      <table><tr><th>Part<th>Pieces</tr><tr><td>Column<td>4</table><pre>  two\n    lines</pre>
      <img alt="A vine"><p>Open"""
    parsed = read(page.encode(), "a.html")
    assert parsed.title == "The Pergola"
    assert shown(parsed) == [
        ("heading", "Columns"),
        ("paragraph", "They carry the roof.\nAlways."),
        ("heading", "Wood"),
        ("item", "- oak"),
        ("item", "- ash"),
        ("table", "Part | Pieces\nColumn | 4"),
        ("code", "  two\n    lines"),
        ("paragraph", "A vine"),
        ("paragraph", "Open"),
    ]
    assert paths(parsed)["- oak"] == ("Columns", "Wood")


def test_html_says_its_encoding() -> None:
    page = f'<html><head><meta charset="euc-kr"></head><body><p>{KOREAN}</p></body></html>'
    parsed = read(page.encode("cp949"), "a.html")
    assert (parsed.text, codes(parsed)) == (KOREAN, [])


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_csv_shows_every_value_with_its_column(separator: str) -> None:
    rows = [["Name", "Town", "Note"], ["Kim", "Seoul", f'"a{separator}b"'], ["Lee", "", "line"]]
    data = "\r\n".join(separator.join(row) for row in rows).encode()
    parsed = read(data, "a.csv")
    value = " ".join(f"a{separator}b".split())
    assert shown(parsed) == [
        ("table", f"Name | Town | Note\nName: Kim | Town: Seoul | Note: {value}\nName: Lee | Note: line")
    ]


def test_csv_without_names_stays_as_it_is() -> None:
    assert read(b"1,2\n3,4\n", "a.csv").text == "1 | 2\n3 | 4"


def test_json_lines() -> None:
    parsed = read('{"a": {"b": 1}, "tags": ["x", "y"], "none": null}\n\n{"text": "정원\\nzwei"}\n'.encode(), "a.jsonl")
    assert shown(parsed) == [("record", "a.b: 1\ntags: x, y"), ("record", "text: 정원 zwei")]


def test_json_is_one_value_or_the_items_of_one() -> None:
    assert shown(read(b'[\n {"a": 1},\n {"a": [{"b": true}]}\n]', "a.json")) == [
        ("record", "a: 1"),
        ("record", "a.0.b: true"),
    ]
    assert shown(read(b'{\n "a": "\\ud800x",\n "b": 1.5}', "a.json")) == [("record", "a: \ufffdx\nb: 1.5")]


def test_a_broken_line_of_json_is_told() -> None:
    assert refused(b'{"a": 1}\n{"a": \n', "a.jsonl") == Reason.MALFORMED


def test_limits_of_the_result() -> None:
    assert refused(b"a" * 100, "a.txt", limits=Limits(text_chars=99)) == Reason.TOO_LARGE
    assert refused(b"a\n\n" * 100, "a.txt", limits=Limits(blocks=99)) == Reason.TOO_LARGE
    assert refused(b"<p>a" * 100, "a.html", limits=Limits(blocks=99)) == Reason.TOO_LARGE
    assert refused(b"a" * 100, "a.txt", limits=Limits(input_bytes=99)) == Reason.TOO_LARGE
    assert len(read(b"a" * 99, "a.txt", limits=Limits(text_chars=99)).text) == 99


@pytest.mark.parametrize("data", [b"", b" \r\n\t", b"\xef\xbb\xbf \n", b"<html><body><script>x</script></body></html>"])
def test_nothing_is_told_as_empty(data: bytes) -> None:
    assert refused(data) == Reason.EMPTY
