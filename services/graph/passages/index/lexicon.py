"""Terms: which passages have them, how often, and how they are written."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from services.graph.passages.index.arrays import Bools, Floats, Growing, Ints
from services.graph.passages.index.interning import Strings
from services.graph.passages.index.kept import Kept
from services.graph.passages.index.links import Links

_MOST: Final = 255
"""Of one term in one passage; more says no more."""
_MOST_CASED: Final = 15
"""The same, with a capital and without: both share a byte."""


class Lexicon(Kept):
    """Postings for BM25, and how often each term stands with and without a capital inside sentences."""

    parts = ("_terms", "_postings", "_passages", "_capital", "_small")

    def __init__(self) -> None:
        self._terms = Strings()
        self._postings = Links({"count": np.uint8, "casing": np.uint8})
        self._passages = Growing(np.uint32)
        self._capital = Growing(np.int64)
        self._small = Growing(np.int64)

    @property
    def nbytes(self) -> int:
        parts = (self._terms, self._postings, self._passages, self._capital, self._small)
        return sum(part.nbytes for part in parts)

    def add(self, slot: int, counts: Mapping[str, int], casing: Mapping[str, tuple[int, int]]) -> int:
        """Counts a passage's terms; how many they are, repetitions included."""
        names = list(counts.keys() | casing.keys())
        numbers = self.intern(names)
        count = np.array([min(counts.get(name, 0), _MOST) for name in names], np.uint8)
        high = np.array([min(casing.get(name, (0, 0))[0], _MOST_CASED) for name in names], np.uint8)
        low = np.array([min(casing.get(name, (0, 0))[1], _MOST_CASED) for name in names], np.uint8)
        self._postings.add(np.full(len(names), slot), numbers, count=count, casing=high << 4 | low)
        self._passages.rows[numbers[count > 0]] += 1
        self._capital.rows[numbers] += high
        self._small.rows[numbers] += low
        return int(count.sum())

    def remove(self, slot: int) -> None:
        links, _ = self._postings.of_slots(np.array([slot]))
        numbers = self._postings.other[links]
        self._passages.rows[numbers[self._postings.column("count")[links] > 0]] -= 1
        self._capital.rows[numbers] -= self._postings.column("casing")[links] >> 4
        self._small.rows[numbers] -= self._postings.column("casing")[links] & _MOST_CASED
        self._postings.buried(len(links))

    def intern(self, names: Sequence[str]) -> Ints:
        """Numbers of different terms, new ones where there are none."""
        numbers = self._terms.intern(names)
        for growing in (self._passages, self._capital, self._small):
            growing.extend_to(len(self._terms))
        return numbers

    def find(self, names: Sequence[str]) -> Ints:
        """Numbers of terms; -1 for unknown ones."""
        return self._terms.find(names)

    def passages(self, numbers: Ints) -> Ints:
        """In how many passages each term is."""
        return self._passages.rows[numbers].astype(np.int64)

    def mostly_small(self, numbers: Ints) -> Bools:
        """Whether each term stands inside sentences with a capital no more often than without."""
        return np.asarray(self._capital.rows[numbers] <= self._small.rows[numbers])

    def postings(self, numbers: Ints, alive: Bools) -> tuple[Ints, Ints, Floats]:
        """Of each posting of these terms: the slot, the place in `numbers`, and how often."""
        links, owners = self._postings.of_all_others(numbers)
        slots, counts = self._postings.slot[links].astype(np.int64), self._postings.column("count")[links]
        kept = alive[slots] & (counts > 0)
        if not kept.all():
            slots, owners, counts = slots[kept], owners[kept], counts[kept]
        return slots, owners, counts.astype(np.float32)

    @property
    def untidy(self) -> bool:
        return self._postings.untidy

    def compact(self, alive: Bools) -> None:
        self._postings.compact(alive)
