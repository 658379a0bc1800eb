"""Vectors of things that not every passage or phrase has one of."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.graph.passages.index.arrays import Bools, Floats, Growing, Ints, ranges
from services.graph.passages.index.eighths import products, to_bytes
from services.graph.passages.index.halves import gather
from services.graph.passages.index.interning import digest
from services.graph.passages.index.kept import Arrays, Kept, taken


class Rows(Kept):
    """At most one vector for each number."""

    parts = ("_vectors", "_row")

    def __init__(self, dimension: int) -> None:
        self._vectors = Growing(np.float16, dimension)
        self._row = Growing(np.int32)
        """Row + 1 of each number; 0: none."""
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._vectors) - len(self._free)

    @property
    def nbytes(self) -> int:
        return self._vectors.nbytes + self._row.nbytes

    def put(self, number: int, vector: NDArray[np.float16]) -> None:
        """Gives a number that has none its vector."""
        self._assign(number, self._new(vector))

    def drop(self, number: int) -> None:
        """Takes a number's vector away, if it has one."""
        row = int(self.places(np.array([number]))[0])
        if row >= 0:
            self._row.rows[number] = 0
            self._release(row)

    def numbers(self) -> Ints:
        """Who has a vector."""
        return np.flatnonzero(self._row.rows)

    def places(self, numbers: Ints) -> Ints:
        """The row of each number; -1: none."""
        if not len(self._row):
            return np.full(len(numbers), -1, np.int64)
        inside = numbers < len(self._row)
        return np.where(inside, self._row.rows[np.where(inside, numbers, 0)].astype(np.int64) - 1, -1)

    def vectors(self, numbers: Ints) -> tuple[Floats, Bools]:
        """The vector of each number, zero where there is none, and where there is one."""
        rows = self.places(numbers)
        there = rows >= 0
        found = np.zeros((len(numbers), self._vectors.rows.shape[1]), np.float32)
        found[there] = gather(self._vectors.rows, rows[there])
        return found, there

    def own(self) -> Arrays:
        return {"free": np.array(self._free, np.int64)}

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._free = taken(arrays, "free", np.int64).tolist()

    def _assign(self, number: int, row: int) -> None:
        self._row.extend_to(number + 1)
        self._row.rows[number] = row + 1

    def _release(self, row: int) -> None:
        self._free.append(row)

    def _new(self, vector: NDArray[np.float16]) -> int:
        if not self._free:
            return self._vectors.append(vector[None])
        row = self._free.pop()
        self._vectors.rows[row] = vector
        return row


class SharedRows(Rows):
    """Vectors of texts that many numbers have in common: the chunks of a document have one title."""

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension)
        self._rows: dict[int, int] = {}
        self._digests: list[int] = []
        self._users: list[int] = []

    @property
    def nbytes(self) -> int:
        return super().nbytes + 170 * len(self._rows)

    def share(self, number: int, text: str, vector: NDArray[np.float16]) -> None:
        """Gives a number that has none the vector of a text, whoever gave that first."""
        key = digest(text)
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = self._new(vector)
            if row == len(self._users):
                self._users.append(0)
                self._digests.append(key)
            self._digests[row] = key
        self._users[row] += 1
        self._assign(number, row)

    def own(self) -> Arrays:
        texts, users = np.array(self._digests, np.uint64), np.array(self._users, np.uint32)
        return {**super().own(), "digests": texts, "users": users}

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        super().take(arrays)
        self._digests = taken(arrays, "digests", np.uint64).tolist()
        self._users = taken(arrays, "users", np.uint32).tolist()
        rows = enumerate(zip(self._digests, self._users, strict=True))
        self._rows = {digest: row for row, (digest, users) in rows if users}

    def _release(self, row: int) -> None:
        self._users[row] -= 1
        if not self._users[row]:
            del self._rows[self._digests[row]]
            super()._release(row)


class Blocks(Kept):
    """Any number of vectors for each slot, each with the span it stands for, in one array."""

    parts = ("_rows", "_steps", "_spans", "_starts", "_counts")

    def __init__(self, dimension: int) -> None:
        self._rows = Growing(np.int8, dimension)
        self._steps = Growing(np.float16)
        self._spans = Growing(np.uint32, 2)
        self._starts = Growing(np.uint32)
        self._counts = Growing(np.uint16)
        self._dead = 0

    @property
    def nbytes(self) -> int:
        parts = (self._rows, self._steps, self._spans, self._starts, self._counts)
        return sum(part.nbytes for part in parts)

    def put(self, slot: int, vectors: Floats, spans: Sequence[tuple[int, int]]) -> None:
        """Gives a slot that has none its vectors."""
        self._starts.extend_to(slot + 1)
        self._counts.extend_to(slot + 1)
        if spans:
            rows, steps = to_bytes(vectors)
            self._starts.rows[slot] = self._rows.append(rows)
            self._steps.append(steps)
            self._spans.append(np.array(spans, np.uint32))
        self._counts.rows[slot] = len(spans)

    def drop(self, slot: int) -> None:
        """Takes a slot's vectors away."""
        self._dead += int(self._counts.rows[slot])
        self._counts.rows[slot] = 0
        if self._dead > max(1024, len(self._rows) // 4):
            self._compact()

    def of(self, slots: Ints) -> tuple[Ints, Ints]:
        """Rows of each slot, and for each row the place in `slots`."""
        counts = self._counts.rows[slots]
        return ranges(self._starts.rows[slots], counts), np.repeat(np.arange(len(slots)), counts)

    def products(self, rows: Ints, vectors: Floats, owners: Ints | None = None) -> Floats:
        """Of each of these rows with one vector; with `owners`, with the vector of its owner."""
        return products(self._rows.rows, self._steps.rows, rows, vectors, owners)

    def span(self, row: int) -> tuple[int, int]:
        start, end = self._spans.rows[row].tolist()
        return start, end

    def own(self) -> Arrays:
        return {"dead": np.array([self._dead], np.int64)}

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        (self._dead,) = taken(arrays, "dead", np.int64).tolist()

    def _compact(self) -> None:
        counts: NDArray[Any] = self._counts.rows
        kept = ranges(self._starts.rows, counts)
        self._rows.replace(self._rows.rows[kept])
        self._steps.replace(self._steps.rows[kept])
        self._spans.replace(self._spans.rows[kept])
        self._starts.rows[:] = np.cumsum(counts, dtype=np.int64) - counts
        self._dead = 0
