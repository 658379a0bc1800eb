"""Vectors in half precision, multiplied as single precision.

numpy converts float16 one number at a time, which would be most of a query's time. The bits of a half, shifted to where
a single has its exponent and fraction, are the same number divided by 2¹¹²: exact, and three integer operations that
run eight or more numbers at a time. The factor goes into the other side of the product.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.graph.passages.index.arrays import Floats, Ints

Halves = NDArray[np.float16]
"""rows × dimension."""

_SHIFT: Final = 13
_MASK: Final = np.int32(-0x70002000)
_SCALE: Final = np.float32(2.0**112)
_BLOCK: Final = 1024
"""Rows at a time: what fits into a core's own cache."""
_SHARED: Final = 16 * _BLOCK
"""Rows from which on the cores share the work: a millisecond and more."""
_MOST_THREADS: Final = 4
"""Beyond that memory is what is waited for."""


def to_halves(vectors: NDArray[np.floating]) -> Halves:
    """Rows of length 1 in half precision; zero rows stay."""
    rows = np.atleast_2d(np.asarray(vectors, np.float32))
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths == 0, np.float32(1), lengths)).astype(np.float16)


def gather(halves: Halves, rows: Ints) -> Floats:
    """The chosen rows in single precision."""
    return _shifted(halves[rows], np.empty((len(rows), halves.shape[1]), np.int32)) * _SCALE


def products(halves: Halves, vectors: Floats, rows: Ints | None = None) -> Floats:
    """Of every row (or of the chosen ones) with one vector, or with each row of a matrix: rows, or rows × vectors."""
    count = len(halves) if rows is None else len(rows)
    out = np.empty((count, *vectors.shape[:-1]), np.float32)
    scaled = np.ascontiguousarray(vectors.T * _SCALE, np.float32)

    def fill(begin: int, end: int) -> None:
        # One block of memory for all: new ones cost as much as the arithmetic.
        wide = np.empty((min(_BLOCK, end - begin), halves.shape[1]), np.int32)
        for first in range(begin, end, _BLOCK):
            last = min(first + _BLOCK, end)
            block = halves[first:last] if rows is None else halves[rows[first:last]]
            np.dot(_shifted(block, wide[: last - first]), scaled, out=out[first:last])

    if count < _SHARED:
        fill(0, count)
    else:
        # Whole blocks each, so that it does not depend on the number of cores what is added up in which order.
        share = -(-count // (_BLOCK * _threads())) * _BLOCK
        list(_pool().map(fill, range(0, count, share), [min(end, count) for end in range(share, count + share, share)]))
    return out


def _threads() -> int:
    return min(_MOST_THREADS, os.cpu_count() or 1)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_threads(), "passage-products")


def _shifted(halves: Halves, wide: NDArray[np.int32]) -> Floats:
    """As singles, 2¹¹² times too small, in the memory of `wide`."""
    np.copyto(wide, halves.view(np.int16))
    np.left_shift(wide, _SHIFT, out=wide)
    np.bitwise_and(wide, _MASK, out=wide)
    return wide.view(np.float32)
