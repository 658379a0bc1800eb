"""A parsed file as the chunker takes it: sections under their headings, and the spans that are not cut without need."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.runtime import sentences
from services.vector.text import markdown

if TYPE_CHECKING:
    from services.providers.embedding.model import Span
from services.vector.parsing.model import BY_LINE, Parsed


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one heading, or as much of it as stands on one page."""

    path: tuple[str, ...]
    """The headings, outermost first."""
    page: int
    """From 1; 0: the format has none."""
    spans: "list[Span]"
    """Sentences, and lines of tables, records and code, in order, without white space around them."""


def sections(parsed: Parsed) -> Iterator[Section]:
    """All of the text. A heading right below another one goes with it: both lead what stands below them."""
    held: Section | None = None
    heading = -1
    only_headings = False
    for block in parsed.blocks:
        if block.kind in BY_LINE or block.kind == "heading":
            spans = markdown.lines(parsed.text, block.start, block.end)
        else:
            spans = sentences.split(parsed.text, block.start, block.end)
        if held is not None and held.page == block.page:
            if heading == block.heading:
                held.spans.extend(spans)
                only_headings = only_headings and block.kind == "heading"
                continue
            if only_headings:
                heading = block.heading
                held = Section(parsed.path(block), block.page, [*held.spans, *spans])
                only_headings = block.kind == "heading"
                continue
        if held is not None and held.spans:
            yield held
        heading = block.heading
        held = Section(parsed.path(block), block.page, spans)
        only_headings = block.kind == "heading"
    if held is not None and held.spans:
        yield held


def plain(text: str) -> Section:
    """A text without structure."""
    return Section((), 0, sentences.split(text))


def page_at(parsed: Parsed, place: int) -> int:
    """The page that a code point of the text stands on; 0: the format has none."""
    found = bisect_right(parsed.blocks, place, key=lambda block: block.start)
    return parsed.blocks[max(0, found - 1)].page
