"""HTML: headings, paragraphs, list items, tables and preformatted text; what a reader does not see is left out."""

import re
from collections.abc import Mapping
from typing import Final

from services.vector.parsing.model import Kind
from services.vector.parsing.readers.text import decoded
from services.vector.parsing.reading.builder import Builder, squeeze
from services.vector.parsing.reading.markup import read_html as feed
from services.vector.parsing.reading.tables import Grid

_UNSEEN: Final = frozenset((
    "script", "style", "template", "noscript", "iframe", "object", "canvas", "svg", "select", "datalist",
    "dialog", "nav", "audio", "video", "head",
))  # fmt: skip
_VOID: Final = frozenset((
    "area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input", "link", "meta",
    "param", "source", "track", "wbr",
))  # fmt: skip
_BLOCKS: Final = frozenset((
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "div", "dl",
    "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "hr", "legend", "li",
    "main", "menu", "ol", "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead",
    "tr", "ul", "html",
))  # fmt: skip
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_HIDDEN: Final = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_META_CHARSET: Final = re.compile(
    rb"<(?:meta|\?xml)[^>]{0,300}?(?:charset|encoding)\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.I
)
_SELF_CLOSED: Final = re.compile(r"<([A-Za-z][\w:.-]*)([^<>]*)/>")


def read_html(data: bytes, declared: str | None, builder: Builder) -> None:
    """A page of its own."""
    named = _META_CHARSET.search(data[:4096])
    text = decoded(data, declared or (named[1].decode("ascii") if named else None), builder)
    read_page(text, builder)


def read_page(text: str, builder: Builder, *, xhtml: bool = False) -> None:
    """Adds a page; `xhtml`: `<a/>` is a whole element, as in XML."""
    if xhtml or text.lstrip("\ufeff \t\r\n").startswith("<?xml"):
        text = _SELF_CLOSED.sub(_opened, text)
    reader = _Reader(builder)
    feed(text, reader, builder.limits)
    reader.finish()


def _opened(found: re.Match[str]) -> str:
    return found[0] if found[1].lower() in _VOID else f"<{found[1]}{found[2]}></{found[1]}>"


class _Reader:
    """Collects inline text until a block begins or ends."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._inline: list[str] = []
        self._unseen = 0
        """How many elements deep inside of one that is not shown."""
        self._title: list[str] | None = None
        self._heading = 0
        self._pre = 0
        self._items = 0
        self._item_begins = False
        self._tables: list[Grid] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "title" and self._unseen <= 1:
            self._title = []
        if self._unseen or name in _UNSEEN or _is_hidden(attributes):
            # Elements without an end tag come with an end, too: lxml sends one for each start.
            self._unseen += 1
            return
        if name in _BLOCKS or name in _HEADINGS:
            self._flush()
        if name in _HEADINGS:
            self._heading = _HEADINGS[name]
        elif name == "br":
            self._inline.append("\n")
        elif name == "img":
            self._inline.append(attributes.get("alt", ""))
        elif name == "pre":
            self._pre += 1
        elif name in ("li", "dt"):
            self._items += 1
            self._item_begins = True
        elif name == "table":
            self._tables.append(Grid())
        elif name == "tr" and self._tables:
            self._tables[-1].row()
        elif name in ("td", "th") and self._tables:
            self._tables[-1].cell()

    def end(self, name: str) -> None:
        if name == "title" and self._title is not None:
            self._builder.name("".join(self._title))
            self._title = None
        if self._unseen:
            self._unseen -= 1
            return
        if name in _BLOCKS or name in _HEADINGS:
            self._flush()
        if name in _HEADINGS:
            self._heading = 0
        elif name == "pre":
            self._pre = max(0, self._pre - 1)
        elif name in ("li", "dt"):
            self._items = max(0, self._items - 1)
        elif name == "tr" and self._tables:
            self._tables[-1].end_row()
        elif name == "table" and self._tables:
            self._end_table()

    def text(self, text: str) -> None:
        if self._title is not None:
            self._title.append(text)
        elif not self._unseen:
            # Line ends of the source mean a space; those that `br` brings are put in as they are.
            self._inline.append(text if self._pre else text.replace("\n", " ").replace("\r", " "))

    def finish(self) -> None:
        """At the end of the page: what was not closed."""
        self._flush()
        while self._tables:
            self._end_table()

    def _end_table(self) -> None:
        text = self._tables.pop().text()
        if not (self._tables and self._tables[-1].put(text)):
            self._builder.add(text, "table")

    def _flush(self) -> None:
        text = "".join(self._inline)
        self._inline = []
        if not text or text.isspace():
            return
        if self._tables and self._tables[-1].put(squeeze(text)):
            return
        if self._heading:
            self._builder.heading(self._heading, text)
        elif self._pre:
            self._builder.add(text, "code")
        else:
            kind: Kind = "item" if self._items and self._item_begins else "paragraph"
            self._item_begins = False
            self._builder.prose(f"- {text.strip()}" if kind == "item" else text, kind)


def _is_hidden(attributes: Mapping[str, str]) -> bool:
    return "hidden" in attributes or ("style" in attributes and _HIDDEN.search(attributes["style"]) is not None)
