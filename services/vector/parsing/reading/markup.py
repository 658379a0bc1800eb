"""XML and HTML as a stream of events: no tree is built, nothing outside the bytes is ever read."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from lxml import etree  # type: ignore[import-untyped]

from services.vector.parsing.model import Limits, ParseFailed, Reason

_PIECE: Final = 64 * 1024
_HTML_DEEPER: Final = 8
"""Times deeper than XML: in HTML elements may stay open, so that old pages nest by mistake."""


class Events(Protocol):
    """What takes the events. Names come without namespace and, in HTML, in small letters."""

    def start(self, name: str, attributes: Mapping[str, str]) -> None: ...

    def end(self, name: str) -> None: ...

    def text(self, text: str) -> None: ...


def read_xml(pieces: Iterable[bytes], events: Events, limits: Limits) -> None:
    """Raises ParseFailed: MALFORMED (also for a document type: Office's and EPUB's formats have none, and with none
    there are no entities), TOO_DEEP."""
    parser = etree.XMLParser(
        target=_Target(events, limits.depth, strict=True), resolve_entities=False, no_network=True, load_dtd=False,
        huge_tree=False, recover=False,
    )  # fmt: skip
    _feed(parser, pieces)


def read_html(text: str, events: Events, limits: Limits) -> None:
    """Takes whatever a browser would take. Raises ParseFailed: TOO_DEEP."""
    parser = etree.HTMLParser(
        target=_Target(events, limits.depth * _HTML_DEEPER, strict=False),
        encoding="utf-8",
        no_network=True,
        huge_tree=True,
    )
    _feed(parser, (text[place : place + _PIECE].encode() for place in range(0, len(text), _PIECE)))


def _feed(parser: Any, pieces: Iterable[bytes]) -> None:
    fed = False
    try:
        for piece in pieces:
            fed = True
            parser.feed(piece)
        if fed:
            parser.close()
    except etree.XMLSyntaxError:
        raise ParseFailed(Reason.MALFORMED, "Its markup is not well-formed; is the file cut off?") from None
    if not fed:
        raise ParseFailed(Reason.MALFORMED, "A part that must hold markup is empty.")


class _Target:
    """lxml's side of the events. What its methods raise comes out of `feed`."""

    def __init__(self, events: Events, deepest: int, *, strict: bool) -> None:
        self._events = events
        self._deepest = deepest
        self._strict = strict
        self._depth = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        if self._depth > self._deepest:
            raise ParseFailed(Reason.TOO_DEEP, f"Its elements are nested more than {self._deepest} deep.")
        self._events.start(tag.rpartition("}")[2], attributes)

    def end(self, tag: str) -> None:
        self._depth -= 1
        self._events.end(tag.rpartition("}")[2])

    def data(self, text: str) -> None:
        self._events.text(text)

    def doctype(self, name: str | None, public: str | None, system: str | None) -> None:  # noqa: ARG002 - lxml's names
        if self._strict:
            raise ParseFailed(Reason.MALFORMED, "It declares a document type, which its format does not have.")

    def close(self) -> None:
        """Called at the end of the input; the events are what counts."""


def attribute(attributes: Mapping[str, str], name: str) -> str:
    """An attribute by its name without namespace; empty: it has none."""
    found = attributes.get(name)
    if found is not None:
        return found
    ending = "}" + name
    return next((value for key, value in attributes.items() if key.endswith(ending)), "")
