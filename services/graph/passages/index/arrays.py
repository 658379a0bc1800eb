"""Arrays that grow, and the joining of ranges of indices."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from services.graph.passages.index.kept import Arrays, Kept, taken

Ints = NDArray[np.int64]
"""Indices into some array; of edges, slots, phrases, terms."""
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

_FACTOR: Final = 1.1
_LEAST: Final = 64


class Growing(Kept):
    """An array that rows are appended to. Room for a tenth more is kept, not for double: the arrays are what memory
    goes to."""

    def __init__(self, dtype: DTypeLike, width: int = 0) -> None:
        """`width`: numbers in a row; 0: rows are numbers."""
        self._shape = (width,) if width else ()
        self._data: NDArray[Any] = np.zeros((0, *self._shape), dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> NDArray[Any]:
        """The rows so far: a view, valid until something is appended."""
        return self._data[: self._count]

    @property
    def nbytes(self) -> int:
        """Bytes held, the spare room included."""
        return self._data.nbytes

    def append(self, rows: NDArray[Any]) -> int:
        """Appends rows; the index of the first of them."""
        first = self._count
        self.extend_to(first + len(rows))
        self._data[first : self._count] = rows
        return first

    def extend_to(self, count: int) -> None:
        """Makes it at least `count` rows long; the new ones are zero."""
        if count > len(self._data):
            room = max(count, int(len(self._data) * _FACTOR), _LEAST)
            grown = np.zeros((room, *self._shape), self._data.dtype)
            grown[: self._count] = self._data[: self._count]
            self._data = grown
        self._count = max(self._count, count)

    def replace(self, rows: NDArray[Any]) -> None:
        """Puts other rows in the place of all."""
        self._data = np.ascontiguousarray(rows, self._data.dtype)
        self._count = len(rows)

    def own(self) -> Arrays:
        return {"rows": self.rows}

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._data = taken(arrays, "rows", self._data.dtype, *self._shape)
        self._count = len(self._data)


def ranges(starts: NDArray[Any], counts: NDArray[Any]) -> Ints:
    """starts[0], starts[0] + 1, … counts[0] of them, then those of starts[1], and so on."""
    counts = counts.astype(np.int64)
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    shift: Ints = np.repeat(starts.astype(np.int64) - (ends - counts), counts)
    return np.arange(total, dtype=np.int64) + shift


def unique(values: Ints) -> tuple[Ints, Ints]:
    """The different values, sorted, and for each value its place among them."""
    found, places = np.unique(values, return_inverse=True)
    return found.astype(np.int64), places.astype(np.int64)
