import pytest

from services.vector.ingestion.documents import Incoming, fill
from services.vector.text import markdown, scripts


def _fill(text: str, **given: str) -> tuple[str, str, str]:
    made = fill(Incoming(text=text, id=given.get("id", ""), title=given.get("title", ""), format=None, metadata={}))
    return made.id, made.title, made.format


def test_the_same_text_has_the_same_id() -> None:
    assert _fill("a") == _fill("a")
    assert _fill("a")[0] != _fill("b")[0]


@pytest.mark.parametrize(
    ("text", "given", "title", "form"),
    [
        ("# Heading\n\ntext", {"id": "x/y.md"}, "Heading", "markdown"),
        ("no heading", {"id": "x/y.MD"}, "x/y.MD", "markdown"),
        ("# Heading", {"id": "notes.txt"}, "notes.txt", "text"),
        ("# Heading", {"id": "a.markdown", "title": "Given"}, "Given", "markdown"),
        ("Short text.", {}, "Short text.", "text"),
        ("word " * 40, {}, ("word " * 15).rstrip() + "…", "text"),
        ("x" * 200, {}, "x" * 79 + "…", "text"),
    ],
)
def test_defaults(text: str, given: dict[str, str], title: str, form: str) -> None:
    _, made, kind = _fill(text, **given)
    assert (made, kind) == (title, form)


def test_headings_are_read_without_their_marks() -> None:
    assert (
        markdown.plain("**Bold** _and_ `code` [link](x) ![image](y) &amp; <b>html</b>")
        == "Bold and code link image & html"
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Plain English, with a café.", []),
        ("서울은 수도이다", ["Korean"]),
        ("東京は日本の首都です", ["Japanese"]),
        ("北京是中国的首都", ["Chinese"]),
        ("Москва — столица", ["Cyrillic"]),
        ("An English text that mentions Москва once among many other words of its own", []),
        ("Half English and на половину русский текст", ["Cyrillic"]),
        ("مرحبا بالعالم", ["Arabic"]),
        ("123 !?", []),
        ("", []),
    ],
)
def test_scripts(text: str, found: list[str]) -> None:
    assert scripts.foreign(text) == found
