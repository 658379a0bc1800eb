"""From the lines of pages to paragraphs, tables and headings: a PDF says where its words stand, not what they are."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from services.vector.parsing.model import Kind
from services.vector.parsing.reading.builder import Builder, squeeze
from services.vector.parsing.reading.tables import SEPARATOR

_LARGER: Final = 1.15
"""Times the height of ordinary text, from which a line is a heading."""
_LONGEST_HEADING: Final = 160
_MOST_LEVELS: Final = 4
_PITCH: Final = 1.35
"""Times the usual distance between lines, from which a new paragraph begins."""
_SPACINGS: Final = (0.8, 3.0)
"""From one line to the next one of a paragraph, in heights of a line: less is the same line, more is another block."""
_ITEM: Final = re.compile(r"(?:[•▪‣◦●○■□–*-]|\(?(?:\d{1,3}|[a-zA-Z])[.)])\s+\S")
_ENDS: Final = re.compile(r"[.!?:。！？…][\"'”’)\]]*$")
_LETTER: Final = re.compile(r"[^\W\d_]{2}")
# Han, kana, full-width forms: written without spaces.
_UNSPACED: Final = re.compile(r"[\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff60]")


@dataclass(slots=True)
class Line:
    """What stands on one line, and where: in points from the lower left corner of the page."""

    text: str
    left: float
    right: float
    top: float
    bottom: float

    @property
    def height(self) -> float:
        """Of its characters, half a point exactly."""
        return round(2 * (self.top - self.bottom)) / 2


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the outline."""

    level: int
    title: str
    page: int
    """From 0."""


@dataclass(slots=True)
class _Piece:
    """A block in the making."""

    kind: Kind
    lines: list[Line]
    level: int = 0
    cells: list[str] = field(default_factory=list)


def build(pages: Sequence[Sequence[Line]], outline: Sequence[Entry], builder: Builder) -> None:
    """Adds the pages' blocks. Headings come from the outline when there is one, else from the height of letters."""
    levels = {} if outline else _levels(pages)
    entries: dict[int, list[Entry]] = {}
    for entry in outline:
        entries.setdefault(entry.page, []).append(entry)
    spacing = _spacing(pages)
    for number, lines in enumerate(pages):
        builder.page = number + 1
        _page(lines, levels, spacing, entries.get(number, []), builder)


def _page(
    lines: Sequence[Line], levels: dict[float, int], spacing: float, entries: list[Entry], builder: Builder
) -> None:
    pieces = list(_pieces(lines, levels, spacing, {squeeze(entry.title).casefold() for entry in entries}))
    shown = {_text(piece.lines).casefold() for piece in pieces if piece.kind == "heading"}
    pending = list(entries)
    # What the outline names and the page does not show in these words begins where its page begins.
    while pending and squeeze(pending[0].title).casefold() not in shown:
        entry = pending.pop(0)
        builder.enter(entry.level, entry.title)
    for piece in pieces:
        if piece.kind == "table":
            builder.add("\n".join(piece.cells), "table")
        elif piece.kind != "heading":
            builder.add(_text(piece.lines), piece.kind)
        elif piece.level:
            builder.heading(piece.level, _text(piece.lines))
        else:
            _named(_text(piece.lines), pending, builder)
    for entry in pending:
        builder.enter(entry.level, entry.title)


def _named(text: str, pending: list[Entry], builder: Builder) -> None:
    """A heading by the outline; entries before it that did not show come first, empty."""
    known = text.casefold()
    place = next((at for at, entry in enumerate(pending) if squeeze(entry.title).casefold() == known), None)
    if place is None:
        builder.add(text)
        return
    for entry in pending[:place]:
        builder.enter(entry.level, entry.title)
    builder.heading(pending[place].level, text)
    del pending[: place + 1]


def _levels(pages: Sequence[Sequence[Line]]) -> dict[float, int]:
    """The level of headings by their height: the tallest letters are level 1."""
    heights: Counter[float] = Counter()
    for line in (line for lines in pages for line in lines):
        heights[line.height] += len(line.text)
    if not heights:
        return {}
    usual = heights.most_common(1)[0][0]
    # Text that fills more than a fifth of a document is no heading, however tall.
    most = heights.total() / 5
    tall = sorted(
        (height for height, size in heights.items() if height > usual * _LARGER and size < most), reverse=True
    )
    return {height: min(place, _MOST_LEVELS) for place, height in enumerate(tall, 1)}


