"""PDF by PDFium: every page's lines with their places, and the outline."""

import ctypes
import re
from collections.abc import Iterator
from typing import Any, Final

import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from services.vector.parsing.model import ParseFailed, Reason
from services.vector.parsing.readers import layout
from services.vector.parsing.readers.layout import Entry, Line
from services.vector.parsing.reading.builder import Builder, clean, squeeze

_ERROR_PASSWORD: Final = 4
_ERROR_SECURITY: Final = 5
_LINE_END: Final = "\r\n"
_LONGEST_TITLE: Final = 4096
_DEEPEST_OUTLINE: Final = 16
_MOST_ENTRIES: Final = 20_000
# What programs put there when their user gave no title.
_NO_TITLE: Final = re.compile(
    r"\s*(?:untitled.*|microsoft \w+ - .*|.*\.(?:docx?|pptx?|xlsx?|indd|tex|dvi|qxd))\s*", re.I
)


def start() -> None:
    """Once a process, before the first file."""
    pdfium.FPDF_InitLibrary()


def read_pdf(data: bytes, builder: Builder) -> None:
    """Raises ParseFailed: MALFORMED, ENCRYPTED, TOO_LARGE (pages, text), EMPTY (nothing but images)."""
    document = pdfium.FPDF_LoadMemDocument64(data, len(data), None)
    if not document:
        if pdfium.FPDF_GetLastError() in (_ERROR_PASSWORD, _ERROR_SECURITY):
            raise ParseFailed(Reason.ENCRYPTED, "The PDF is encrypted. Remove its password.")
        raise ParseFailed(Reason.MALFORMED, "PDFium can't read it; is the file cut off?")
    try:
        _document(document, builder)
    finally:
        pdfium.FPDF_CloseDocument(document)


def _document(document: Any, builder: Builder) -> None:
    count = pdfium.FPDF_GetPageCount(document)
    if count > builder.limits.pages:
        raise ParseFailed(Reason.TOO_LARGE, f"It has more than {builder.limits.pages:,} pages. Split it.")
    if count < 1:
        raise ParseFailed(Reason.MALFORMED, "The PDF has no pages.")
    builder.pages = count
    title = _title(document)
    if not _NO_TITLE.fullmatch(title):
        builder.name(title)
    pages: list[list[Line]] = []
    unreadable = silent = held = 0
    for number in range(count):
        lines = _page(document, number, builder)
        if lines is None:
            unreadable += 1
        elif not lines:
            silent += 1
        pages.append(lines or [])
        held += sum(len(line.text) for line in pages[-1])
        if held > builder.limits.text_chars:
            raise ParseFailed(
                Reason.TOO_LARGE, f"Its text has more than {builder.limits.text_chars:,} characters. Split the file."
            )
    if unreadable == count:
        raise ParseFailed(Reason.MALFORMED, "None of its pages can be read.")
    if unreadable:
        builder.warn("PARTS_UNREADABLE", f"{unreadable} of {count} pages can't be read.")
    if unreadable + silent == count:
        raise ParseFailed(Reason.EMPTY, "Its pages hold images and no text. Run text recognition (OCR) on it first.")
    if silent:
        builder.warn("PAGES_WITHOUT_TEXT", f"{silent} of {count} pages hold no text; scanned pages need OCR first.")
    layout.build(pages, _outline(document), builder)


def _page(document: Any, number: int, builder: Builder) -> list[Line] | None:
    """The lines of a page (from 0) in the order in which they are drawn; None: it can't be read."""
    page = pdfium.FPDF_LoadPage(document, number)
    if not page:
        return None
    try:
        text_page = pdfium.FPDFText_LoadPage(page)
        if not text_page:
            return None
        try:
            return list(_lines(text_page, builder.limits.text_chars))
        finally:
            pdfium.FPDFText_ClosePage(text_page)
    finally:
        pdfium.FPDF_ClosePage(page)


def _lines(text_page: Any, most: int) -> Iterator[Line]:
    count = pdfium.FPDFText_CountChars(text_page)
    if count <= 0:
        return
    # A page with more than all pages together may have is cut right behind that, so that the sum says so.
    count = min(count, most + 1)
    buffer = (ctypes.c_ushort * (count + 1))()
    written = pdfium.FPDFText_GetText(text_page, 0, count, buffer)
    text = bytes(buffer)[: 2 * max(0, written - 1)].decode("utf-16-le", "surrogatepass")
    # Pairs of surrogates come as two numbers and were joined by decoding; what is left is broken.
    place = 0
    for raw in text.split(_LINE_END):
        shown = clean(raw.replace("\x02", "\xad").replace("\ufffe", "\xad")).replace("\n", " ").strip()
        if shown:
            yield _placed(text_page, shown, place, place + len(raw) - 1)
        place += len(raw) + len(_LINE_END)


def _placed(text_page: Any, text: str, first: int, last: int) -> Line:
    begin, finish = _box(text_page, first), _box(text_page, last)
    return Line(text, begin.left, max(begin.left, finish.right), begin.top, begin.bottom)


def _box(text_page: Any, place: int) -> Any:
    box = pdfium.FS_RECTF()
    index = pdfium.FPDFText_GetCharIndexFromTextIndex(text_page, place)
    if index >= 0:
        pdfium.FPDFText_GetLooseCharBox(text_page, index, box)
    return box


def _title(document: Any) -> str:
    return _wide(lambda buffer, size: pdfium.FPDF_GetMetaText(document, b"Title", buffer, size))


def _outline(document: Any) -> list[Entry]:
    """The bookmarks in order. Their tree may be a circle; a node is visited once."""
    found: list[Entry] = []
    seen: set[int] = set()
    waiting = [(pdfium.FPDFBookmark_GetFirstChild(document, None), 1)]
    while waiting and len(found) < _MOST_ENTRIES:
        node, level = waiting.pop()
        address = ctypes.cast(node, ctypes.c_void_p).value if node else None
        if address is None or address in seen:
            continue
        seen.add(address)
        entry = _entry(document, node, level)
        if entry is not None:
            found.append(entry)
        waiting.append((pdfium.FPDFBookmark_GetNextSibling(document, node), level))
        if level < _DEEPEST_OUTLINE:
            waiting.append((pdfium.FPDFBookmark_GetFirstChild(document, node), level + 1))
    return found


def _entry(document: Any, node: Any, level: int) -> Entry | None:
    title = squeeze(clean(_wide(lambda buffer, size: pdfium.FPDFBookmark_GetTitle(node, buffer, size))))
    destination = pdfium.FPDFBookmark_GetDest(document, node)
    if not destination:
        action = pdfium.FPDFBookmark_GetAction(node)
        destination = pdfium.FPDFAction_GetDest(document, action) if action else None
    page = pdfium.FPDFDest_GetDestPageIndex(document, destination) if destination else -1
    return Entry(level, title, page) if title and page >= 0 else None


def _wide(read: Any) -> str:
    """A string of PDFium's: asked for its size in bytes first, then for itself."""
    size = min(read(None, 0), _LONGEST_TITLE)
    if size <= 2:
        return ""
    buffer = ctypes.create_string_buffer(_LONGEST_TITLE)
    if read(buffer, _LONGEST_TITLE) > _LONGEST_TITLE:
        return ""
    return buffer.raw[: size - 2].decode("utf-16-le", "replace")
