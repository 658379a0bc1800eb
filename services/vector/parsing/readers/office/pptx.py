"""PPTX: slide by slide in the order they are shown, each under its title, with the speaker's notes."""

from collections.abc import Mapping
from typing import Final

from services.vector.parsing.model import Kind, ParseFailed, Reason
from services.vector.parsing.readers.office.package import Package, related
from services.vector.parsing.reading.builder import Builder, squeeze
from services.vector.parsing.reading.markup import attribute, read_xml
from services.vector.parsing.reading.tables import Grid

_TITLES: Final = frozenset(("title", "ctrTitle"))
_EVERYWHERE: Final = frozenset(("sldNum", "dt", "ftr", "hdr", "sldImg"))
"""Placeholders that repeat on every slide."""


def read_pptx(data: bytes, builder: Builder) -> None:
    """Raises ParseFailed: MALFORMED, TOO_LARGE, TOO_DEEP, ENCRYPTED."""
    package = Package(data, builder.limits)
    package.name(builder)
    main = package.main()
    relations = package.relations(main)
    order = _Order()
    read_xml(package.archive.pieces(main), order, builder.limits)
    slides = [relations[key].target for key in order.ids if key in relations]
    if len(slides) > builder.limits.pages:
        raise ParseFailed(Reason.TOO_LARGE, f"It has more than {builder.limits.pages:,} slides. Split it.")
    builder.pages = len(slides)
    for number, part in enumerate(slides, 1):
        builder.page = number
        _slide(part, package, builder)


def _slide(part: str, package: Package, builder: Builder) -> None:
    shapes = _Shapes(builder.limits.text_chars)
    read_xml(package.archive.pieces(part), shapes, builder.limits)
    builder.leave()
    builder.heading(1, shapes.title)
    for kind, text in shapes.texts:
        builder.prose(text, kind) if kind == "paragraph" else builder.add(text, kind)
    notes = related(package.relations(part), "notesSlide", package)
    if notes:
        spoken = _Shapes(builder.limits.text_chars)
        read_xml(package.archive.pieces(notes), spoken, builder.limits)
        if spoken.texts:
            builder.enter(2, "Notes")
            for kind, text in spoken.texts:
                builder.prose(text, kind) if kind == "paragraph" else builder.add(text, kind)


class _Order:
    """The slides' relation ids from presentation.xml."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "sldId":
            # Its plain `id` is another number; the relation's is the one with a namespace.
            self.ids.append(next((text for key, text in attributes.items() if key.endswith("}id")), ""))

    def end(self, name: str) -> None: ...

    def text(self, text: str) -> None: ...


class _Shapes:
    """A slide's title and texts."""

    def __init__(self, most: int) -> None:
        self.title = ""
        self.texts: list[tuple[Kind, str]] = []
        self._room = most
        self._placeholder = ""
        self._parts: list[str] = []
        self._tables: list[Grid] = []
        self._in_text = 0
        self._unread = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if self._unread or name == "Fallback":
            self._unread += 1
        elif name == "sp":
            self._placeholder = ""
        elif name == "ph":
            # A placeholder without a type holds content.
            self._placeholder = attribute(attributes, "type") or "obj"
        elif name == "p":
            self._parts = []
        elif name == "t":
            self._in_text += 1
        elif name == "br":
            self._parts.append("\n")
        elif name == "tbl":
            self._tables.append(Grid())
        elif name == "tr" and self._tables:
            self._tables[-1].row()
        elif name == "tc" and self._tables:
            self._tables[-1].cell()

    def end(self, name: str) -> None:
        if self._unread:
            self._unread -= 1
        elif name == "sp":
            self._placeholder = ""
        elif name == "p":
            self._end_paragraph("".join(self._parts))
            self._parts = []
        elif name == "t":
            self._in_text -= 1
        elif name == "tr" and self._tables:
            self._tables[-1].end_row()
        elif name == "tbl" and self._tables:
            self._keep("table", self._tables.pop().text())

    def text(self, text: str) -> None:
        if self._in_text and not self._unread:
            self._parts.append(text)

    def _end_paragraph(self, text: str) -> None:
        if not text.strip() or self._placeholder in _EVERYWHERE:
            return
        if self._tables and self._tables[-1].put(text):
            return
        if self._placeholder in _TITLES:
            self.title = squeeze(f"{self.title} {text}")
        else:
            self._keep("paragraph", text)

    def _keep(self, kind: Kind, text: str) -> None:
        self._room -= len(text)
        if self._room < 0:
            raise ParseFailed(Reason.TOO_LARGE, "A slide holds more text than is taken from a whole file.")
        self.texts.append((kind, text))
