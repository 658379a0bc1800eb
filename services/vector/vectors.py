"""Vectors from outside, made fit for a collection."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from services.runtime.errors import DimensionMismatch, InvalidVector, Violation
from services.vector.model import Collection, Vector

_LARGEST: Final = float(np.finfo(np.float32).max)
_LARGEST_HALF: Final = 65_504.0
_AT_ONCE: Final = 256
"""Vectors that are looked at together: a few megabytes of wide numbers, whatever the dimension."""


def checked(collection: Collection, vector: Vector, field: str = "vector") -> Vector:
    """A vector from outside, fit for the collection; `field` is its place in the request.

    Raises DimensionMismatch, InvalidVector.
    """
    if vector.shape[0] != collection.dimension:
        text = f"has {vector.shape[0]} numbers, the collection {collection.dimension}"
        raise DimensionMismatch(f"{field} {text}.", violations=[Violation(field, text)])
    wide = vector.astype(np.float64)
    # Finite just when each of the numbers is: their squares can't pass the largest of 64 bits.
    squares = float(wide.dot(wide))
    if not math.isfinite(squares):
        text = "must hold finite numbers alone"
        raise InvalidVector(f"{field} {text}.", violations=[Violation(field, text)])
    if collection.distance != "cosine":
        if collection.storage == "halfvec" and np.abs(vector).max() > _LARGEST_HALF:
            text = f"holds a number beyond ±{_LARGEST_HALF:.0f}, the limit of the collection's storage"
            raise InvalidVector(f"{field} {text}.", violations=[Violation(field, text)])
        return vector
    if squares == 0.0:
        text = "must not be all zeros: it has no direction"
        raise InvalidVector(f"{field} {text}.", violations=[Violation(field, text)])
    # Only the direction counts, so the length can be one that 16 bits hold well.
    return (wide / math.sqrt(squares)).astype(np.float32)


def all_checked(collection: Collection, vectors: Mapping[int, Vector]) -> dict[int, Vector]:
    """Vectors of points, by their places in the request, like `checked` of each but many at once.

    Raises DimensionMismatch, InvalidVector.
    """
    places = list(vectors)
    made: dict[int, Vector] = {}
    for first in range(0, len(places), _AT_ONCE):
        part = places[first : first + _AT_ONCE]
        good = _checked_together(collection, [vectors[place] for place in part])
        if good is None:
            # One of them is wrong: which, and how, is told as it is for a single one.
            made.update((place, checked(collection, vectors[place], f"points[{place}].vector")) for place in part)
        else:
            made.update(zip(part, good, strict=True))
    return made


def _checked_together(collection: Collection, vectors: Sequence[Vector]) -> Sequence[Vector] | None:
    """The vectors made fit; None where one may be wrong."""
    if any(one.shape[0] != collection.dimension for one in vectors):
        return None
    matrix = np.stack(vectors)
    if collection.distance != "cosine":
        # The largest number of all is finite and small enough just when each of them is.
        most = float(np.abs(matrix).max())
        return vectors if most <= (_LARGEST_HALF if collection.storage == "halfvec" else _LARGEST) else None
    wide = matrix.astype(np.float64)
    squares = np.einsum("ij,ij->i", wide, wide)
    if not (np.isfinite(squares).all() and squares.all()):
        return None
    made: Vector = (wide / np.sqrt(squares)[:, None]).astype(np.float32)
    return list(made)
