"""Writes: one lane, so that what this process writes reaches Redis in the order it was begun.

On several connections a write that was given up could overtake a later one of the same key and stay. Whatever has been
queued while the lane was away goes out in one piece.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from services.cache.stores.redis.lane import Command, Lane
from services.cache.stores.redis.patience import patience, too_late
from services.runtime.errors import StoreUnavailable

_BATCH: Final = 128


class RedisWrite:
    """A write on its way, see `services.cache.store.Write`."""

    __slots__ = ("command", "sent", "settled", "until")

    def __init__(self, command: Callable[[Lane], Command], settled: asyncio.Future[int], until: float) -> None:
        self.command = command
        self.settled = settled
        self.until = until
        """When its caller gives up, on the loop's clock."""
        self.sent = False

    async def finish(self) -> int:
        try:
            async with asyncio.timeout_at(self.until):
                # Shielded: only the lane knows when a write is settled.
                return await asyncio.shield(self.settled)
        except TimeoutError:
            raise too_late() from None
        finally:
            if not self.sent:
                _fail(self)


class Writes:
    """All writes of one process."""

    def __init__(self, lane: Lane, limit: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._lane = lane
        self._limit = limit
        self._queue: deque[RedisWrite] = deque()
        self._driver: asyncio.Task[None] | None = None

    def begin(self, command: Callable[[Lane], Command]) -> RedisWrite:
        write = RedisWrite(command, self._loop.create_future(), self._loop.time() + patience(self._limit))
        self._queue.append(write)
        if self._driver is None:
            # The task starts at the next turn of the loop: writes of this turn go together.
            self._driver = self._loop.create_task(self._drive())
        return write

    async def close(self) -> None:
        if self._driver is not None:
            self._driver.cancel()
            await asyncio.gather(self._driver, return_exceptions=True)
        for write in self._queue:
            _fail(write)

    async def _drive(self) -> None:
        try:
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
                # A write whose caller left before it was sent has been settled by `finish`.
                batch = [write for write in batch if not write.settled.done()]
                if batch:
                    await self._run(batch)
        finally:
            self._driver = None

    async def _run(self, batch: Sequence[RedisWrite]) -> None:
        for write in batch:
            write.sent = True
        try:
            until = max(write.until for write in batch)
            replies = await self._lane.carry(lambda lane: [write.command(lane) for write in batch], until)
        except Exception as error:  # whatever it is, the callers must hear of it
            for write in batch:
                _fail(write, error)
        except BaseException:
            for write in batch:
                _fail(write)
            raise
        else:
            for write, reply in zip(batch, replies, strict=True):
                if isinstance(reply, StoreUnavailable):
                    _fail(write, reply)
                elif not write.settled.done():
                    write.settled.set_result(reply if isinstance(reply, int) else 1)


def _fail(write: RedisWrite, error: Exception | None = None) -> None:
    if not write.settled.done():
        message = error.message if isinstance(error, StoreUnavailable) else None
        write.settled.set_exception(too_late() if error is None else StoreUnavailable(message) if message else error)
