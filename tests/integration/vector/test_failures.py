"""PostgreSQL slow, frozen, killed: honest errors within the deadline, and recovery without a restart."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest

from pergola.vector.v1 import collection_pb2, job_pb2, point_pb2
from services.runtime.call import acting_as
from services.runtime.errors import DeadlineExceeded
from services.vector.stores.database.connections import Database
from tests import bounds
from tests.stacks import Stores
from tests.support.steady import steady, undisturbed
from tests.support.vector import Vector, caller, database_of, status, vector_service


@pytest.fixture
async def environ(stores: Stores) -> dict[str, str]:
    return await stores.own_database()


@pytest.fixture
async def own(environ: dict[str, str]) -> AsyncIterator[Vector]:
    async with (
        vector_service(environ, poll_seconds="0.5", job_lease_seconds="3", job_retry_seconds="0.2") as address,
        caller(address) as found,
    ):
        yield found


@pytest.fixture
async def database(environ: dict[str, str]) -> AsyncIterator[Database]:
    async with database_of(environ) as opened:
        yield opened


def _calls(vector: Vector, collection: str, job: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    query = point_pb2.QueryPointsRequest(collection=collection, text="word")
    create = collection_pb2.CreateCollectionRequest(collection=collection_pb2.Collection(name="while-away"))
    return {
        "query": lambda: vector.points.QueryPoints(query, timeout=2),
        "get": lambda: vector.jobs.GetJob(job_pb2.GetJobRequest(id=job), timeout=2),
        "create": lambda: vector.collections.CreateCollection(create, timeout=2),
    }


async def _until(check: Callable[[], Awaitable[object]], seconds: float) -> None:
    """Repeats a call until it succeeds."""
    end = time.monotonic() + seconds
    while True:
        try:
            await check()
        except grpc.RpcError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.1)
        else:
            return


@pytest.mark.parametrize("fault", ["frozen", "killed"])
async def test_a_database_that_is_away_is_told_in_time_and_recovery_needs_nothing(
    stores: Stores, own: Vector, fault: str
) -> None:
    collection = await own.create()
    job = await own.accept(collection, "A word.")
    await own.ended(job)
    calls = _calls(own, collection, job)
    for call in calls.values():
        await call()
    await own.delete("while-away")

    async def fails_in_time(name: str) -> None:
        began = steady()
        with pytest.raises(grpc.RpcError) as caught:
            await calls[name]()
        assert steady() - began < 2 + bounds.AFTER_DEADLINE, name
        assert status(caught.value) == ("UNAVAILABLE", "STORE_UNAVAILABLE"), name

    async def all_fail() -> None:
        for name in calls:
            await undisturbed(functools.partial(fails_in_time, name))

    if fault == "frozen":
        with stores.frozen("postgres"):
            await all_fail()
            await asyncio.gather(*(_fails(call) for call in list(calls.values()) * 10))
    else:
        stores.kill("postgres")
        await all_fail()
        stores.restart("postgres")
    for call in calls.values():
        await _until(call, bounds.RECOVERY)
    assert (await own.ingest(collection, "Another word.")).status == "completed"


async def _fails(call: Callable[[], Awaitable[Any]]) -> None:
    with pytest.raises(grpc.RpcError):
        await call()


@pytest.mark.parametrize("fault", ["frozen beyond the lease", "killed"])
async def test_an_outage_does_not_end_a_job(stores: Stores, own: Vector, fault: str) -> None:
    collection = await own.create()
    texts = [f"Document {n} is about the number {n}. " * 40 for n in range(40)]
    job = await own.accept(collection, *texts)
    call = own.jobs.WatchJob(job_pb2.WatchJobRequest(id=job), timeout=60)
    async for event in call:
        if event.job.job.progress.documents_done:
            break
    call.cancel()
    if fault == "killed":
        stores.kill("postgres")
        stores.restart("postgres")
    else:
        with stores.frozen("postgres"), pytest.raises(grpc.RpcError):
            await own.jobs.GetJob(job_pb2.GetJobRequest(id=job), timeout=5)
    found: list[job_pb2.Job] = []

    async def finished() -> None:
        found.append(await own.ended(job))

    await _until(finished, 60)
    assert (found[-1].status, found[-1].error.reason) == ("completed", "")
    assert found[-1].progress.documents_done == 40
    counted = await own.get(collection)
    assert (counted.document_count, counted.point_count) == (40, found[-1].progress.chunks_done)


async def test_a_slow_statement_ends_at_the_deadline_on_the_server_too(stores: Stores, database: Database) -> None:
    async with database.session() as session:
        await session.value("SELECT 1")
    began = steady()
    with acting_as("default", deadline=time.monotonic() + 1), pytest.raises(DeadlineExceeded):
        async with database.session() as session:
            await session.value("SELECT pg_sleep(60)")
    assert steady() - began < 1 + bounds.AFTER_DEADLINE
    await _nothing_runs(stores, began + 1 + bounds.STATEMENT_ENDS)


async def test_a_cancelled_call_ends_its_statement(stores: Stores, database: Database) -> None:
    started = asyncio.Event()

    async def slow() -> None:
        async with database.transaction("default") as session:
            await session.value("SELECT 1")
            started.set()
            await session.value("SELECT pg_sleep(60)")

    task = asyncio.create_task(slow())
    await started.wait()
    began = steady()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert steady() - began < bounds.AFTER_CANCEL
    await _nothing_runs(stores, began + bounds.STATEMENT_ENDS)
    async with database.transaction("default") as session:
        assert await session.value("SELECT 1") == 1


async def test_a_full_pool_gives_an_honest_error(environ: dict[str, str], database: Database) -> None:
    async def hold(release: asyncio.Event) -> None:
        async with database.session() as session:
            await session.value("SELECT 1")
            holding.release()
            await release.wait()

    holding, release = asyncio.Semaphore(0), asyncio.Event()
    holders = [asyncio.create_task(hold(release)) for _ in range(12)]
    for _ in holders:
        await holding.acquire()
    with acting_as("default", deadline=time.monotonic() + 0.5), pytest.raises(Exception, match="no connection in time"):
        async with database.session():
            pass
    release.set()
    await asyncio.gather(*holders)
    async with database.session() as session:
        assert await session.value("SELECT 1") == 1


async def _nothing_runs(stores: Stores, by: float) -> None:
    connection = await stores.postgres()
    try:
        while await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60)%'"
            " AND pid <> pg_backend_pid()"
        ):
            assert steady() < by
    finally:
        await connection.close()
