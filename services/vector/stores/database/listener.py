"""LISTEN and NOTIFY: hints that something happened, each carrying nothing but an id.

A hint may get lost (the process that would send it dies, the connection breaks), so whoever waits here looks for
itself every now and then as well. Hints are sent outside of the transactions they tell about, and gathered, because
NOTIFY takes a lock of the whole cluster at commit.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Literal

import asyncpg

from services.runtime.errors import PergolaError
from services.vector.stores.database.connections import Database
from services.vector.stores.database.pool import Raw

log = logging.getLogger(__name__)

Channel = Literal["job", "queue", "change", "catalogue", "fence"]
"""`fence`: a job was taken from whoever works on it."""
_CHANNELS: Final[tuple[Channel, ...]] = ("job", "queue", "change", "catalogue", "fence")
_GATHER_SECONDS: Final = 0.02
_RETRY_SECONDS: Final = 1.0


class Hints:
    """Sends hints to every process at this database, this one included, and wakes those who wait for them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[tuple[Channel, str], set[asyncio.Event]] = {}
        self._callbacks: dict[Channel, list[Callable[[str], None]]] = {}
        self._outgoing: set[tuple[Channel, str]] = set()
        self._some_outgoing = asyncio.Event()
        self.listening = asyncio.Event()

    def send(self, channel: Channel, key: str) -> None:
        """Wakes this process's waiters at once, the other ones' soon. Never blocks, never fails."""
        self._wake(channel, key)
        self._outgoing.add((channel, key))
        self._some_outgoing.set()

    def on(self, channel: Channel, callback: Callable[[str], None]) -> None:
        """Calls back with each key; with the empty key when hints may have been missed."""
        self._callbacks.setdefault(channel, []).append(callback)

    @asynccontextmanager
    async def waiting(self, channel: Channel, key: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set by hints for `key`, and when some may have been missed. Clear it, look, then wait."""
        event = asyncio.Event()
        events = self._waiting.setdefault((channel, key), set())
        events.add(event)
        try:
            yield event
        finally:
            events.discard(event)
            if not events and self._waiting.get((channel, key)) is events:
                del self._waiting[channel, key]

    async def run_listener(self) -> None:
        """Listens, and comes back after every loss of the connection. Runs until cancelled."""
        while True:
            try:
                await self._listen()
            except (PergolaError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.debug("listening again soon: %s", type(error).__name__)
            self.listening.clear()
            await asyncio.sleep(_RETRY_SECONDS)

    async def run_sender(self) -> None:
        """Sends what `send` gathered. Runs until cancelled."""
        while True:
            await self._some_outgoing.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._some_outgoing.clear()
            batch, self._outgoing = list(self._outgoing), set()
            try:
                async with self._database.session() as session:
                    await session.execute(
                        "SELECT pg_notify('pergola_' || c, k) FROM unnest($1::text[], $2::text[]) AS n (c, k)",
                        [channel for channel, _ in batch],
                        [key for _, key in batch],
                    )
            except (PergolaError, asyncpg.PostgresError):
                # A hint: whoever waits for it looks for itself in a few seconds.
                log.debug("hints were not sent", extra={"hints": len(batch)})

    async def _listen(self) -> None:
        connection = await self._database.listener()
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            for channel in _CHANNELS:
                await connection.add_listener(f"pergola_{channel}", self._heard)
            self.listening.set()
            self._wake_all()
            while not lost.is_set():
                try:
                    async with asyncio.timeout(30):
                        await lost.wait()
                except TimeoutError:
                    # A server that froze, or a dead route, sends no end of the connection.
                    async with asyncio.timeout(10):
                        await connection.fetchval("SELECT 1")
        finally:
            connection.terminate()

    def _heard(self, _: "Raw | object", __: int, channel: str, payload: object) -> None:
        name = channel.removeprefix("pergola_")
        for known in _CHANNELS:
            if known == name:
                self._wake(known, str(payload))

    def _wake(self, channel: Channel, key: str) -> None:
        for event in self._waiting.get((channel, key), ()):
            event.set()
        for callback in self._callbacks.get(channel, ()):
            callback(key)

    def _wake_all(self) -> None:
        for events in self._waiting.values():
            for event in events:
                event.set()
        for callbacks in self._callbacks.values():
            for callback in callbacks:
                callback("")
