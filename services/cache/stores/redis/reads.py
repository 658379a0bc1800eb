"""Reads: single keys asked for in one turn of the event loop travel as one command.

Reading keys one by one costs nine times as much as reading them together. So a single read only queues its key; at the
end of the turn whatever has been queued goes out on an idle lane. When all lanes are busy the queue grows until one is
back: the busier Redis is, the larger the batches.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar, cast

from services.cache.store import TOO_MUCH, Stored
from services.cache.stores.redis.lane import Lane
from services.cache.stores.redis.patience import patience, too_late
from services.runtime.errors import PayloadTooLarge, StoreUnavailable

T = TypeVar("T")

_BATCH_KEYS: Final = 256
_BATCH_BYTES: Final = 8 * 1024 * 1024
"""A batch stops after that many bytes of values; the keys behind go with the next one."""


class _Waiter(NamedTuple):
    future: asyncio.Future[Stored | None]
    until: float
    """When it gives up, on the loop's clock."""


class _Bulk(NamedTuple):
    keys: Sequence[bytes]
    max_bytes: int
    future: asyncio.Future[list[Stored | None]]
    until: float


_Batch = dict[bytes, list[_Waiter]]


class Reads:
    """All reads of one process, over a few lanes."""

    def __init__(self, lanes: Sequence[Lane], limit: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._idle = deque(lanes)
        self._singles: _Batch = {}
        self._bulks: deque[_Bulk] = deque()
        # Turn and turn about, so that neither kind waits for ever behind the other.
        self._takers = deque((self._take_bulk, self._take_singles))
        self._flushing = False
        self._running: set[asyncio.Task[None]] = set()

    async def read(self, key: bytes) -> Stored | None:
        seconds = patience(self._limit)
        future: asyncio.Future[Stored | None] = self._loop.create_future()
        self._singles.setdefault(key, []).append(_Waiter(future, self._loop.time() + seconds))
        self._flush_soon()
        return await _within(seconds, future)

    async def read_many(self, keys: Sequence[bytes], max_bytes: int) -> list[Stored | None]:
        seconds = patience(self._limit)
        future: asyncio.Future[list[Stored | None]] = self._loop.create_future()
        self._bulks.append(_Bulk(keys, max_bytes, future, self._loop.time() + seconds))
        self._flush_soon()
        return await _within(seconds, future)

    async def close(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _flush_soon(self) -> None:
        if not self._flushing and self._idle:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        while self._idle and (work := self._take()):
            lane = self._idle.popleft()
            task = self._loop.create_task(self._drive(lane, work))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _drive(self, lane: Lane, work: Callable[[Lane], Awaitable[None]]) -> None:
        try:
            await work(lane)
        finally:
            self._idle.append(lane)
            if self._singles or self._bulks:
                self._flush_soon()

    # --- what goes next; what nobody waits for any more is dropped unsent ---

    def _take(self) -> Callable[[Lane], Awaitable[None]] | None:
        for _ in range(len(self._takers)):
            taker = self._takers[0]
            self._takers.rotate()
            work = taker()
            if work is not None:
                return work
        return None

    def _take_singles(self) -> Callable[[Lane], Awaitable[None]] | None:
        batch: _Batch = {}
        while self._singles and len(batch) < _BATCH_KEYS:
            key = next(iter(self._singles))
            waiters = [waiter for waiter in self._singles.pop(key) if not waiter.future.done()]
            if waiters:
                batch[key] = waiters
        return (lambda lane: self._run_batch(lane, batch)) if batch else None

    def _take_bulk(self) -> Callable[[Lane], Awaitable[None]] | None:
        while self._bulks:
            bulk = self._bulks.popleft()
            if not bulk.future.done():
                return lambda lane: self._run_bulk(lane, bulk)
        return None

    async def _run_batch(self, lane: Lane, batch: _Batch) -> None:
        until = max(waiter.until for waiters in batch.values() for waiter in waiters)
        try:
            found = await _read(lane, list(batch), _BATCH_BYTES, until)
        except Exception as error:  # whatever it is, the callers must hear of it
            for waiters in batch.values():
                for waiter in waiters:
                    _fail(waiter.future, error)
            return
        for key, stored in zip(list(batch), found, strict=False):
            for waiter in batch.pop(key):
                if not waiter.future.done():
                    waiter.future.set_result(stored)
        # What came up short because of its size goes out again, ahead of what came later.
        for key, waiters in self._singles.items():
            batch.setdefault(key, []).extend(waiters)
        self._singles = batch

    async def _run_bulk(self, lane: Lane, bulk: _Bulk) -> None:
        try:
            found = await _read(lane, bulk.keys, bulk.max_bytes, bulk.until)
        except Exception as error:  # as above
            _fail(bulk.future, error)
            return
        size = sum(len(stored.data) for stored in found if stored is not None)
        if len(found) < len(bulk.keys) or size > bulk.max_bytes:
            _fail(bulk.future, PayloadTooLarge(TOO_MUCH))
        elif not bulk.future.done():
            bulk.future.set_result(found)


async def _read(lane: Lane, keys: Sequence[bytes], budget: int, until: float) -> list[Stored | None]:
    """Value and time to live of as many of the keys as fit into `budget` bytes, at least one."""
    (reply,) = await lane.carry(lambda ready: [ready.read(keys, budget)], until)
    if isinstance(reply, StoreUnavailable):
        raise reply
    fields = cast("list[Any]", reply)  # the script returns nothing else
    # PTTL rounds up by itself; 0 is left of a value in its last moment.
    return [
        None if data is None else Stored(data, None if ttl < 0 else max(1, ttl))
        for data, ttl in zip(fields[::2], fields[1::2], strict=True)
    ]


async def _within(seconds: float, future: asyncio.Future[T]) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await future
    except TimeoutError:
        raise too_late() from None


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        # One exception a waiter: a shared one would gather the traceback of each.
        future.set_exception(StoreUnavailable(error.message) if isinstance(error, StoreUnavailable) else error)
