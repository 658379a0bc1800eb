"""Keeps collections fast, whole and small: moves new vectors under their index, writes what older versions did not,
drops changes that everybody has read."""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from services.runtime.errors import CollectionNotFound, PergolaError
from services.vector.indexing import IndexJobs
from services.vector.kept import A_POINT, SPARE
from services.vector.model import Collection
from services.vector.retention import Retention
from services.vector.stores import collections, kept
from services.vector.stores.database.connections import Database
from services.vector.stores.database.listener import Hints
from services.vector.stores.points import merging
from services.vector.stores.points.terms import filling

log = logging.getLogger(__name__)

_GATHER_SECONDS: Final = 2.0
_EVERYTHING_SECONDS: Final = 300.0
_BEARABLE: Final = 2
"""Times `delta_rows` that may wait before merging stops giving way to writers: every search looks through them."""


class Maintenance:
    """Looks at collections soon after they change, and at all of them now and then."""

    def __init__(self, database: Database, hints: Hints, delta_rows: int, retention: Retention) -> None:
        self._database = database
        self._retention = retention
        self._delta_rows = delta_rows
        self._index_jobs = IndexJobs(database, hints)
        self._changed: set[str] = set()
        # Once a collection: what is written from now on is whole.
        self._filled: set[int] = set()
        self._some_changed = asyncio.Event()
        hints.on("change", self._heard)

    async def run(self) -> None:
        """Works until cancelled."""
        loop = asyncio.get_running_loop()
        all_at = loop.time()
        while True:
            everything = loop.time() >= all_at
            if everything:
                all_at = loop.time() + _EVERYTHING_SECONDS
            changed, self._changed = self._changed, set()
            self._some_changed.clear()
            try:
                for collection in await collections.all_collections(self._database):
                    if everything or str(collection.id) in changed:
                        await self._tend(collection, everything=everything)
                    if everything:
                        await self._shorten(collection)
            except PergolaError as error:
                log.warning("collections were not tended: %s", error.reason)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, all_at - loop.time())):
                    await self._some_changed.wait()
            await asyncio.sleep(_GATHER_SECONDS)

    async def _tend(self, collection: Collection, *, everything: bool) -> None:
        try:
            if collection.id not in self._filled and await filling.fill(self._database, collection):
                if collection.indexed and await merging.has_index(self._database, collection):
                    # A process that died may have left its job open.
                    await self._index_jobs.settle(collection)
                self._filled.add(collection.id)
            if everything:
                async with self._database.session() as session:
                    await kept.sweep(session, collection, SPARE, A_POINT)
            if collection.indexed and await merging.waiting(self._database, collection, self._delta_rows):
                await merging.merge(
                    self._database, collection, self._index_jobs.follow, bearable=_BEARABLE * self._delta_rows
                )
        except CollectionNotFound:
            pass
        except PergolaError as error:
            # Deleting a collection ends its merge; an outage ends all of them. The next look goes on.
            log.info("a merge was broken off: %s", error.reason, extra={"collection": collection.id})

    async def _shorten(self, collection: Collection) -> None:
        try:
            while await self._retention.tend(collection):
                pass
        except CollectionNotFound:
            pass
        except PergolaError as error:
            log.info("a feed was not compacted: %s", error.reason, extra={"collection": collection.id})

    def _heard(self, key: str) -> None:
        if key:
            self._changed.add(key)
            self._some_changed.set()
