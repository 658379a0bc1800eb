"""EPUB: the chapters in reading order."""

from collections.abc import Mapping
from typing import Final

from services.vector.parsing.model import ParseFailed, Reason
from services.vector.parsing.readers.html import read_page
from services.vector.parsing.readers.text import decoded
from services.vector.parsing.reading.archive import Archive, resolve
from services.vector.parsing.reading.builder import Builder
from services.vector.parsing.reading.markup import read_xml

_CONTAINER: Final = "META-INF/container.xml"
_ENCRYPTION: Final = "META-INF/encryption.xml"
_FONTS_ONLY: Final = frozenset(("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"))
"""Ways to make fonts unusable elsewhere; the text is readable all the same."""
_PAGES: Final = frozenset(("application/xhtml+xml", "text/html", "text/x-oeb1-document"))


def read_epub(data: bytes, builder: Builder) -> None:
    """Raises ParseFailed: MALFORMED, TOO_LARGE, TOO_DEEP, ENCRYPTED (copy protection)."""
    archive = Archive(data, builder.limits)
    if _ENCRYPTION in archive.names:
        locks = _Locks()
        read_xml(archive.pieces(_ENCRYPTION), locks, builder.limits)
        if locks.found - _FONTS_ONLY:
            raise ParseFailed(Reason.ENCRYPTED, "The book is copy-protected.")
    container = _Container()
    read_xml(archive.pieces(_CONTAINER), container, builder.limits)
    if not container.root:
        raise ParseFailed(Reason.MALFORMED, "The book names no package document.")
    package = _Package()
    read_xml(archive.pieces(container.root), package, builder.limits)
    builder.name(package.title)
    for key in package.order:
        target, kind = package.items.get(key, ("", ""))
        part = resolve(container.root, target) if target else ""
        if kind not in _PAGES or part not in archive.names:
            continue
        builder.leave()
        read_page(decoded(archive.read(part), None, builder), builder, xhtml=True)


class _Container:
    def __init__(self) -> None:
        self.root = ""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "rootfile" and not self.root:
            self.root = resolve("", attributes.get("full-path", ""))

    def end(self, name: str) -> None: ...

    def text(self, text: str) -> None: ...


class _Locks:
    def __init__(self) -> None:
        self.found: set[str] = set()

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "EncryptionMethod":
            self.found.add(attributes.get("Algorithm", ""))

    def end(self, name: str) -> None: ...

    def text(self, text: str) -> None: ...


class _Package:
    """Title, files by id, and the order of reading."""

    def __init__(self) -> None:
        self.title = ""
        self.items: dict[str, tuple[str, str]] = {}
        self.order: list[str] = []
        self._in_title = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "item":
            self.items[attributes.get("id", "")] = (attributes.get("href", ""), attributes.get("media-type", ""))
        elif name == "itemref":
            self.order.append(attributes.get("idref", ""))
        # A book may have a second title (its subtitle).
        self._in_title = name == "title" and not self.title

    def end(self, name: str) -> None:
        if name == "title":
            self._in_title = False

    def text(self, text: str) -> None:
        if self._in_title:
            self.title += text
