"""The outline of a passage's words, from which its BM25 score is bounded for all words of a question at once.

Three of pgvector's sparse vectors, with a place for each word: `once` has a 1 for each word that stands once, `again` a
1 for each that stands more often, `times` how often that is. The product of a sparse vector and the question's takes
PostgreSQL 0.1 µs; looking for the exact count of a single word takes as long (lexicon.py).

A place is 30 bits of the word's hash. Words of a passage that share one count as one that stands as often as they do
together, which makes no bound too low.

A passage of more words than a vector takes has none in `once` and an empty one in `again`: its score has no bound.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.vector.stores.database import copying
from services.vector.stores.points.lexicon import ENTRY_BYTES, HASH_BYTES, NUMBER_BYTES

PLACES: Final = 1_000_000_000
"""Dimensions of the vectors: the most there can be."""
TYPE: Final = f"sparsevec({PLACES})"
_MOST_PLACES: Final = 16_000
"""Numbers but 0 of one vector: pgvector's limit."""
_POSITIVE: Final = 2**31 - 1
_HEADER: Final = struct.Struct(">iii")
_EMPTY: Final = _HEADER.pack(PLACES, 0, 0)


@dataclass(frozen=True, slots=True)
class Outline:
    """Of one passage, as it goes over the wire. `again` and `times` are None without a number but 0."""

    terms: bytes
    """What the words are found by: an `int[]`."""
    once: bytes | None
    again: bytes | None
    times: bytes | None


def place(term: str) -> str:
    """SQL: the place, counted from 1, of a word of which `term` is the number."""
    return f"(({term} & {_POSITIVE}) % {PLACES} + 1)"


def outlines(weights: Sequence[bytes]) -> list[Outline]:
    """The outlines of passages with these `weights`."""
    entries = np.frombuffer(b"".join(weights), np.uint8).reshape(-1, ENTRY_BYTES)
    sizes = [len(one) // ENTRY_BYTES for one in weights]
    terms = np.ascontiguousarray(entries[:, :NUMBER_BYTES]).view(">i4").ravel().astype(np.int64)
    owners, places, counts = _merged(
        np.repeat(np.arange(len(weights)), sizes), (terms & _POSITIVE) % PLACES, entries[:, HASH_BYTES].astype(np.int64)
    )
    single = counts == 1
    ones = np.ones(len(counts))
    several = owners[~single], places[~single]
    once = _vectors(len(weights), owners[single], places[single], ones[single])
    again = _vectors(len(weights), *several, ones[~single])
    times = _vectors(len(weights), *several, counts[~single])
    return [
        Outline(found_by, a or _EMPTY, b, c) if size <= _MOST_PLACES else Outline(found_by, None, _EMPTY, None)
        for size, found_by, a, b, c in zip(sizes, copying.integers(terms, sizes), once, again, times, strict=True)
    ]


def _merged(
    owners: NDArray[np.int64], places: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """In the order of owners and places, each place of an owner once."""
    both = owners * PLACES + places
    order = np.argsort(both, kind="stable")
    both, counts = both[order], counts[order]
    first = np.flatnonzero(np.diff(both, prepend=-1))
    if len(first) < len(both):
        both, counts = both[first], np.add.reduceat(counts, first)
    return both // PLACES, both % PLACES, counts


def _vectors(
    many: int, owners: NDArray[np.int64], places: NDArray[np.int64], values: NDArray[Any]
) -> list[bytes | None]:
    """For each of `many` owners the vector with its places and their values; both sorted by owner."""
    packed_places, packed_values = places.astype(">i4").tobytes(), values.astype(">f4").tobytes()
    vectors: list[bytes | None] = []
    start = 0
    for size in np.bincount(owners, minlength=many).tolist():
        end = start + 4 * size
        vectors.append(
            _HEADER.pack(PLACES, size, 0) + packed_places[start:end] + packed_values[start:end] if size else None
        )
        start = end
    return vectors
