"""DOCX: headings by style or outline level, lists, tables, text boxes, footnotes. What was deleted stays out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from services.vector.parsing.model import Kind
from services.vector.parsing.readers.office.package import Package, related, value
from services.vector.parsing.reading.builder import Builder
from services.vector.parsing.reading.markup import attribute, read_xml
from services.vector.parsing.reading.tables import Grid

_HEADING: Final = re.compile(r"heading ([1-9])")
_CONTENTS: Final = re.compile(r"toc \d|toc heading|table of figures")
# Alternatives that repeat a choice, revisions that were moved away or deleted, ruby, and the codes of fields.
_UNREAD: Final = frozenset(("Fallback", "moveFrom", "del", "rt", "instrText"))
_SEPARATORS: Final = frozenset(("separator", "continuationSeparator", "continuationNotice"))
_BODY_TEXT: Final = 9
"""The outline level (from 0) of what is no heading."""


@dataclass(slots=True)
class _Style:
    name: str = ""
    base: str = ""
    level: int | None = None
    item: bool = False


@dataclass(slots=True)
class _Paragraph:
    parts: list[str] = field(default_factory=list)
    style: str = ""
    level: int | None = None
    item: bool | None = None


def read_docx(data: bytes, builder: Builder) -> None:
    """Raises ParseFailed: MALFORMED, TOO_LARGE, TOO_DEEP, ENCRYPTED."""
    package = Package(data, builder.limits)
    package.name(builder)
    main = package.main()
    relations = package.relations(main)
    styles = _Styles()
    if part := related(relations, "styles", package):
        read_xml(package.archive.pieces(part), styles, builder.limits)
    read_xml(package.archive.pieces(main), _Body(builder, styles), builder.limits)
    builder.leave()
    for kind in ("footnotes", "endnotes"):
        if part := related(relations, kind, package):
            read_xml(package.archive.pieces(part), _Body(builder, styles), builder.limits)


class _Styles:
    """What styles.xml says of paragraphs."""

    def __init__(self) -> None:
        self._found: dict[str, _Style] = {}
        self._current = _Style()

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "style":
            self._current = self._found.setdefault(attribute(attributes, "styleId"), _Style())
        elif name == "name":
            self._current.name = value(attributes).lower()
        elif name == "basedOn":
            self._current.base = value(attributes)
        elif name == "outlineLvl":
            self._current.level = _outline(value(attributes))
        elif name == "numId":
            self._current.item = value(attributes) != "0"

    def end(self, name: str) -> None:
        if name == "style":
            self._current = _Style()

    def text(self, text: str) -> None: ...

    def level(self, style: str) -> int:
        """Of the heading that a paragraph in this style is; 0: it is none, −1: the document's title, −2: a line of the
        table of contents."""
        for _ in range(16):
            # Styles may be based on one another in a circle.
            found = self._found.get(style)
            if found is None:
                return 0
            if match := _HEADING.fullmatch(found.name):
                return int(match[1])
            if found.name == "title":
                return -1
            if _CONTENTS.match(found.name):
                return -2
            if found.level is not None:
                return found.level
            style = found.base
        return 0

    def item(self, style: str) -> bool:
        """Whether paragraphs in this style are items of a list."""
        for _ in range(16):
            found = self._found.get(style)
            if found is None or found.item:
                return found is not None
            style = found.base
        return False


class _Body:
    """The events of a document, of its footnotes, of its endnotes."""

    def __init__(self, builder: Builder, styles: _Styles) -> None:
        self._builder = builder
        self._styles = styles
        self._paragraphs: list[_Paragraph] = []
        """More than one inside of a text box: it stands in a paragraph."""
        self._tables: list[Grid] = []
        self._unread = 0
        self._properties = 0
        self._in_text = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        separator = name in ("footnote", "endnote") and attribute(attributes, "type") in _SEPARATORS
        if self._unread or name in _UNREAD or separator:
            self._unread += 1
        elif name in ("pPr", "rPr"):
            self._properties += 1
        elif self._properties:
            self._property(name, attributes)
        elif name == "p":
            self._paragraphs.append(_Paragraph())
        elif name == "t":
            self._in_text += 1
        elif name == "tab":
            self._write("\t")
        elif name in ("br", "cr"):
            self._write("\n")
        elif name == "noBreakHyphen":
            self._write("-")
        elif name == "tbl":
            self._tables.append(Grid())
        elif name == "tr" and self._tables:
            self._tables[-1].row()
        elif name == "tc" and self._tables:
            self._tables[-1].cell()

    def end(self, name: str) -> None:
        if self._unread:
            self._unread -= 1
        elif name in ("pPr", "rPr"):
            self._properties -= 1
        elif self._properties:
            return
        elif name == "p" and self._paragraphs:
            self._end_paragraph(self._paragraphs.pop())
        elif name == "t":
            self._in_text -= 1
        elif name == "tr" and self._tables:
            self._tables[-1].end_row()
        elif name == "tbl" and self._tables:
            text = self._tables.pop().text()
            if not (self._tables and self._tables[-1].put(text)):
                self._builder.add(text, "table")

    def text(self, text: str) -> None:
        if self._in_text and not self._unread:
            self._write(text)

    def _write(self, text: str) -> None:
        if self._paragraphs:
            self._paragraphs[-1].parts.append(text)

    def _property(self, name: str, attributes: Mapping[str, str]) -> None:
        if not self._paragraphs:
            return
        paragraph = self._paragraphs[-1]
        if name == "pStyle":
            paragraph.style = value(attributes)
        elif name == "outlineLvl":
            paragraph.level = _outline(value(attributes))
        elif name == "numId":
            paragraph.item = value(attributes) != "0"

    def _end_paragraph(self, paragraph: _Paragraph) -> None:
        text = "".join(paragraph.parts)
        if self._tables and self._tables[-1].put(text):
            return
        level = self._styles.level(paragraph.style) if paragraph.level is None else paragraph.level
        if level == -1:
            self._builder.name(text)
            self._builder.heading(1, text)
        elif level > 0:
            self._builder.heading(level, text)
        elif level == 0:
            item = self._styles.item(paragraph.style) if paragraph.item is None else paragraph.item
            kind: Kind = "item" if item else "paragraph"
            self._builder.prose(f"- {text.strip()}" if item and text.strip() else text, kind)


def _outline(text: str) -> int:
    """A heading's level from 1, 0 for body text, by an outline level from 0."""
    return int(text) + 1 if text.isdecimal() and int(text) < _BODY_TEXT else 0
