"""Finds the collections that ask to be followed, and follows each in a task of its own."""

import asyncio
import logging
import random
import secrets
import time
from dataclasses import dataclass, field
from typing import Final

from services.graph import looking
from services.graph.feed import Feed
from services.graph.follower.collection import CollectionFollower, Pace
from services.graph.follower.meters import FollowerMeters
from services.graph.indexes.keeper import Indexes
from services.graph.model import Cursor
from services.graph.store import GraphStore
from services.runtime.call import acting_as
from services.runtime.errors import PergolaError
from services.runtime.identity import DEFAULT_TENANT

log = logging.getLogger(__name__)

_FORGOTTEN_EVERY: Final = 30.0
"""Seconds between two looks for graphs whose collection was deleted while nobody followed it."""
_LONGEST_PAUSE: Final = 30.0


@dataclass(slots=True)
class _Run:
    holder: str = field(default_factory=lambda: secrets.token_hex(16))
    """One for all runs of this process on this collection, so that it need not wait for a lease of its own."""
    task: asyncio.Task[None] | None = None
    failures: int = 0
    not_before: float = 0.0


class Follower:
    """Keeps one run going for each collection it may have; other processes have the others."""

    def __init__(
        self,
        store: GraphStore,
        feed: Feed,
        indexes: Indexes,
        *,
        poll_seconds: float,
        pace: Pace,
        meters: FollowerMeters,
    ) -> None:
        self._store = store
        self._feed = feed
        self._indexes = indexes
        self._poll = poll_seconds
        self._pace = pace
        self._meters = meters
        self._runs: dict[tuple[str, str], _Run] = {}
        self._looked_back = -_FORGOTTEN_EVERY
        self._left: set[tuple[str, str]] = set()
        """Graphs of the last look back that this process has not done with; most are followed, and not forgotten."""
        self._complained = False

    async def run(self) -> None:
        """Runs until it is cancelled, and then gives back what it has claimed."""
        try:
            while True:
                began = time.monotonic()
                try:
                    await self._look()
                    self._complained = False
                except PergolaError as error:
                    # A store that is down for an hour is one line, not eighteen hundred.
                    if not self._complained:
                        log.warning("can't look for collections to follow, trying on: %s", error.message)
                    self._complained = True
                await asyncio.sleep(looking.pause(self._poll, time.monotonic() - began))
        finally:
            running = [run.task for run in self._runs.values() if run.task is not None]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _look(self) -> None:
        heads: dict[tuple[str, str], Cursor | None] = {}
        with acting_as(DEFAULT_TENANT):
            heads.update({(source.tenant, source.collection): source.head for source in await self._feed.sources()})
            now = time.monotonic()
            if now - self._looked_back >= _FORGOTTEN_EVERY:
                self._left = set(await self._store.followed())
                self._looked_back = now
        for left in self._left:
            heads.setdefault(left, None)
        for one, head in heads.items():
            run = self._runs.setdefault(one, _Run())
            if (run.task is None or run.task.done()) and now >= run.not_before:
                run.task = asyncio.get_running_loop().create_task(
                    self._follow(*one, head, run), name=f"follow {one[1]}"
                )
        for one in [one for one, run in self._runs.items() if one not in heads and (not run.task or run.task.done())]:
            del self._runs[one]

    async def _follow(self, tenant: str, collection: str, head: Cursor | None, run: _Run) -> None:
        one = CollectionFollower(self._store, self._feed, self._indexes, tenant, collection, self._pace, self._meters)
        began = time.monotonic()
        try:
            with acting_as(tenant):
                ended = await one.run(run.holder, head)
            run.failures = 0
            if ended:
                self._left.discard((tenant, collection))
            elif head is None:
                # Whoever has it may have died: its lease ends long before the next look back.
                run.not_before = time.monotonic() + self._pace.lease_seconds
        except Exception as error:
            if time.monotonic() - began > _LONGEST_PAUSE:
                run.failures = 0
            pause = min(_LONGEST_PAUSE, self._poll * 2**run.failures) * random.uniform(0.5, 1)  # noqa: S311
            run.failures += 1
            run.not_before = time.monotonic() + pause
            self._meters.failed()
            where = {"tenant": tenant, "collection": collection}
            if isinstance(error, PergolaError):
                log.warning("following stopped, trying again in %.1f s: %s", pause, error.message, extra=where)
            else:
                log.exception("following failed, trying again in %.1f s", pause, extra=where)
        finally:
            self._meters.ended(tenant, collection)
