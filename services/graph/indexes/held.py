"""An index and the one thread that touches it."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from services.graph.passages.index.index import PassageIndex
from services.graph.passages.passage import Passage, Vectors

T = TypeVar("T")

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
        self._index = PassageIndex(dimension)
        self._thread = ThreadPoolExecutor(1, "passage-index")
        self.size = Size()
        """As it was when `measure` last looked."""
        self.read_seconds = 0.0
        """What the last reading of a whole collection took; 0: none is done."""

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
            await self.ask(lambda index, part=part: put(index, part))  # type: ignore[misc]

    async def lacking(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that are not there."""
        return await self.ask(lambda index: {one for one in ids if one not in index})

    async def delete(self, ids: Sequence[str]) -> None:
        """Removes passages; ids that are not there are passed over."""

        def delete(index: PassageIndex) -> None:
            for one in ids:
                index.delete(one)

        await self.ask(delete)

    async def drop(self, collection: str) -> None:
        """Removes the passages of a collection."""
        await self.ask(lambda index: index.drop(collection))

    async def wanted(self, most: int) -> list[str]:
        """Phrases that need a vector."""
        return await self.ask(lambda index: index.wanted(most))

    async def learn(self, phrases: Sequence[str], vectors: Vectors) -> None:
        await self.ask(lambda index: index.learn(phrases, vectors))

    async def measure(self) -> None:
        """Looks how large it is."""
        self.size = await self.ask(lambda index: Size(len(index), index.nbytes))

    def close(self) -> None:
        """Ends the thread after what it is doing; the index can't be asked any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)
