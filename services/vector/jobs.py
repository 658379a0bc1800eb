"""Jobs: read, listed, followed, cancelled, retried."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Final
from uuid import uuid4

import msgspec

from services.runtime.errors import CollectionNotFound, JobEnded, JobNotEnded, JobNotFound, NothingToRetry
from services.vector.model import ENDED, Job, Note
from services.vector.stores import collections as collection_store
from services.vector.stores import failures, requests
from services.vector.stores import jobs as store
from services.vector.stores.database.connections import Database
from services.vector.stores.database.listener import Hints
from services.vector.stores.requests import Request

_EVENTS_A_READ: Final = 200


class Jobs:
    """The tenant's jobs."""

    def __init__(self, database: Database, hints: Hints, *, poll: float, heartbeat: float, keep_days: int) -> None:
        self._database = database
        self._hints = hints
        self._poll = poll
        self._heartbeat = heartbeat
        self._keep_days = keep_days

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

    async def failures(
        self, tenant: str, job_id: str, after: int, size: int
    ) -> tuple[Sequence[tuple[int, Note]], bool]:
        """Documents that failed in a job, with numbers, behind the number `after`; and whether there are more.

        Raises JobNotFound.
        """
        async with self._database.transaction(tenant) as session:
            if await store.get(session, job_id) is None:
                raise _unknown(job_id)
            found = await failures.page(session, job_id, after, size + 1)
        return found[:size], len(found) > size

    async def cancel(self, tenant: str, job_id: str) -> Job:
        """Ends a job that is open. What it has stored stays.

        Raises JobNotFound, JobEnded.
        """
        async with self._database.transaction(tenant) as session:
            done = await store.cancel(session, job_id)
            job = await store.get(session, job_id)
        if job is None:
            raise _unknown(job_id)
        if done:
            self._hints.send("fence", job_id)
            self._hints.send("job", job_id)
        elif job.state.status != "cancelled":
            raise JobEnded(f"The job has {job.state.status} already.")
        return job

    async def retry(self, tenant: str, job_id: str, documents: Sequence[str], request: Request) -> Job:
        """Queues a new job with what failed in one that has ended; `documents`: of these ids alone, none: all.

        Raises JobNotFound, JobNotEnded, NothingToRetry, CollectionNotFound, RequestIdReused.
        """
        async with self._database.transaction(tenant) as session:
            first = await requests.begin(session, tenant, request)
            if first is not None:
                return msgspec.json.decode(first, type=Job)
            old = await store.hold(session, job_id)
            if old is None:
                raise _unknown(job_id)
            if old["ended"] is None:
                raise JobNotEnded("The job has not ended: wait for its end, or cancel it first.")
            positions = await failures.retriable(session, job_id, documents)
            if not positions:
                raise NothingToRetry("Nothing of this job is left to be tried again.")
            collection = await collection_store.hold(session, old["collection"])
            if collection is None or collection.id != old["collection_id"]:
                raise CollectionNotFound(f"The collection {old['collection']!r} of this job was deleted.")
            new = store.NewJob(
                tenant=tenant,
                id=str(uuid4()),
                collection=collection,
                wait_for=old["wait_for"],
                keep_days=self._keep_days,
                retry_of=job_id,
            )
            row = await store.queued(session, new, len(positions))
            await failures.move(session, old, new.id, positions)
            await store.add_event(session, tenant, row)
            job = store.assembled(row, [])
            await requests.finish(session, tenant, request, msgspec.json.encode(job))
        self._hints.send("queue", "")
        return job

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
