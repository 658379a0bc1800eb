"""Lets a source of pieces and its reader each go at their own pace, within bounds.

What has arrived while the reader was busy leaves together; the first piece leaves at once. The source is held back when
the reader falls behind, a reader that waits long gets heartbeats, and a reader that leaves stops the source.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final, Generic, TypeVar

from services.runtime.errors import DeadlineExceeded

T = TypeVar("T")

CAPACITY: Final = 256 * 1024
"""Characters or bytes that may wait for the reader before the source is held back."""
MARGIN: Final = 0.25
"""Seconds before the deadline at which the stream ends by itself, so that there is time to say why."""


class Heartbeat:
    """Nothing came for a while."""

    def __repr__(self) -> str:
        return "HEARTBEAT"


HEARTBEAT: Final = Heartbeat()


class Paced(Generic[T]):
    """The items of `source`, neighbouring strings (or bytes) joined, with heartbeats in between.

    `heartbeat`: seconds without an item after which a heartbeat comes. `interval`: seconds between two joined pieces;
    what comes in between waits. `seconds`: how long the whole may take; None: for ever.
    """

    def __init__(
        self,
        source: AsyncGenerator[T, None],
        *,
        heartbeat: float,
        interval: float = 0.0,
        seconds: float | None = None,
    ) -> None:
        self._source = source
        self._heartbeat = heartbeat
        self._interval = interval
        self._seconds = seconds
        self._waiting: list[T] = []
        self._size = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._stopped = False

    def stop(self) -> None:
        """Ends the items as soon as possible, without an error; what waits is dropped."""
        self._stopped = True
        self._arrived.set()

    async def items(self) -> AsyncGenerator[T | Heartbeat, None]:
        """Use with `aclosing`: leaving early stops the source.

        Raises:
            DeadlineExceeded: the time is over.
            Exception: whatever the source raises, after the items that came before it.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + max(0.0, self._seconds - MARGIN) if self._seconds is not None else float("inf")
        last = loop.time()
        pump = loop.create_task(self._pump())
        try:
            while not self._stopped:
                if not self._waiting and not pump.done():
                    await self._wait(loop, min(last + self._heartbeat, end))
                if loop.time() >= end and not pump.done():
                    raise DeadlineExceeded("the deadline passed before the answer was complete")
                if self._stopped:
                    return
                if self._waiting:
                    for item in self._take():
                        yield item
                    last = loop.time()
                    if self._interval and not pump.done():
                        await asyncio.sleep(self._interval)
                elif pump.done():
                    pump.result()
                    return
                elif loop.time() >= last + self._heartbeat:
                    yield HEARTBEAT
                    last = loop.time()
        finally:
            pump.cancel()
            await asyncio.wait({pump})
            if not pump.cancelled():
                pump.exception()

    async def _wait(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        timer = loop.call_at(until, self._arrived.set) if until != float("inf") else None
        try:
            await self._arrived.wait()
        finally:
            if timer is not None:
                timer.cancel()
        self._arrived.clear()

    async def _pump(self) -> None:
        first = True
        try:
            async with aclosing(self._source) as source:
                async for item in source:
                    self._waiting.append(item)
                    self._arrived.set()
                    if first:
                        # A source that never waits would otherwise keep the reader from its first piece.
                        first = False
                        await asyncio.sleep(0)
                    if isinstance(item, str | bytes):
                        self._size += len(item)
                    if self._size > CAPACITY:
                        self._room.clear()
                        await self._room.wait()
        finally:
            self._arrived.set()

    def _take(self) -> list[T]:
        taken, self._waiting, self._size = self._waiting, [], 0
        self._room.set()
        self._arrived.clear()
        return taken if len(taken) == 1 else _joined(taken)


def _joined(items: list[T]) -> list[T]:
    joined: list[Any] = []
    for kind, run in itertools.groupby(items, type):
        pieces: list[Any] = list(run)
        if kind is str or kind is bytes:
            joined.append(kind().join(pieces))
        else:
            joined.extend(pieces)
    return joined
