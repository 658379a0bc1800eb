"""Tables as lines of text: small ones as they stand, large ones with the column's name at every value."""

from collections.abc import Sequence
from typing import Final

from services.vector.parsing.reading.builder import Builder, squeeze

SEPARATOR: Final = " | "
_ROWS_A_BLOCK: Final = 500


class Grid:
    """A table inside a document, built from events: rows of cells, each of some pieces of text."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._cells: list[list[str]] = []

    def row(self) -> None:
        """Begins a row."""
        self._cells = []

    def cell(self) -> None:
        """Begins a cell."""
        self._cells.append([])

    def put(self, text: str) -> bool:
        """A piece of the current cell; False when there is no cell to put it in (a caption)."""
        if not self._cells:
            return False
        self._cells[-1].append(text)
        return True

    def end_row(self) -> None:
        """Ends the row. An empty one leaves nothing."""
        cells = [squeeze(" ".join(cell)) for cell in self._cells]
        if any(cells):
            self._lines.append(SEPARATOR.join(cells))
        self._cells = []

    def text(self) -> str:
        """All rows, a line each."""
        if self._cells:
            self.end_row()
        return "\n".join(self._lines)


Row = Sequence[tuple[int, str]]
"""Column from 0, and what stands there; empty cells are left out."""


class Sheet:
    """A table that is a document of its own. When its first row names the columns, every value is shown with its
    column's name, so that a passage from the middle can be understood (and found)."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._first: Row | None = None
        self._names: dict[int, str] = {}
        self._lines: list[str] = []

    def add(self, row: Row) -> None:
        """The next row. Raises ParseFailed (TOO_LARGE)."""
        row = [(column, text) for column, value in row if (text := squeeze(value))]
        if not row:
            return
        if self._first is None:
            self._first = row
            if _names_columns(row):
                self._names = dict(row)
            self._line(SEPARATOR.join(text for _, text in row))
            return
        self._line(SEPARATOR.join(self._shown(column, text) for column, text in row))

    def end(self) -> None:
        """After the last row."""
        self._flush()

    def _shown(self, column: int, text: str) -> str:
        name = self._names.get(column)
        return f"{name}: {text}" if name else text

    def _line(self, line: str) -> None:
        self._lines.append(line)
        if len(self._lines) >= _ROWS_A_BLOCK:
            self._flush()

    def _flush(self) -> None:
        self._builder.add("\n".join(self._lines), "table")
        self._lines = []


def _names_columns(row: Row) -> bool:
    """Two or more short, different texts that are no numbers."""
    texts = [text for _, text in row]
    return (
        len(texts) > 1
        and len(set(texts)) == len(texts)
        and all(len(text) <= 80 and any(letter.isalpha() for letter in text) for text in texts)
    )
