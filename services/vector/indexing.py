"""The building of an index, told as a job."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

from services.runtime.errors import Aborted
from services.vector.model import Collection
from services.vector.stores import indexing as store
from services.vector.stores.database.connections import Database
from services.vector.stores.database.listener import Hints

_TELL_SECONDS: Final = 1.0


class IndexJobs:
    """Jobs of the kind `index`."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints

    async def follow(self, collection: Collection, points: int, pid: int, work: Coroutine[Any, Any, object]) -> None:
        """Runs `work`, which has the server's process `pid` build the index over so many points, and tells of it.

        Where it fails or this process ends, the job stays open: the next one to build takes it up.
        Raises Aborted when the job was cancelled, and what `work` raises.
        """
        building = asyncio.ensure_future(work)
        try:
            job = await store.begin(self._database, collection, points)
            self._hints.send("job", job)
            while not (await asyncio.wait({building}, timeout=_TELL_SECONDS))[0]:
                done = await store.built(self._database, pid)
                if not await store.advance(self._database, collection, job, done):
                    raise Aborted("The job was cancelled.")
                self._hints.send("job", job)
            await building
        finally:
            if not building.done():
                # Ends the statement on the server too; what it leaves is removed before the next one.
                building.cancel()
                with suppress(BaseException):
                    await building
        await self.settle(collection)

    async def settle(self, collection: Collection) -> None:
        """Completes the job of a collection whose index is there."""
        for job in await store.settle(self._database, collection):
            self._hints.send("job", job)
