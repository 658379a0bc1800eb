"""An index and the one thread that touches it."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np

from services.graph.indexes.snapshots.file import Reader, Writer
from services.graph.passages.index.index import PassageIndex
from services.graph.passages.passage import Passage, Vectors

T = TypeVar("T")

_PIECE: Final = 8 * 2**20
"""Bytes copied at a time for a snapshot: some milliseconds in which no question is answered."""

_AT_ONCE: Final = 8
"""Passages that go in before a question gets its turn: some tens of milliseconds."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of an index."""

    passages: int = 0
    bytes: int = 0


class HeldIndex:
    """The passages of one tenant whose vectors are of one model.

    All that is done to the index is done in one thread of its own, one thing after the other: so nothing needs a lock,
    a call that is cancelled leaves nothing half done, and the event loop goes on meanwhile.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._index = PassageIndex(dimension)
        self._thread = ThreadPoolExecutor(1, "passage-index")
        self.size = Size()
        """As it was when `measure` last looked."""
        self.read_seconds = 0.0
        """What the last reading of a whole collection took; 0: none is done."""
        self.changes = 0
        """How many passages and vectors of phrases have come and gone; a snapshot is of a number of them."""
        self.changed_at = time.monotonic()
        self._changing = asyncio.Lock()
        """Held by what changes the index, and while it is written down: questions are answered meanwhile."""

    async def ask(self, act: Callable[[PassageIndex], T]) -> T:
        """Runs a function on the index, when it is its turn."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, act, self._index)

    async def put(self, passages: Sequence[Passage]) -> None:
        """Adds passages, each in the place of the one with its id."""

        def put(index: PassageIndex, part: Sequence[Passage]) -> None:
            for one in part:
                index.put(one)

        for first in range(0, len(passages), _AT_ONCE):
            part = passages[first : first + _AT_ONCE]
            await self._change(len(part), lambda index, part=part: put(index, part))  # type: ignore[misc]

    async def lacking(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that are not there."""
        return await self.ask(lambda index: {one for one in ids if one not in index})

    async def delete(self, ids: Sequence[str]) -> None:
        """Removes passages; ids that are not there are passed over."""

        def delete(index: PassageIndex) -> None:
            for one in ids:
                index.delete(one)

        await self._change(len(ids), delete)

    async def drop(self, collection: str) -> None:
        """Removes the passages of a collection."""
        await self._change(1, lambda index: index.drop(collection))

    async def wanted(self, most: int) -> list[str]:
        """Phrases that need a vector."""
        async with self._changing:
            # On the way, what was noted about phrases is brought up to date.
            return await self.ask(lambda index: index.wanted(most))

    async def learn(self, phrases: Sequence[str], vectors: Vectors) -> None:
        await self._change(len(phrases), lambda index: index.learn(phrases, vectors))

    async def measure(self) -> None:
        """Looks how large it is."""
        self.size = await self.ask(lambda index: Size(len(index), index.nbytes))

    async def load(self, reader: Reader, collections: Sequence[str]) -> None:
        """Puts what was written down in the place of everything, but for passages of other collections.

        Raises Damaged, OSError, and ValueError when it is of another kind; the index is as it was then.
        """

        def load(_: PassageIndex) -> PassageIndex:
            index = PassageIndex(self._dimension)
            index.restore(dict(reader.arrays()))
            index.drop_others(collections)
            return index

        async with self._changing:
            self._index = await self.ask(load)

    async def save(self, writer: Writer, head: Callable[[], Mapping[str, Any]]) -> int:
        """Writes everything down as it is at one moment, in which `head` is called; returns the `changes` of then.

        Raises OSError.
        """
        async with self._changing:
            told, changes = head(), self.changes
            for name, rows in (await self.ask(lambda index: index.arrays())).items():
                writer.begin(name, rows.dtype, rows.shape)
                flat = rows.reshape(-1).view(np.uint8)
                for first in range(0, len(flat), _PIECE):
                    # Copied in the index's own thread: questions note products on the mentions they meet.
                    part = flat[first : first + _PIECE]
                    piece = await self.ask(lambda _, part=part: part.tobytes())  # type: ignore[misc]
                    await asyncio.to_thread(writer.write, piece)
        await asyncio.to_thread(writer.finish, told)
        return changes

    async def _change(self, count: int, act: Callable[[PassageIndex], T]) -> T:
        async with self._changing:
            self.changes += count
            self.changed_at = time.monotonic()
            return await self.ask(act)

    def close(self) -> None:
        """Ends the thread after what it is doing; the index can't be asked any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)
