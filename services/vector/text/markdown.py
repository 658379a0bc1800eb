"""The blocks of a Markdown text and the headings above them, as places in the original text."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

if TYPE_CHECKING:
    # The parsers' processes load this module, and should not load numpy for a name.
    from services.providers.embedding.model import Span


_BREAK: Final = re.compile(r"\r\n?|\n")
_LINE_END: Final = r"[ \t]*(?:\r\n?|\n)"
_FRONT_MATTER: Final = re.compile(
    rf"---{_LINE_END}(?:.*?{_LINE_END})??(?:---|\.\.\.)(?:{_LINE_END}|[ \t]*\Z)", re.DOTALL
)
_BY_LINE: Final = frozenset({"fence", "code_block", "table_open", "html_block"})
_MARKS: Final = re.compile(r"[\\`*_\[\]!<>&]")
_INLINE: Final = MarkdownIt("commonmark")
# Only blocks are of interest in the body; reading the inline marks too would take most of the time.
_BLOCKS: Final = MarkdownIt("commonmark").enable("table").disable("inline")


@dataclass(frozen=True, slots=True)
class Block:
    """A block at the outermost level: a paragraph, a list, a table, code, a heading."""

    start: int
    end: int
    heading: int = 0
    """1 to 6 for a heading, 0 for anything else."""
    title: str = ""
    """A heading's text without marks."""
    by_line: bool = False
    """Whether it is made of lines (code, tables) rather than of sentences."""


def blocks(text: str) -> list[Block]:
    """The text's blocks in order. Front matter (YAML between `---`) is a block of lines."""
    starts = [0, *(match.end() for match in _BREAK.finditer(text)), len(text)]
    skipped = _FRONT_MATTER.match(text)
    first = 0
    found: list[Block] = []
    if skipped is not None:
        first = len(_BREAK.findall(skipped[0]))
        found.append(Block(0, skipped.end(), by_line=True))
    body = text[skipped.end() :] if skipped else text
    tokens = _BLOCKS.parse(body)
    for place, token in enumerate(tokens):
        if token.level != 0 or token.map is None or token.nesting < 0:
            continue
        start, end = _place(token, starts, first)
        if token.type == "heading_open":
            found.append(Block(start, end, heading=int(token.tag[1]), title=plain(tokens[place + 1].content)))
        else:
            found.append(Block(start, end, by_line=token.type in _BY_LINE))
    return found


def plain(inline: str) -> str:
    """Inline Markdown without its marks."""
    if not _MARKS.search(inline):
        # Most headings; reading the marks takes most of the time of a text that is all headings.
        return " ".join(inline.split())
    parts = []
    for token in _INLINE.parseInline(inline)[0].children or []:
        if token.type in ("text", "code_inline", "image"):
            parts.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            parts.append(" ")
    return " ".join("".join(parts).split())


def lines(text: str, start: int, end: int) -> "list[Span]":
    """Spans of the lines of text[start:end] that hold anything."""
    spans = []
    begin = start
    for match in _BREAK.finditer(text, start, end):
        if text[begin : match.start()].strip():
            spans.append((begin, match.start()))
        begin = match.end()
    if text[begin:end].strip():
        spans.append((begin, end))
    return spans


def _place(token: Token, starts: list[int], first: int) -> "Span":
    assert token.map is not None  # noqa: S101 - the caller has looked
    return starts[token.map[0] + first], starts[min(token.map[1] + first, len(starts) - 1)]
