"""Strings by number, in a few bytes each."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.graph.passages.index.arrays import Growing, Ints
from services.graph.passages.index.kept import Arrays, Kept, taken

_LEAST_MERGE: Final = 4096


def digest(text: str) -> int:
    """64 bits that stand for a string: among ten million of them the chance of any two alike is one in 370,000."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


class Digests(Kept):
    """Numbers by digest: sorted arrays, and a dict for what is new until it is worth merging. 12 bytes an entry, where
    a dict takes a hundred."""

    def __init__(self) -> None:
        self._keys = np.empty(0, np.uint64)
        self._values = np.empty(0, np.uint32)
        self._new: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._keys) + len(self._new)

    @property
    def nbytes(self) -> int:
        return self._keys.nbytes + self._values.nbytes + 130 * len(self._new)

    def find(self, digests: Sequence[int]) -> Ints:
        """The number of each; -1 for what is not there."""
        wanted = np.array(digests, np.uint64)
        found = np.full(len(wanted), -1, np.int64)
        if len(self._keys) and len(wanted):
            places = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
            there = self._keys[places] == wanted
            found[there] = self._values[places[there]]
        if self._new:
            for place, one in enumerate(digests):
                value = self._new.get(one)
                if value is not None:
                    found[place] = value
        return found

    def put(self, digests: Iterable[int], values: Iterable[int]) -> None:
        """Sets numbers, of new digests or of known ones."""
        self._new.update(zip(digests, values, strict=True))
        if len(self._new) > max(_LEAST_MERGE, len(self._keys) // 8):
            self._merge()

    def keep(self, alive: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        """Drops the entries whose number is not alive."""
        self._merge()
        kept = alive[self._values]
        self._keys, self._values = self._keys[kept], self._values[kept]

    def own(self) -> Arrays:
        keys, values = self._newer()
        return {"keys": self._keys, "values": self._values, "new keys": keys, "new values": values}

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._keys, self._values = taken(arrays, "keys", np.uint64), taken(arrays, "values", np.uint32)
        keys, values = taken(arrays, "new keys", np.uint64), taken(arrays, "new values", np.uint32)
        self._new = dict(zip(keys.tolist(), values.tolist(), strict=True))

    def _newer(self) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
        count = len(self._new)
        return np.fromiter(self._new, np.uint64, count), np.fromiter(self._new.values(), np.uint32, count)

    def _merge(self) -> None:
        keys, values = self._newer()
        # The new ones come first, so that of two with one digest the new one stays.
        joined = np.concatenate([keys, self._keys])
        self._keys, first = np.unique(joined, return_index=True)
        self._values = np.concatenate([values, self._values])[first]
        self._new = {}


class Strings(Kept):
    """Strings by number, both ways. Numbers are given in order, from 0, and are never taken back."""

    parts = ("_digests", "_text", "_ends")

    def __init__(self) -> None:
        self._digests = Digests()
        self._text = Growing(np.uint8)
        self._ends = Growing(np.uint32)

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def nbytes(self) -> int:
        return self._digests.nbytes + self._text.nbytes + self._ends.nbytes

    def find(self, texts: Sequence[str]) -> Ints:
        """The number of each; -1 for what is not there."""
        return self._digests.find([digest(text) for text in texts])

    def add(self, texts: Sequence[str]) -> Ints:
        """Numbers for strings that are different from each other and not there yet."""
        first = len(self)
        encoded = [text.encode() for text in texts]
        start = self._text.append(np.frombuffer(b"".join(encoded), np.uint8))
        lengths = np.array([len(one) for one in encoded], np.int64)
        self._ends.append((start + np.cumsum(lengths)).astype(np.uint32))
        numbers = np.arange(first, first + len(texts), dtype=np.int64)
        self._digests.put([digest(text) for text in texts], numbers.tolist())
        return numbers

    def intern(self, texts: Sequence[str]) -> Ints:
        """The number of each of these different strings, a new one where there is none."""
        numbers = self.find(texts)
        missing = np.flatnonzero(numbers < 0)
        if len(missing):
            numbers[missing] = self.add([texts[place] for place in missing.tolist()])
        return numbers

    def text(self, number: int) -> str:
        """The string of a number."""
        ends = self._ends.rows
        start = int(ends[number - 1]) if number else 0
        return self._text.rows[start : int(ends[number])].tobytes().decode()
