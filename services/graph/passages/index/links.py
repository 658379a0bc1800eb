"""Links between two kinds of things, found from either end, that can be added one at a time."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from services.graph.passages.index.arrays import Bools, Growing, Ints, ranges
from services.graph.passages.index.kept import Arrays, Kept, taken

_LEAST_COMPACTION: Final = 8192
_FEW: Final = 64
"""Things whose links are copied one after the other."""


class _Side:
    """Where the links of each thing of one side are: compressed rows, and lists for what came since."""

    def __init__(self) -> None:
        self.starts: NDArray[np.uint32] = np.zeros(1, np.uint32)
        self.order: NDArray[np.uint32] | None = None
        """Links sorted by this side; None when they lie in that order."""
        self.tail: defaultdict[int, list[int]] = defaultdict(list)

    def build(self, ends: NDArray[Any], ordered: bool) -> None:
        size = int(ends.max()) + 1 if len(ends) else 0
        self.starts = np.zeros(size + 1, np.uint32)
        np.cumsum(np.bincount(ends, minlength=size), out=self.starts[1:])
        self.order = None if ordered else np.argsort(ends, kind="stable").astype(np.uint32)
        self.tail = defaultdict(list)

    def of(self, ends: Ints) -> tuple[Ints, Ints]:
        """Links of each of `ends`, and for each link the place in `ends` that it belongs to."""
        held = ends < len(self.starts) - 1
        inside = np.where(held, ends, 0)
        first = self.starts[inside].astype(np.int64)
        counts = np.zeros(len(ends), np.int64)
        if len(self.starts) > 1:
            counts = np.where(held, self.starts[inside + 1] - first, 0)
        links = self._between(first, counts)
        owners = np.repeat(np.arange(len(ends), dtype=np.int64), counts)
        if self.tail:
            late = [(place, self.tail[end]) for place, end in enumerate(ends.tolist()) if end in self.tail]
            if late:
                links = np.concatenate([links, *(np.array(found, np.int64) for _, found in late)])
                owners = np.concatenate([owners, *(np.full(len(found), place) for place, found in late)])
        return links, owners

    def _between(self, first: Ints, counts: Ints) -> Ints:
        """The links of some stretches of the compressed rows."""
        if self.order is None:
            return ranges(first, counts)
        if len(first) > _FEW:
            return self.order[ranges(first, counts)].astype(np.int64)
        # Common words have a link of every passage: whole stretches are copied an order faster than single numbers.
        parts = [
            self.order[begin : begin + count] for begin, count in zip(first.tolist(), counts.tolist(), strict=True)
        ]
        return np.concatenate(parts, dtype=np.int64) if parts else np.empty(0, np.int64)


class Links(Kept):
    """Links between passages (slots) and something else (phrases, terms), with some numbers on each.

    Links of a removed passage stay until the next compaction: whoever reads them from the other side asks `alive`.
    """

    parts = ("_slot", "_other")

    def __init__(self, columns: Mapping[str, DTypeLike]) -> None:
        self._slot = Growing(np.uint32)
        self._other = Growing(np.uint32)
        self._columns = {name: Growing(dtype) for name, dtype in columns.items()}
        self._by_slot = _Side()
        self._by_other = _Side()
        self._compacted = 0
        self._dead = 0

    def __len__(self) -> int:
        return len(self._slot)

    @property
    def slot(self) -> NDArray[np.uint32]:
        return self._slot.rows

    @property
    def other(self) -> NDArray[np.uint32]:
        return self._other.rows

    def column(self, name: str) -> NDArray[Any]:
        """One number of every link: a view, which may be written to."""
        return self._columns[name].rows

    @property
    def nbytes(self) -> int:
        arrays = [self._slot, self._other, *self._columns.values()]
        sides = [self._by_slot.starts, self._by_other.starts, self._by_other.order]
        tail = 2 * 44 * (len(self) - self._compacted)
        return sum(one.nbytes for one in arrays) + sum(one.nbytes for one in sides if one is not None) + tail

    def add(self, slots: NDArray[Any], others: NDArray[Any], **columns: NDArray[Any]) -> None:
        """New links; `columns` has every column."""
        first = self._slot.append(slots)
        self._other.append(others)
        for name, growing in self._columns.items():
            growing.append(columns[name])
        self._list(first)

    def of_slots(self, slots: Ints) -> tuple[Ints, Ints]:
        """Links of each slot, and for each link the place in `slots` that it belongs to."""
        return self._by_slot.of(slots)

    def of_others(self, others: Ints, alive: Bools) -> tuple[Ints, Ints]:
        """Links of each phrase or term to passages that are alive, and for each link the place in `others`."""
        links, owners = self.of_all_others(others)
        kept = alive[self.slot[links]]
        return links[kept], owners[kept]

    def of_all_others(self, others: Ints) -> tuple[Ints, Ints]:
        """The same, links to passages that were removed among them."""
        return self._by_other.of(others)

    def buried(self, count: int) -> None:
        """Says that a passage with so many links was removed."""
        self._dead += count

    @property
    def untidy(self) -> bool:
        """Whether so much is new or dead that `compact` is worth its time, which is that of sorting all links."""
        return len(self) - self._compacted + self._dead > max(_LEAST_COMPACTION, self._compacted // 16)

    def compact(self, alive: Bools) -> None:
        """Drops links of removed passages and sorts the others by passage."""
        kept = np.flatnonzero(alive[self.slot])
        kept = kept[np.argsort(self.slot[kept], kind="stable")]
        for growing in (self._slot, self._other, *self._columns.values()):
            growing.replace(growing.rows[kept])
        self._by_slot.build(self.slot, ordered=True)
        self._by_other.build(self.other, ordered=False)
        self._compacted, self._dead = len(self), 0

    def own(self) -> Arrays:
        assert self._by_other.order is not None or not self._compacted  # noqa: S101 - compaction makes it
        order = self._by_other.order
        return {
            "slot starts": self._by_slot.starts,
            "other starts": self._by_other.starts,
            "other order": np.zeros(0, np.uint32) if order is None else order,
            "numbers": np.array([self._compacted, self._dead], np.int64),
            **{f"column {name}": growing.rows for name, growing in self._columns.items()},
        }

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._by_slot, self._by_other = _Side(), _Side()
        self._by_slot.starts = taken(arrays, "slot starts", np.uint32)
        self._by_other.starts = taken(arrays, "other starts", np.uint32)
        self._by_other.order = taken(arrays, "other order", np.uint32)
        self._compacted, self._dead = taken(arrays, "numbers", np.int64).tolist()
        for name, growing in self._columns.items():
            growing.restore({"rows": arrays.get(f"column {name}", np.zeros(0))})
        self._list(self._compacted)

    def _list(self, first: int) -> None:
        """Makes links found that no sorted array has yet, from number `first` on."""
        late = zip(range(first, len(self)), self.slot[first:].tolist(), self.other[first:].tolist(), strict=True)
        for link, slot, other in late:
            self._by_slot.tail[slot].append(link)
            self._by_other.tail[other].append(link)
