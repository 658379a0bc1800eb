"""The pool of connections: little more than a stack of idle ones.

asyncpg's own pool costs a task, a future and a proxy each time: 80 µs of processor time where a statement costs 100. It
does that to bring a connection to rest whose statement was broken off; here whoever took the connection does so
(connections.py), and taking and giving back are a `pop` and an `append`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias

import asyncpg

Raw: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

IDLE_SECONDS: Final = 300.0
"""A connection that nobody needed for so long is closed."""


class PoolClosed(Exception):
    """The pool was closed while somebody waited for a connection."""


class Pool:
    """At most `size` connections, made by `connect` when they are needed. One event loop alone uses it."""

    def __init__(self, connect: Callable[[], Awaitable[Raw]], size: int) -> None:
        self._connect = connect
        self._size = size
        # The one given back last is taken first: the others may then grow old.
        self._idle: list[tuple[Raw, float]] = []
        self._taken: set[Raw] = set()
        self._connecting = 0
        self._waiting: deque[asyncio.Future[Raw | None]] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    async def acquire(self, seconds: float) -> Raw:
        """A connection at rest. Give it back by `release`, at rest or closed.

        Raises TimeoutError, PoolClosed, and what `connect` raises.
        """
        if self._closed:
            raise PoolClosed
        # There are idle ones only while nobody waits.
        while self._idle:
            connection, _ = self._idle.pop()
            if not connection.is_closed():
                self._taken.add(connection)
                return connection
        async with asyncio.timeout(seconds):
            if not self._waiting and len(self._taken) + self._connecting < self._size:
                self._connecting += 1
                return await self._made()
            given = await self._turn()
            return given if given is not None else await self._made()

    def release(self, connection: Raw) -> None:
        """Gives a connection back."""
        self._taken.discard(connection)
        if self._closed:
            connection.terminate()
        elif connection.is_closed():
            self._offer_place()
        elif (turn := self._next()) is not None:
            self._taken.add(connection)
            turn.set_result(connection)
        else:
            loop = asyncio.get_running_loop()
            self._idle.append((connection, loop.time()))
            if self._sweep is None:
                self._sweep = loop.call_later(IDLE_SECONDS, self._close_old)

    async def close(self, seconds: float) -> None:
        """Closes all connections: idle ones politely, within `seconds`; those in use at once."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        while (turn := self._next()) is not None:
            turn.set_exception(PoolClosed())
        for connection in self._taken:
            connection.terminate()
        idle = [connection for connection, _ in self._idle]
        self._idle.clear()
        await asyncio.gather(*(_ended(connection, seconds) for connection in idle))

    async def _made(self) -> Raw:
        """A new connection, in a place that was counted as `_connecting`."""
        try:
            connection = await self._connect()
        except BaseException:
            self._connecting -= 1
            self._offer_place()
            raise
        self._connecting -= 1
        if self._closed:
            connection.terminate()
            raise PoolClosed
        self._taken.add(connection)
        return connection

    async def _turn(self) -> "Raw | None":
        """Waits for a connection, or (None) for a place in which to make one."""
        turn: asyncio.Future[Raw | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # Given to somebody who had gone away in the same moment.
                given = turn.result()
                if given is not None:
                    self.release(given)
                else:
                    self._connecting -= 1
                    self._offer_place()
            else:
                with suppress(ValueError):
                    self._waiting.remove(turn)
            raise

    def _offer_place(self) -> None:
        """Tells who waits longest that a connection less is open."""
        if (turn := self._next()) is not None:
            self._connecting += 1
            turn.set_result(None)

    def _next(self) -> "asyncio.Future[Raw | None] | None":
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                return turn
        return None

    def _close_old(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = None
        old = loop.time() - IDLE_SECONDS
        while self._idle and self._idle[0][1] <= old:
            # `terminate` writes a goodbye and awaits nothing: a server that is gone can't hold this up.
            self._idle.pop(0)[0].terminate()
        if self._idle:
            self._sweep = loop.call_at(self._idle[0][1] + IDLE_SECONDS, self._close_old)


async def _ended(connection: Any, seconds: float) -> None:
    with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        await connection.close(timeout=seconds)
