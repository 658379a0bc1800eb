"""Plain text and Markdown: the flat text is the file's own, and the blocks are places in it."""

import re
from typing import Final

from services.vector.parsing.model import ParseFailed, Reason
from services.vector.parsing.reading.builder import Builder
from services.vector.parsing.reading.decode import Decoded, decode
from services.vector.text import markdown

_GAP: Final = re.compile(r"\n[^\S\n]*+\n\s*")
_ITEM: Final = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s")


def decoded(data: bytes, declared: str | None, builder: Builder) -> str:
    """The text, with a warning when its encoding is not certain."""
    found = decode(data, declared)
    _warn(found, builder)
    return found.text


def read_text(data: bytes, declared: str | None, builder: Builder) -> None:
    """Paragraphs are what stands between empty lines."""
    text = builder.whole(decoded(data, declared, builder))
    begin = 0
    for gap in _GAP.finditer(text):
        _paragraph(text, begin, gap.start(), builder)
        begin = gap.end()
    _paragraph(text, begin, len(text), builder)


def read_markdown(data: bytes, declared: str | None, builder: Builder) -> None:
    """CommonMark with tables; its marks stay in the text."""
    mark_markdown(builder.whole(decoded(data, declared, builder)), builder)


def mark_markdown(text: str, builder: Builder) -> None:
    """Marks the blocks of a Markdown text that the builder has taken."""
    try:
        blocks = markdown.blocks(text)
    except RecursionError:
        raise ParseFailed(Reason.TOO_DEEP, "Its Markdown is nested too deep. Send it as plain text.") from None
    for block in blocks:
        start, end = _trimmed(text, block.start, block.end)
        if start == end:
            continue
        if block.heading:
            builder.mark(start, end, "heading", level=block.heading, title=block.title)
        elif block.by_line:
            table = text[start] == "|" or "|" in text[start:end].partition("\n")[0]
            builder.mark(start, end, "table" if table and not text.startswith(("```", "~~~"), start) else "code")
        else:
            builder.mark(start, end, "item" if _ITEM.match(text, start) else "paragraph")


def _paragraph(text: str, start: int, end: int, builder: Builder) -> None:
    start, end = _trimmed(text, start, end)
    if start < end:
        builder.mark(start, end, "paragraph")


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _warn(found: Decoded, builder: Builder) -> None:
    if found.guessed:
        builder.warn(
            "ENCODING_GUESSED",
            f"It is not Unicode and does not say its encoding; it was read as {found.encoding}. Send UTF-8 to be sure.",
        )
    if found.lossy:
        builder.warn("UNDECODABLE", f"Some bytes are no {found.encoding}; a replacement character stands for them.")
