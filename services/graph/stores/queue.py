"""Turns: of those in one process that want the same thing, one at a time, first come, first served."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.runtime import call
from services.runtime.errors import DeadlineExceeded


class Queue:
    """Turns by name; a name that nobody waits for costs nothing."""

    def __init__(self) -> None:
        self._locks: dict[tuple[str, ...], tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def turn(self, *name: str) -> AsyncIterator[None]:
        """Waits as long as the call has time. Raises DeadlineExceeded."""
        lock, waiting = self._locks.get(name, (None, 0))
        lock = lock or asyncio.Lock()
        self._locks[name] = lock, waiting + 1
        try:
            try:
                async with asyncio.timeout(call.remaining()):
                    await lock.acquire()
            except TimeoutError:
                raise DeadlineExceeded("the deadline passed while others were writing this graph") from None
            try:
                yield
            finally:
                lock.release()
        finally:
            _, waiting = self._locks.pop(name)
            if waiting > 1:
                self._locks[name] = lock, waiting - 1
