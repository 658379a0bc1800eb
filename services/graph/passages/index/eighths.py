"""Vectors in a byte a number, each row with the length of its step.

Sentences are most of an index's memory, and of a passage only the best counts, with half a say. A byte moves a
product by about 0.0005, where neighbouring sentences differ by a hundred times that.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.graph.passages.index.arrays import Floats, Ints

Bytes = NDArray[np.int8]
"""rows × dimension."""
Steps = NDArray[np.float16]
"""rows."""

_MOST: Final = 127
_BLOCK: Final = 1024
"""Rows at a time: what fits into a core's own cache."""


def to_bytes(vectors: Floats) -> tuple[Bytes, Steps]:
    """Rows of length 1 in bytes, and what one step of each row's numbers is worth; zero rows stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = vectors / np.where(lengths == 0, np.float32(1), lengths)
    steps = (np.abs(rows).max(axis=1, initial=0) / _MOST).astype(np.float16)
    # Rounding a step down may push the largest number over the end.
    scaled = rows / np.where(steps == 0, np.float32(1), steps.astype(np.float32))[:, None]
    return np.clip(np.rint(scaled), -_MOST, _MOST).astype(np.int8), steps


def products(rows: Bytes, steps: Steps, chosen: Ints, vectors: Floats, owners: Ints | None = None) -> Floats:
    """Of each chosen row with one vector; with `owners`, with the vector of its owner."""
    out = np.empty(len(chosen), np.float32)
    for first in range(0, len(chosen), _BLOCK):
        part = slice(first, first + _BLOCK)
        block = rows[chosen[part]].astype(np.float32)
        if owners is None:
            np.dot(block, vectors, out=out[part])
        else:
            np.einsum("ij,ij->i", block, vectors[owners[part]], out=out[part])
    return out * steps[chosen].astype(np.float32)
