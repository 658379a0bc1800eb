"""Words of many passages, packed as lexicon.py says: each distinct word is looked at once, the rest is arrays."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.vector.model import Words
from services.vector.stores.points import lexicon
from services.vector.stores.points.lexicon import ENTRY_BYTES, HASH_BYTES, MOST


@dataclass(frozen=True, slots=True)
class Packed:
    """Of some passages."""

    weights: list[bytes]
    """By passage."""
    sequences: list[bytes]
    """By passage."""
    words: list[str]
    """Each once, in any order."""
    keys: list[bytes]
    """Of each of `words`."""
    passages: list[int]
    """In how many passages each of `words` stands."""


def pack(every: Sequence[Words]) -> Packed:
    """A count beyond 255 says no more than 255."""
    number: defaultdict[str, int] = defaultdict(itertools.count().__next__)
    counted = _numbers(map(number.__getitem__, itertools.chain.from_iterable(one.counts for one in every)))
    words = list(number)
    ordered = _numbers(map(number.__getitem__, itertools.chain.from_iterable(one.order for one in every)))
    keys = [lexicon.key(word) for word in number]
    hashes = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, HASH_BYTES)
    entries = np.empty((len(counted), ENTRY_BYTES), np.uint8)
    entries[:, :HASH_BYTES] = hashes[counted]
    counts = _numbers(itertools.chain.from_iterable(one.counts.values() for one in every))
    entries[:, HASH_BYTES] = np.minimum(counts, MOST)
    return Packed(
        weights=_cut(entries, [len(one.counts) for one in every]),
        sequences=_cut(hashes[ordered], [len(one.order) for one in every]),
        words=words,
        keys=keys[: len(words)],
        passages=np.bincount(counted, minlength=len(words)).tolist(),
    )


def _numbers(values: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(values, np.int64)


def _cut(rows: NDArray[np.uint8], sizes: Sequence[int]) -> list[bytes]:
    """The bytes of the first so many rows, of the next so many, …"""
    packed, width = rows.tobytes(), rows.shape[1]
    ends = itertools.accumulate(size * width for size in sizes)
    return [packed[end - size * width : end] for size, end in zip(sizes, ends, strict=True)]
