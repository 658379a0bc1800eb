"""Jobs: read, listed, followed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Final

from services.runtime.errors import JobNotFound
from services.vector.model import ENDED, Job
from services.vector.stores import jobs as store
from services.vector.stores.database.connections import Database
from services.vector.stores.database.listener import Hints

_EVENTS_A_READ: Final = 200


class Jobs:
    """The tenant's jobs."""

    def __init__(self, database: Database, hints: Hints, *, poll: float, heartbeat: float) -> None:
        self._database = database
        self._hints = hints
        self._poll = poll
        self._heartbeat = heartbeat

    async def get(self, tenant: str, job_id: str) -> Job:
        """A job as it is now.

        Raises JobNotFound.
        """
        async with self._database.transaction(tenant) as session:
            found = await store.get(session, job_id)
        if found is None:
            raise _unknown(job_id)
        return found

    async def page(
        self, tenant: str, collection: str, before: int | None, size: int
    ) -> tuple[Sequence[tuple[int, Job]], bool]:
        """Jobs with their numbers, newest first, and whether there are more."""
        async with self._database.transaction(tenant) as session:
            found = await store.page(session, collection, before, size + 1)
        return found[:size], len(found) > size

    async def watch(self, tenant: str, job_id: str, after: int) -> AsyncIterator[tuple[int, Job] | None]:
        """Events behind the cursor `after`, then those that come; None when idle. Ends with the job.

        Raises JobNotFound.
        """
        loop = asyncio.get_running_loop()
        async with self._hints.waiting("job", job_id) as woken:
            told = loop.time()
            while True:
                woken.clear()
                async with self._database.transaction(tenant) as session:
                    read = await store.events(session, job_id, after, _EVENTS_A_READ)
                if read is None:
                    raise _unknown(job_id)
                events, ended = read
                for cursor, job in events:
                    yield cursor, job
                    after, told = cursor, loop.time()
                    if job.state.status in ENDED:
                        return
                if events:
                    continue
                if ended:
                    # The caller had seen the last event before it asked.
                    return
                if loop.time() - told >= self._heartbeat:
                    yield None
                    told = loop.time()
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(self._poll, self._heartbeat)):
                        await woken.wait()


def _unknown(job_id: str) -> JobNotFound:
    return JobNotFound(f"There is no job {job_id}. Jobs can be read for some weeks after their end.")
