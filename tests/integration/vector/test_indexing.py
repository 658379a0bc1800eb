"""The building of an index is a job: seen, followed, cancelled, taken up again; searches don't wait for it."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from pergola.vector.v1 import job_pb2, point_pb2
from services.vector.model import Collection
from services.vector.stores import collections as collection_store
from services.vector.stores import indexing
from services.vector.stores.database.connections import Database
from services.vector.stores.points import merging
from services.vector.stores.points.layout import Layout
from tests import bounds
from tests.stacks import Stores
from tests.support.vector import Vector, caller, database_of, vector_service

_COUNT = 150


@dataclass
class House:
    """A service that builds an index for more than a hundred points, and its database."""

    vector: Vector
    database: Database
    collection: Collection
    environ: dict[str, str]
    watcher: Any
    locker: Any

    async def upsert(self, first: int, count: int) -> None:
        dice = np.random.default_rng(first)
        points = [
            point_pb2.NewPoint(id=f"p{n}", vector=point_pb2.Vector(values=dice.normal(size=4)))
            for n in range(first, first + count)
        ]
        await self.vector.points.UpsertPoints(
            point_pb2.UpsertPointsRequest(collection=self.collection.name, points=points)
        )

    async def find(self) -> list[str]:
        found = await self.vector.query(self.collection.name, vector=point_pb2.Vector(values=[1, 0, 0, 0]))
        return [one.point.id for one in found]

    async def jobs(self) -> list[job_pb2.Job]:
        """Newest first."""
        reply = await self.vector.jobs.ListJobs(job_pb2.ListJobsRequest(collection=self.collection.name))
        return list(reply.jobs)

    async def until(self, *statuses: str) -> list[job_pb2.Job]:
        """Until its jobs are so, newest first."""
        end = time.monotonic() + 6 * bounds.RECOVERY
        while True:
            jobs = await self.jobs()
            if [one.status for one in jobs] == list(statuses):
                return jobs
            assert time.monotonic() < end, jobs

    async def until_builds(self, count: int, seconds: float) -> None:
        """Until so many indexes are being built on the server."""
        end = time.monotonic() + seconds
        while await self.watcher.fetchval("SELECT count(*) FROM pg_stat_progress_create_index") != count:
            assert time.monotonic() < end


@pytest.fixture
async def house(stores: Stores) -> AsyncIterator[House]:
    environ = await stores.own_database()
    database_name = environ["PERGOLA_VECTOR_POSTGRES_URL"].rpartition("/")[2]
    watcher, locker = await stores.postgres(database_name), await stores.postgres(database_name)
    async with (
        vector_service(environ, delta_rows="100", poll_seconds="0.2") as address,
        caller(address) as vector,
        database_of(environ) as database,
    ):
        name = await vector.create(dimension=4)
        async with database.transaction("default") as session:
            collection = await collection_store.find(session, name)
        assert collection is not None
        try:
            yield House(vector, database, collection, environ, watcher, locker)
        finally:
            await locker.close()
            await watcher.close()


async def test_an_index_is_built_by_a_job_that_can_be_followed(house: House) -> None:
    assert await house.jobs() == []
    await house.upsert(0, _COUNT)
    (job,) = await house.until("completed")
    assert (job.kind, job.collection, job.attempt) == ("index", house.collection.name, 1)
    assert (job.progress.points_total, job.progress.points_done) == (_COUNT, _COUNT)
    assert job.progress.documents_total == 0
    assert await house.vector.ended(job.id) == job
    assert await merging.has_index(house.database, house.collection)


async def test_a_build_that_takes_long_can_be_cancelled_and_searches_go_on(house: House) -> None:
    # A writer that does not end: the building waits for it.
    await house.locker.execute(f"BEGIN; LOCK TABLE {Layout(house.collection.id)['vector']} IN ROW EXCLUSIVE MODE")
    await house.upsert(0, _COUNT)
    (job,) = await house.until("running")
    await house.until_builds(1, bounds.RECOVERY)
    before = await house.find()
    assert len(before) == 10
    reply = await house.vector.jobs.CancelJob(job_pb2.CancelJobRequest(id=job.id))
    assert reply.job.status == "cancelled"
    await house.until_builds(0, bounds.RECOVERY)
    assert not await merging.has_index(house.database, house.collection)
    await house.locker.execute("ROLLBACK")
    # The next look at the collection begins anew, in another job.
    await house.upsert(_COUNT, 1)
    again, cancelled = await house.until("completed", "cancelled")
    assert cancelled.id == job.id != again.id
    assert again.progress.points_done >= _COUNT
    assert await merging.has_index(house.database, house.collection)
    assert await house.find() == before


async def test_what_a_dead_process_left_open_is_taken_up_or_settled(house: House) -> None:
    left = await indexing.begin(house.database, house.collection, 7)
    await house.upsert(0, _COUNT)
    (job,) = await house.until("completed")
    assert (job.id, job.attempt, job.progress.points_total) == (left, 2, _COUNT)
    # Another one, whose process died when the index was there already.
    left = await indexing.begin(house.database, house.collection, _COUNT)
    async with vector_service(house.environ, delta_rows="100"):
        settled, _ = await house.until("completed", "completed")
    assert (settled.id, settled.attempt) == (left, 1)
