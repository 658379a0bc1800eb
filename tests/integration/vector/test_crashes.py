"""The process that works on a job is killed; another one, or the next, goes on where it was."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from local.system import ports
from pergola.vector.v1 import job_pb2
from services.vector.stores import failures, queue
from services.vector.stores.database.connections import Database
from tests.stacks import CHECKOUT, Stores
from tests.support.vector import Vector, caller, database_of, vector_service

# Many steps, so that there is something left to do when one is done.
_TEXTS = [f"Document {n} is about the number {n} and its square {n * n}. " * 7 for n in range(200)]


class House(NamedTuple):
    environ: dict[str, str]
    vector: Vector
    """Accepts jobs and works on none."""
    database: Database


@pytest.fixture
async def house(stores: Stores) -> AsyncIterator[House]:
    environ = await stores.own_database()
    async with (
        vector_service(environ, workers="0", poll_seconds="0.3") as address,
        caller(address) as vector,
        database_of(environ) as database,
    ):
        yield House(environ, vector, database)


class Process:
    """The service as a process of its own, with a worker."""

    def __init__(self, environ: dict[str, str], log: Path) -> None:
        self._port = ports.choose(set())
        settings = {
            "LISTEN": f"127.0.0.1:{self._port}",
            "JOB_LEASE_SECONDS": "1",
            "POLL_SECONDS": "0.3",
            "WORKERS": "1",
        }
        whole = environ | {f"PERGOLA_VECTOR_{name}": value for name, value in settings.items()}
        whole.pop("PERGOLA_VECTOR_METRICS_LISTEN", None)
        whole.pop("PERGOLA_CACHE_ADDRESS", None)
        with log.open("wb") as sink:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "services.vector"], cwd=CHECKOUT, env=whole, stdout=sink, stderr=sink
            )

    async def ready(self) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self._port}") as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            await check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=60)

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()

    def freeze(self) -> None:
        os.kill(self._child.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._child.pid, signal.SIGCONT)

    def stop(self) -> int:
        self._child.terminate()
        return self._child.wait(30)


async def _until(vector: Vector, job: str, reached: Callable[[job_pb2.Job], bool]) -> None:
    """Returns when the job is in such a state."""
    call = vector.jobs.WatchJob(job_pb2.WatchJobRequest(id=job), timeout=90)
    async for event in call:
        if event.HasField("job") and reached(event.job.job):
            call.cancel()
            return
    raise AssertionError("the job ended early")


def _begun(job: job_pb2.Job) -> bool:
    return job.progress.documents_done > 0


def _taken_over(job: job_pb2.Job) -> bool:
    return job.attempt > 1


async def _check(house: House, collection: str, job: str) -> job_pb2.Job:
    done = await house.vector.ended(job)
    assert (done.status, done.progress.documents_done, done.progress.documents_failed) == ("completed", len(_TEXTS), 0)
    counted = await house.vector.get(collection)
    assert (counted.document_count, counted.point_count) == (len(_TEXTS), done.progress.chunks_done)
    changes = await house.vector.changes_until(collection, counted.point_count)
    assert [change.seq for change in changes] == list(range(1, counted.point_count + 1))
    assert len({change.upsert.id for change in changes}) == counted.point_count
    cursors = [
        event.job.cursor
        async for event in house.vector.jobs.WatchJob(job_pb2.WatchJobRequest(id=job), timeout=30)
        if event.HasField("job")
    ]
    assert cursors == list(range(1, len(cursors) + 1))
    return done


async def test_a_killed_worker_loses_nothing_and_doubles_nothing(house: House, tmp_path: Path) -> None:
    collection = await house.vector.create()
    job = await house.vector.accept(collection, *_TEXTS)
    first = Process(house.environ, tmp_path / "first.log")
    try:
        await _until(house.vector, job, _begun)
    finally:
        first.kill()
    second = Process(house.environ, tmp_path / "second.log")
    try:
        done = await _check(house, collection, job)
    finally:
        second.kill()
    assert done.attempt == 2


async def test_a_worker_that_was_taken_for_dead_changes_nothing_when_it_comes_back(
    house: House, tmp_path: Path
) -> None:
    collection = await house.vector.create()
    job = await house.vector.accept(collection, *_TEXTS)
    stalled = Process(house.environ, tmp_path / "stalled.log")
    other = None
    try:
        await _until(house.vector, job, _begun)
        stalled.freeze()
        other = Process(house.environ, tmp_path / "other.log")
        await _until(house.vector, job, _taken_over)
        stalled.thaw()
        done = await _check(house, collection, job)
        assert done.attempt == 2
    finally:
        stalled.kill()
        if other is not None:
            other.kill()


async def test_a_worker_that_is_asked_to_stop_hands_its_job_over_without_a_mark(house: House, tmp_path: Path) -> None:
    collection = await house.vector.create()
    job = await house.vector.accept(collection, *_TEXTS)
    first = Process(house.environ | {"PERGOLA_DRAIN_NOTICE_SECONDS": "0"}, tmp_path / "first.log")
    await _until(house.vector, job, _begun)
    assert await asyncio.to_thread(first.stop) == 0
    read = (await house.vector.jobs.GetJob(job_pb2.GetJobRequest(id=job))).job
    assert read.status in ("queued", "completed")
    second = Process(house.environ, tmp_path / "second.log")
    try:
        await _check(house, collection, job)
    finally:
        second.kill()


async def _lose_a_worker(house: House) -> queue.Claim:
    """A worker takes the job and is never heard of again, by a clock that we set forward."""
    ((tenant, job_id),) = await queue.candidates(house.database)
    taken = await queue.claim(house.database, tenant, job_id, 3600)
    assert taken is not None
    async with house.database.transaction(tenant) as session:
        await session.execute("UPDATE pergola.jobs SET lease_until = now() - interval '1 second'")
    return taken[0]


async def test_a_document_that_kills_its_workers_fails_and_the_others_go_on(house: House) -> None:
    collection = await house.vector.create()
    job = await house.vector.accept(collection, "One.", "Two.", "Three.")
    assert (await _lose_a_worker(house)).careful_until == 0
    # Nobody knows which of them it was: the next one takes them one by one.
    assert (await _lose_a_worker(house)).careful_until > 0
    async with vector_service(house.environ, poll_seconds="0.2"):
        done = await house.vector.ended(job)
        assert (done.status, done.attempt) == ("completed", 3)
        assert (done.progress.documents_done, done.progress.documents_failed) == (2, 1)
        assert [one.reason for one in done.failures] == ["WORKER_LOST"]
        # Its text is there still.
        reply = await house.vector.jobs.RetryJob(job_pb2.RetryJobRequest(id=job))
        again = await house.vector.ended(reply.job.id)
    assert (again.status, again.progress.documents_done) == ("completed", 1)
    assert (await house.vector.get(collection)).document_count == 3


async def test_one_by_one_the_innocent_are_let_through(house: House) -> None:
    collection = await house.vector.create()
    job = await house.vector.accept(collection, *(f"Document {n}." for n in range(5)))
    await _lose_a_worker(house)
    async with vector_service(house.environ, poll_seconds="0.2"):
        done = await house.vector.ended(job)
    assert (done.status, done.progress.documents_done) == ("completed", 5)
    steps = [
        event.job.job.progress.documents_done
        async for event in house.vector.jobs.WatchJob(job_pb2.WatchJobRequest(id=job))
        if event.HasField("job")
    ]
    assert sorted(set(steps)) == [0, 1, 2, 3, 4, 5]


async def test_a_job_full_of_documents_that_kill_workers_is_given_up(house: House) -> None:
    collection = await house.vector.create()
    job = await house.vector.accept(collection, *(f"Document {n}." for n in range(8)))
    rest: queue.Claim | None = None
    for _ in range(failures.MOST_POISONED):
        await _lose_a_worker(house)
        await _lose_a_worker(house)
        taken = await queue.claim(house.database, "default", UUID(job), 3600)
        assert taken is not None
        held, poisoned = taken
        assert poisoned
        async with house.database.transaction("default") as session:
            await queue.lock(session, held)
            rest = await failures.poison(session, held)
            if rest is not None:
                await queue.put_back(session, held, 0, failed=False)
    assert rest is None
    done = await house.vector.ended(job)
    assert (done.status, done.error.reason, done.progress.documents_failed) == ("failed", "WORKER_LOST", 5)


async def test_a_job_is_held_by_one_worker_and_its_fence_keeps_the_others_out(house: House) -> None:
    collection = await house.vector.create()
    await house.vector.accept(collection, "One.")
    ((tenant, job_id),) = await queue.candidates(house.database)
    claims = await asyncio.gather(*(queue.claim(house.database, tenant, job_id, 30) for _ in range(8)))
    (taken,) = (claim for claim in claims if claim is not None)
    held, lost = taken
    assert not lost
    assert await queue.candidates(house.database) == []
    await queue.renew(house.database, held, 30)
    async with house.database.transaction(tenant) as session:
        await session.execute("UPDATE pergola.jobs SET lease_until = now() - interval '1 second'")
    again = await queue.claim(house.database, tenant, job_id, 30)
    assert again is not None
    assert again[1:] == (False,)
    with pytest.raises(queue.Fenced):
        await queue.renew(house.database, held, 30)
    with pytest.raises(queue.Fenced):
        async with house.database.transaction(tenant) as session:
            await queue.lock(session, held)
    async with house.database.transaction(tenant) as session:
        await queue.lock(session, again[0])


async def test_tenants_take_turns(house: House) -> None:
    for tenant, count in (("busy", 5), ("quiet", 2)):
        async with house.database.transaction(tenant) as session:
            for _ in range(count):
                await session.execute(
                    "INSERT INTO pergola.jobs (id, tenant, kind, collection_id, collection, status, total)"
                    " VALUES (gen_random_uuid(), $1, 'ingest', 1, 'c', 'queued', 1)",
                    tenant,
                )
    order = []
    for _ in range(7):
        tenant, job_id = (await queue.candidates(house.database))[0]
        taken = await queue.claim(house.database, tenant, job_id, 30)
        assert taken is not None
        order.append(tenant)
        async with house.database.transaction(tenant) as session:
            await queue.lock(session, taken[0])
            await queue.end(session, taken[0], "completed")
    assert order == ["busy", "quiet", "busy", "quiet", "busy", "busy", "busy"]


async def test_finding_the_next_job_reads_no_more_when_many_wait(house: House) -> None:
    async with house.database.transaction("busy") as session:
        await session.execute(
            "INSERT INTO pergola.jobs (id, tenant, kind, collection_id, collection, status, total)"
            " SELECT gen_random_uuid(), 'busy', 'ingest', 1, 'c', 'queued', 1 FROM generate_series(1, 20000)"
        )
    async with house.database.owner_connection() as connection:
        await connection.execute("ANALYZE pergola.jobs")
    async with house.database.across_tenants() as session:
        rows = await session.fetch("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + queue.CANDIDATES)
    plan = json.loads(rows[0][0])[0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 100
    assert len(await queue.candidates(house.database)) == 1
