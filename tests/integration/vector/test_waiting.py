"""Jobs that wait until a consumer of the change feed has followed."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import grpc
import pytest

from pergola.vector.v1 import change_pb2, document_pb2
from pergola.vector.v1 import job_pb2 as pb
from services.vector.stores import queue
from services.vector.stores.database.connections import Database
from tests.stacks import Stores
from tests.support.vector import Vector, caller, database_of, status, vector_service


class House(NamedTuple):
    vector: Vector
    database: Database


@pytest.fixture
async def house(stores: Stores) -> AsyncIterator[House]:
    environ = await stores.own_database()
    async with (
        vector_service(environ, workers="1", poll_seconds="0.2", job_wait_warning_seconds="0.1") as address,
        caller(address) as vector,
        database_of(environ) as database,
    ):
        yield House(vector, database)


async def _head(vector: Vector, collection: str) -> change_pb2.ChangeCursor:
    reply = await vector.changes.ListChangeSources(change_pb2.ListChangeSourcesRequest())
    head: change_pb2.ChangeCursor = next(one.head for one in reply.sources if one.collection == collection)
    return head


async def _ack(vector: Vector, collection: str, seq: int) -> None:
    head = await _head(vector, collection)
    cursor = change_pb2.ChangeCursor(incarnation=head.incarnation, seq=seq)
    request = change_pb2.AckChangesRequest(collection=collection, consumer="graph", cursor=cursor)
    await vector.changes.AckChanges(request)


async def _waiting(vector: Vector, job: str, *, warned: bool = False) -> pb.Job:
    """The job as soon as it does nothing but wait."""
    call = vector.jobs.WatchJob(pb.WatchJobRequest(id=job), timeout=60)
    async for event in call:
        found: pb.Job = event.job.job
        if found.waiting_for and (found.warnings or not warned):
            call.cancel()
            return found
    raise AssertionError("the job never waited")


async def test_a_job_is_completed_by_the_acknowledgement_of_its_last_change(house: House) -> None:
    collection = await house.vector.create(graph=True)
    job = await house.vector.accept(collection, "One.", "Two.", wait_for=["graph"])
    waits = await _waiting(house.vector, job, warned=True)
    assert (waits.status, list(waits.wait_for), list(waits.waiting_for)) == ("running", ["graph"], ["graph"])
    assert waits.progress.documents_done == 2
    assert "ListConsumers" in waits.warnings[0]
    await _ack(house.vector, collection, 1)
    assert (await house.vector.jobs.GetJob(pb.GetJobRequest(id=job))).job.status == "running"
    await _ack(house.vector, collection, 2)
    done = (await house.vector.jobs.GetJob(pb.GetJobRequest(id=job))).job
    assert (done.status, list(done.waiting_for), done.attempt) == ("completed", [], 1)
    assert await house.vector.ended(job) == done
    # The consumer knows all of it already.
    again = await house.vector.ended(await house.vector.accept(collection, "One.", "Two.", wait_for=["graph"]))
    assert (again.status, again.progress.documents_unchanged) == ("completed", 2)


async def test_waiting_takes_no_worker_and_no_attempts(house: House) -> None:
    collection = await house.vector.create(graph=True)
    jobs = [await house.vector.accept(collection, f"Text {n}.", wait_for=["graph"]) for n in range(3)]
    for job in jobs:
        await _waiting(house.vector, job)
    # The only worker is free for others, and none of the three can be taken from the queue.
    assert (await house.vector.ingest(collection, "Another.")).status == "completed"
    assert await queue.candidates(house.database) == []
    await _ack(house.vector, collection, 4)
    for job in jobs:
        done = await house.vector.ended(job)
        assert (done.status, done.attempt) == ("completed", 1)


async def test_a_waiting_job_can_be_cancelled(house: House) -> None:
    collection = await house.vector.create(graph=True)
    job = await house.vector.accept(collection, "One.", wait_for=["graph"])
    await _waiting(house.vector, job)
    cancelled = (await house.vector.jobs.CancelJob(pb.CancelJobRequest(id=job))).job
    assert (cancelled.status, list(cancelled.waiting_for)) == ("cancelled", [])
    await _ack(house.vector, collection, 1)
    assert (await house.vector.ended(job)).status == "cancelled"


async def test_an_acknowledgement_that_was_not_looked_at_is_found_later(house: House) -> None:
    collection = await house.vector.create(graph=True)
    job = await house.vector.accept(collection, "One.", wait_for=["graph"])
    await _waiting(house.vector, job)
    head = await _head(house.vector, collection)
    # As if the process had died between the acknowledgement and its look at the jobs.
    async with house.database.transaction("default") as session:
        await session.execute(
            "INSERT INTO pergola.consumers (tenant, collection, consumer, incarnation, seq)"
            " VALUES ('default', $1, 'graph', $2, 1)",
            collection,
            head.incarnation,
        )
    assert (await house.vector.ended(job)).status == "completed"


async def test_jobs_that_end_while_acknowledgements_come_all_complete(house: House) -> None:
    collection = await house.vector.create(graph=True)

    async def follow() -> None:
        call = house.vector.watch(collection, "graph")
        async for event in call:
            if event.HasField("changes"):
                await _ack(house.vector, collection, event.changes.cursor.seq)

    follower = asyncio.create_task(follow())
    jobs = [await house.vector.accept(collection, f"Text {n}.", wait_for=["graph"]) for n in range(20)]
    assert {(await house.vector.ended(job)).status for job in jobs} == {"completed"}
    follower.cancel()
    await asyncio.wait({follower})


async def test_only_those_can_be_waited_for_who_follow(house: House) -> None:
    plain = await house.vector.create()
    for call in (
        house.vector.accept(plain, "One.", wait_for=["graph"]),
        house.vector.documents.BuildIndex(
            document_pb2.BuildIndexRequest(collection=plain, documents=["One."], wait_for=["graph"])
        ),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            await call
        assert status(caught.value) == ("FAILED_PRECONDITION", "NOT_FOLLOWED")

    async def file() -> AsyncIterator[document_pb2.UploadDocumentRequest]:
        request = document_pb2.UploadDocumentRequest(collection=plain, name="a.txt", wait_for=["graph"])
        request.body.data = b"One."
        yield request

    with pytest.raises(grpc.RpcError) as caught:
        await house.vector.documents.UploadDocument(file())
    assert status(caught.value) == ("FAILED_PRECONDITION", "NOT_FOLLOWED")
    with pytest.raises(grpc.RpcError) as caught:
        await house.vector.accept(plain, "One.", wait_for=["somebody"])
    assert status(caught.value)[0] == "INVALID_ARGUMENT"


async def test_build_and_upload_wait_too(house: House) -> None:
    request = document_pb2.BuildIndexRequest(collection="built", documents=["One."], wait_for=["graph"])
    built = (await house.vector.documents.BuildIndex(request)).task_id
    await _waiting(house.vector, built)

    async def file() -> AsyncIterator[document_pb2.UploadDocumentRequest]:
        request = document_pb2.UploadDocumentRequest(collection="built", name="a.txt", wait_for=["graph"])
        request.body.data = b"Two."
        yield request

    uploaded = (await house.vector.documents.UploadDocument(file())).job.id
    await _waiting(house.vector, uploaded)
    await _ack(house.vector, "built", 2)
    for job in (built, uploaded):
        assert (await house.vector.ended(job)).status == "completed"