def _pieces(lines: Sequence[Line], levels: dict[float, int], spacing: float, titles: set[str]) -> Iterator[_Piece]:
    """A page's lines as blocks."""
    rows = _rows(lines)
    held: _Piece | None = None
    for place, row in enumerate(rows):
        beside = len(row) > 1
        tabular = beside and any(len(rows[near]) > 1 for near in (place - 1, place + 1) if 0 <= near < len(rows))
        if tabular:
            if held is None or held.kind != "table":
                if held is not None:
                    yield held
                held = _Piece("table", [])
            held.cells.append(SEPARATOR.join(line.text for line in row))
            continue
        line = row[0] if not beside else _merged(row)
        level = _level(line, levels)
        named = not level and squeeze(line.text).casefold() in titles
        if held is not None and not named and _continues(held, line, level, spacing):
            held.lines.append(line)
            continue
        if held is not None:
            yield held
        kind: Kind = "heading" if level or named else "item" if _ITEM.match(line.text) else "paragraph"
        held = _Piece(kind, [line], level)
    if held is not None:
        yield held


def _rows(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines that stand beside each other, from left to right, are one row."""
    rows: list[list[Line]] = []
    for line in lines:
        last = rows[-1][-1] if rows else None
        if last is not None and line.left > last.right and _overlap(last, line) > 0.5:
            rows[-1].append(line)
        else:
            rows.append([line])
    return rows


def _overlap(one: Line, other: Line) -> float:
    shared = min(one.top, other.top) - max(one.bottom, other.bottom)
    return shared / max(0.1, min(one.top - one.bottom, other.top - other.bottom))


def _merged(row: Sequence[Line]) -> Line:
    first, last = row[0], row[-1]
    return Line(" ".join(line.text for line in row), first.left, last.right, first.top, first.bottom)


def _spacing(pages: Sequence[Sequence[Line]]) -> float:
    """From one line to the next, in heights of a line, as it is in most of the text."""
    found: Counter[float] = Counter()
    for lines in pages:
        for above, below in pairwise(lines):
            step = (above.bottom - below.bottom) / max(1.0, above.height)
            if _SPACINGS[0] < step < _SPACINGS[1]:
                # Long lines are prose; headings and tables have short ones.
                found[round(step, 1)] += len(above.text)
    return found.most_common(1)[0][0] if found else 1.2


def _level(line: Line, levels: dict[float, int]) -> int:
    if len(line.text) > _LONGEST_HEADING or not _LETTER.search(line.text):
        return 0
    return levels.get(line.height, 0)


def _continues(held: _Piece, line: Line, level: int, spacing: float) -> bool:
    """Whether a line goes on with the block before it."""
    if held.kind == "table" or not held.lines:
        return False
    last = held.lines[-1]
    step = last.bottom - line.bottom
    if held.kind == "heading":
        # A heading over several lines, if it was found by its height.
        return held.level > 0 and level == held.level and 0 < step < 2 * last.height
    if level or abs(line.height - last.height) > 0.15 * max(line.height, last.height):
        return False
    if step <= 0 or step > _PITCH * spacing * last.height or _ITEM.match(line.text):
        return False
    left = min(one.left for one in held.lines)
    indented = line.left > left + 0.8 * line.height and held.kind == "paragraph"
    right = max(one.right for one in held.lines)
    short = last.right < right - 0.25 * (right - left) and _ENDS.search(last.text) is not None
    return not indented and not short


def _text(lines: Sequence[Line]) -> str:
    """Lines as one: words that were divided are whole again."""
    joined = ""
    for line in lines:
        if joined.endswith("\xad"):
            joined = joined[:-1] + line.text
        elif joined and (joined.endswith("-") or (_UNSPACED.match(joined[-1]) and _UNSPACED.match(line.text))):
            joined += line.text
        else:
            joined = f"{joined} {line.text}" if joined else line.text
    return squeeze(joined.replace("\xad", ""))
