"""Whether a document is a conversation, and the sections that its turns are."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from services.runtime import sentences
from services.vector.parsing.model import Parsed
from services.vector.parsing.sections import Section
from services.vector.text.turns import letters, lines, messages
from services.vector.text.turns.model import Turn

if TYPE_CHECKING:
    from services.providers.embedding.model import Span


def turns(text: str, parsed: Parsed | None = None) -> list[Turn]:
    """The turns of a document, all of its text, in order; none when it is no conversation.

    A conversation is told by its shape alone: messages in JSON; lines that say who speaks, when several people do so
    by turns; messages of e-mail below each other. `parsed`: its structure, where a parser made it.
    """
    if parsed is not None and parsed.format == "json":
        return messages.shown(text, [(one.start, one.end) for one in parsed.blocks])
    if parsed is None and (found := messages.turns(text)):
        return found
    blocks = [] if parsed is None else parsed.blocks
    skipped = [(one.start, one.end) for one in blocks if one.kind in ("code", "table")]
    return letters.turns(text) or lines.turns(text, skipped)


def sections(text: str, found: Sequence[Turn], parsed: Parsed | None = None) -> Iterator[Section]:
    """The turns as a chunker takes them: each by itself, under its headings and its date, none over the end of a
    page."""
    blocks = () if parsed is None else parsed.blocks
    ends = [after.start for before, after in pairwise(blocks) if before.page != after.page]
    for turn in found:
        cuts = [turn.start, *ends[bisect_right(ends, turn.start) : bisect_right(ends, turn.end - 1)], turn.end]
        for start, end in pairwise(cuts):
            path: tuple[str, ...] = ()
            page = 0
            if parsed is not None and blocks:
                path = parsed.path(blocks[max(0, bisect_right(blocks, turn.at, key=lambda block: block.start) - 1)])
                page = blocks[max(0, bisect_right(blocks, start, key=lambda block: block.start) - 1)].page
            if turn.date and turn.date not in path:
                path = (*path, turn.date)
            spans: list[Span] = sentences.split(text, start, end)
            if spans:
                yield Section(path, page, spans)
