"""Jobs that are cancelled, and jobs whose failures are tried again."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import grpc
import pytest

from pergola.vector.v1 import document_pb2
from pergola.vector.v1 import job_pb2 as pb
from services.vector.stores.database.connections import Database
from tests import bounds
from tests.stacks import Stores
from tests.support.fake_embeddings import DIMENSION, FakeEmbeddings, fake_embeddings
from tests.support.fake_embeddings import status as answering
from tests.support.vector import Vector, caller, database_of, status, vector_service

_UNKNOWN = "00000000-0000-4000-8000-000000000000"


class House(NamedTuple):
    vector: Vector
    fake: FakeEmbeddings
    """Embeds for every collection here."""
    database: Database


@pytest.fixture
async def house(stores: Stores) -> AsyncIterator[House]:
    environ = await stores.own_database()
    async with fake_embeddings() as fake:
        settings = {
            "embedding_endpoint_url": fake.url,
            "embedding_endpoint_model": "fake",
            "embedding_endpoint_dimension": str(DIMENSION),
            "embedding_model": "fake",
            "workers": "1",
            "poll_seconds": "0.3",
            "job_retry_seconds": "0.05",
            "job_attempts": "2",
        }
        async with (
            vector_service(environ, **settings) as address,
            caller(address) as vector,
            database_of(environ) as database,
        ):
            yield House(vector, fake, database)


async def _cancel(vector: Vector, job: str) -> pb.Job:
    reply = await vector.jobs.CancelJob(pb.CancelJobRequest(id=job), metadata=vector.metadata)
    cancelled: pb.Job = reply.job
    return cancelled


async def _retry(vector: Vector, job: str, *documents: str, **fields: Any) -> pb.Job:
    request = pb.RetryJobRequest(id=job, documents=documents, **fields)
    made: pb.Job = (await vector.jobs.RetryJob(request, metadata=vector.metadata)).job
    return made


async def _failed(vector: Vector, job: str) -> list[pb.DocumentFailure]:
    """All pages."""
    found: list[pb.DocumentFailure] = []
    token = ""
    while True:
        request = pb.ListFailedDocumentsRequest(id=job, page_size=50, page_token=token)
        reply = await vector.jobs.ListFailedDocuments(request, metadata=vector.metadata)
        found += reply.failures
        token = reply.next_page_token
        if not token:
            return found


def _broken(id: str) -> document_pb2.Document:
    """A document that fails until it is mended: it holds nothing."""
    return document_pb2.Document(id=id, text=" ")


async def _mend(house: House, text: str) -> None:
    """As if what had made the kept documents fail were mended: their texts are readable now."""
    async with house.database.transaction("default") as session:
        await session.execute("UPDATE pergola.job_documents SET text = $1 WHERE text = ' '", text)


async def test_a_running_job_ends_at_once_and_its_model_calls_with_it(house: House) -> None:
    house.fake.held = asyncio.Event()
    collection = await house.vector.create()
    job = await house.vector.accept(collection, "One.", "Two.")
    await house.fake.arrived.acquire()
    async with asyncio.timeout(bounds.AFTER_CANCEL):
        assert (await _cancel(house.vector, job)).status == "cancelled"
        assert (await house.vector.ended(job)).status == "cancelled"
        await house.fake.left.acquire()
    house.fake.held.set()
    # The worker is free, and nothing of the job is stored.
    assert (await house.vector.ingest(collection, "Three.")).status == "completed"
    counted = await house.vector.get(collection)
    assert (counted.document_count, counted.point_count) == (1, 1)


async def test_a_queued_job_is_never_begun_and_cancelling_it_twice_is_no_error(house: House) -> None:
    house.fake.held = asyncio.Event()
    collection = await house.vector.create()
    first = await house.vector.accept(collection, "One.")
    await house.fake.arrived.acquire()
    second = await house.vector.accept(collection, "Two.")
    once = await _cancel(house.vector, second)
    assert (once.status, once.attempt, once.HasField("end_time")) == ("cancelled", 0, True)
    assert await _cancel(house.vector, second) == once
    house.fake.held.set()
    assert (await house.vector.ended(first)).status == "completed"
    with pytest.raises(grpc.RpcError) as caught:
        await _cancel(house.vector, first)
    assert status(caught.value) == ("FAILED_PRECONDITION", "JOB_ENDED")
    async with house.database.transaction("default") as session:
        assert await session.value("SELECT count(*) FROM pergola.job_documents WHERE text IS NOT NULL") == 0


async def test_what_failed_is_listed_whole_and_tried_again_without_being_sent_again(house: House) -> None:
    collection = await house.vector.create()
    broken = [_broken(f"b{n:03}") for n in range(120)]
    done = await house.vector.ingest(collection, "Fine.", *broken)
    assert (done.status, done.progress.documents_failed, len(done.failures)) == ("completed", 120, 100)
    failures = await _failed(house.vector, done.id)
    assert [one.document for one in failures] == [f"b{n:03}" for n in range(120)]
    assert {one.reason for one in failures} == {"DOCUMENT_EMPTY"}

    # They fail again, in a job of their own, and can be tried again from there alone.
    again = await _retry(house.vector, done.id, "b000", "b001", "unknown")
    assert (again.retry_of, again.progress.documents_total) == (done.id, 2)
    again = await house.vector.ended(again.id)
    assert (again.status, again.error.reason) == ("failed", "ALL_DOCUMENTS_FAILED")
    listed = await _failed(house.vector, done.id)
    assert [one.retried_by for one in listed[:3]] == [again.id, again.id, ""]
    with pytest.raises(grpc.RpcError) as caught:
        await _retry(house.vector, done.id, "b000")
    assert status(caught.value) == ("FAILED_PRECONDITION", "NOTHING_TO_RETRY")

    await _mend(house, "Mended.")
    for job, amount in ((done.id, 118), (again.id, 2)):
        whole = await house.vector.ended((await _retry(house.vector, job)).id)
        assert (whole.status, whole.progress.documents_done) == ("completed", amount)
    assert (await house.vector.get(collection)).document_count == 121
    async with house.database.transaction("default") as session:
        assert await session.value("SELECT count(*) FROM pergola.job_documents WHERE text IS NOT NULL") == 0


async def test_a_file_that_failed_is_kept_and_goes_when_it_is_mended(house: House) -> None:
    collection = await house.vector.create()

    async def parts() -> AsyncIterator[document_pb2.UploadDocumentRequest]:
        request = document_pb2.UploadDocumentRequest(collection=collection, name="a.json")
        request.body.data = b'{"a": '
        request.body.content_type = "application/json"
        yield request

    reply = await house.vector.documents.UploadDocument(parts())
    done = await house.vector.ended(reply.job.id)
    assert [one.reason for one in done.failures] == ["MALFORMED"]
    async with house.database.transaction("default") as session:
        await session.execute("UPDATE pergola.upload_parts SET data = '{\"a\":1'")
        await session.execute("UPDATE pergola.upload_parts SET data = data || '}'::bytea")
        await session.execute("UPDATE pergola.job_documents SET bytes = 7")
    again = await house.vector.ended((await _retry(house.vector, done.id)).id)
    assert (again.status, again.progress.documents_done) == ("completed", 1)
    async with house.database.transaction("default") as session:
        assert await session.value("SELECT count(*) FROM pergola.uploads") == 0


async def test_a_job_that_gave_up_goes_on_where_it_was(house: House) -> None:
    collection = await house.vector.create()
    texts = [f"Text {n}." for n in range(40)]
    # The first step is stored; then the key is refused.
    house.fake.script = [lambda _: None, answering(401)]
    done = await house.vector.ingest(collection, *texts)
    assert (done.status, done.error.reason, done.progress.documents_done) == ("failed", "UPSTREAM_AUTHENTICATION", 32)
    again = await _retry(house.vector, done.id)
    assert again.progress.documents_total == 8
    assert (await house.vector.ended(again.id)).status == "completed"
    assert (await house.vector.get(collection)).document_count == 40


async def test_a_retry_does_not_undo_what_came_in_between(house: House) -> None:
    collection = await house.vector.create()
    first = await house.vector.ingest(collection, _broken("a"), _broken("b"), document_pb2.Document(id="c", text="C."))
    newer = document_pb2.Document(id="a", text="The newer text.")
    await house.vector.ingest(collection, newer)
    await house.vector.ingest(collection, document_pb2.Document(id="b", text="Came and went."))
    await house.vector.documents.DeleteDocument(document_pb2.DeleteDocumentRequest(collection=collection, id="b"))
    await _mend(house, "The older text.")
    again = await house.vector.ended((await _retry(house.vector, first.id)).id)
    assert (again.status, again.progress.documents_unchanged) == ("completed", 2)
    found = await house.vector.query(collection, text="text", k=9)
    assert {one.point.chunk.text for one in found} == {"The newer text.", "C."}


async def test_a_retry_is_made_once_a_request_id_and_only_of_a_job_that_ended(house: House) -> None:
    collection = await house.vector.create()
    done = await house.vector.ingest(collection, _broken("a"), "Fine.")
    first = await _retry(house.vector, done.id, request_id="again")
    assert await _retry(house.vector, done.id, request_id="again") == first
    house.fake.held = asyncio.Event()
    open_job = await house.vector.accept(collection, "Held.")
    await house.fake.arrived.acquire()
    for job, reason in ((open_job, "JOB_NOT_ENDED"), (_UNKNOWN, "JOB_NOT_FOUND")):
        with pytest.raises(grpc.RpcError) as caught:
            await _retry(house.vector, job)
        assert status(caught.value)[1] == reason
    with pytest.raises(grpc.RpcError) as caught:
        await _cancel(house.vector, _UNKNOWN)
    assert status(caught.value) == ("NOT_FOUND", "JOB_NOT_FOUND")
    house.fake.held.set()
    await house.vector.ended(open_job)


async def test_a_deleted_collection_keeps_no_texts_and_nothing_of_it_is_retried(house: House) -> None:
    collection = await house.vector.create()
    done = await house.vector.ingest(collection, _broken("a"), "Fine.")
    await house.vector.delete(collection)
    async with house.database.transaction("default") as session:
        assert await session.value("SELECT count(*) FROM pergola.job_documents WHERE text IS NOT NULL") == 0
    with pytest.raises(grpc.RpcError) as caught:
        await _retry(house.vector, done.id)
    assert status(caught.value) == ("FAILED_PRECONDITION", "NOTHING_TO_RETRY")


@pytest.mark.parametrize("call", [_cancel, _retry, _failed])
async def test_another_tenant_finds_no_such_job(house: House, call: Any) -> None:
    collection = await house.vector.create()
    done = await house.vector.ingest(collection, _broken("a"), "Fine.")
    async with house.database.transaction("other") as session:
        assert await session.value("SELECT count(*) FROM pergola.job_notes") == 0
        assert await session.value("SELECT count(*) FROM pergola.jobs WHERE id = $1::text::uuid", done.id) == 0
    with pytest.raises(grpc.RpcError) as caught:
        await call(house.vector, _UNKNOWN)
    assert status(caught.value) == ("NOT_FOUND", "JOB_NOT_FOUND")
