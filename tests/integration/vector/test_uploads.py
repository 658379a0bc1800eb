"""UploadDocument: files in every form, what is refused, and what stays of them."""

import asyncio
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.api import httpbody_pb2

from pergola.vector.v1 import document_pb2 as pb
from pergola.vector.v1 import job_pb2, point_pb2
from tests import bounds
from tests.stacks import Stores
from tests.support import files
from tests.support.vector import Vector, caller, database_of, status, vector_service, violations


def messages(
    collection: str, name: str, data: bytes, *, kind: str = "", piece: int = 65536, **fields: Any
) -> Iterator[pb.UploadDocumentRequest]:
    """A file as its caller streams it."""
    yield pb.UploadDocumentRequest(
        collection=collection,
        name=name,
        body=httpbody_pb2.HttpBody(content_type=kind, data=data[:piece]),
        **fields,
    )
    for first in range(piece, len(data), piece):
        yield pb.UploadDocumentRequest(body=httpbody_pb2.HttpBody(data=data[first : first + piece]))


async def accept(vector: Vector, *args: Any, **fields: Any) -> job_pb2.Job:
    reply = await vector.documents.UploadDocument(messages(*args, **fields), metadata=vector.metadata)
    job: job_pb2.Job = reply.job
    return job


async def upload(vector: Vector, *args: Any, **fields: Any) -> job_pb2.Job:
    return await vector.ended((await accept(vector, *args, **fields)).id)


async def chunks(vector: Vector, collection: str, text: str) -> list[point_pb2.Chunk]:
    return [one.point.chunk for one in await vector.query(collection, text=text, k=1000)]


async def stored(vector: Vector, collection: str, document: str) -> pb.StoredDocument:
    request = pb.GetDocumentRequest(collection=collection, id=document, text_limit=1_000_000)
    found: pb.StoredDocument = (await vector.documents.GetDocument(request)).document
    return found


FORMS = {
    "handbook.pdf": (files.pdf, "pdf", True),
    "handbook.docx": (files.document, "docx", False),
    "talk.pptx": (files.slides, "pptx", True),
    "numbers.xlsx": (files.workbook, "xlsx", True),
    "book.epub": (files.epub, "epub", False),
    "letter.eml": (files.mail, "email", False),
}


@pytest.mark.parametrize("name", FORMS)
async def test_a_file_becomes_passages_that_point_into_its_text(vector: Vector, name: str) -> None:
    make, form, paged = FORMS[name]
    collection = await vector.create()
    job = await upload(vector, collection, name, make(), metadata='{"year": 1890}')
    assert (job.status, job.progress.documents_done, len(job.failures)) == ("completed", 1, 0)
    document = await stored(vector, collection, name)
    assert (document.format, document.metadata["year"]) == (form, 1890)
    assert document.title
    found = await chunks(vector, collection, "pergola")
    assert len(found) == document.chunk_count == job.progress.chunks_done > 0
    for chunk in found:
        assert document.text[chunk.start : chunk.end] == chunk.text
        assert chunk.HasField("page") is paged
        assert not paged or chunk.page >= 1


async def test_the_content_decides_and_the_name_is_only_doubted(vector: Vector) -> None:
    collection = await vector.create()
    job = await upload(vector, collection, "really-a-pdf.docx", files.pdf())
    assert job.status == "completed"
    assert "'really-a-pdf.docx'" in job.warnings[0]
    assert (await stored(vector, collection, "really-a-pdf.docx")).format == "pdf"


async def test_the_content_type_counts_where_the_content_says_nothing(vector: Vector) -> None:
    collection = await vector.create()
    text = "# Lamps\n\nOil lamps need a wick."
    await upload(vector, collection, "a", text.encode(), kind="text/markdown; charset=utf-8")
    await upload(vector, collection, "b", "Smørbrød".encode("latin-1"), kind="text/plain; charset=iso-8859-1")
    assert (await stored(vector, collection, "a")).format == "markdown"
    assert (await stored(vector, collection, "b")).text == "Smørbrød"


async def test_a_title_of_the_caller_wins(vector: Vector) -> None:
    collection = await vector.create()
    await upload(vector, collection, "a.pdf", files.pdf(), title="Mine")
    assert (await stored(vector, collection, "a.pdf")).title == "Mine"


async def test_a_file_that_cannot_be_parsed_fails_with_its_reason(vector: Vector) -> None:
    collection = await vector.create()
    for name, data, reason in (
        ("locked.pdf", files.pdf(password="secret"), "ENCRYPTED"),
        ("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(100), "FORMAT_UNKNOWN"),
        ("broken.pdf", b"%PDF-1.7\nno more than that", "MALFORMED"),
        ("white.txt", b" \n \n", "EMPTY"),
    ):
        job = await upload(vector, collection, name, data)
        assert (job.status, job.error.reason) == ("failed", "ALL_DOCUMENTS_FAILED")
        assert [(one.document, one.reason) for one in job.failures] == [(name, reason)]
        assert job.failures[0].message
    assert (await vector.get(collection)).document_count == 0


async def test_an_unchanged_file_costs_nothing_and_a_changed_one_replaces_it(vector: Vector) -> None:
    collection = await vector.create()
    await upload(vector, collection, "a.txt", b"Apples are red.")
    same = await upload(vector, collection, "a.txt", b"Apples are red.")
    assert (same.progress.documents_unchanged, same.progress.chunks_done) == (1, 0)
    await upload(vector, collection, "a.txt", b"Plums are blue.")
    assert [one.text for one in await chunks(vector, collection, "fruit")] == ["Plums are blue."]
    # By text or by file: the same id is the same document.
    await vector.ingest(collection, pb.Document(id="a.txt", text="Pears are green."))
    assert [one.text for one in await chunks(vector, collection, "fruit")] == ["Pears are green."]
    assert (await vector.get(collection)).document_count == 1


async def test_a_repeated_upload_gets_the_first_answer(vector: Vector) -> None:
    collection = await vector.create()
    first = await accept(vector, collection, "a.txt", b"Apples." * 50, request_id="once", piece=100)
    again = await accept(vector, collection, "a.txt", b"Apples." * 50, request_id="once", piece=333)
    assert again.id == first.id
    with pytest.raises(grpc.RpcError) as caught:
        await accept(vector, collection, "a.txt", b"Others." * 50, request_id="once")
    assert status(caught.value) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    assert (await vector.ended(first.id)).status == "completed"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"collection": ""}, "collection"),
        ({"data": b""}, "body"),
        ({"kind": "multipart/form-data; boundary=x"}, "body.content_type"),
        ({"metadata": "[1]"}, "metadata"),
        ({"metadata": "{"}, "metadata"),
        ({"metadata": '{"n": 9007199254740993}'}, "metadata"),
        ({"metadata": '{"n": NaN}'}, "metadata"),
        ({"metadata": '{"n": 1e999}'}, "metadata.n"),
        ({"metadata": '{"n": "\\u0000"}'}, "metadata.n"),
    ],
)
async def test_what_is_wrong_is_named(vector: Vector, fields: dict[str, Any], field: str) -> None:
    whole = {"collection": "towers", "name": "a.txt", "data": b"text"} | fields
    if fields.get("data") == b"":
        whole["collection"] = await vector.create()
    with pytest.raises(grpc.RpcError) as caught:
        await accept(vector, **whole)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violations(caught.value) == [field]


async def test_a_missing_collection_is_told_before_the_file_is_sent(vector: Vector) -> None:
    async def endless() -> Any:
        for message in messages("nowhere", "a.txt", b"text"):
            yield message
        await asyncio.Event().wait()

    with pytest.raises(grpc.RpcError) as caught:
        await vector.documents.UploadDocument(endless(), timeout=bounds.RECOVERY)
    assert status(caught.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")


async def test_too_large_a_file_is_refused_and_nothing_stays_of_files_that_are_done_with(stores: Stores) -> None:
    environ = await stores.own_database()
    async with (
        vector_service(environ, max_upload_bytes="3000000") as address,
        caller(address) as vector,
        database_of(environ) as database,
    ):
        collection = await vector.create()
        with pytest.raises(grpc.RpcError) as caught:
            await accept(vector, collection, "large.txt", b"word " * 600_001)
        assert status(caught.value) == ("RESOURCE_EXHAUSTED", "PAYLOAD_TOO_LARGE")
        # Of several parts: one that is settled, one that fails.
        whole = b"<p>Apples are red.</p><!--" + b"x" * 2_900_000 + b"-->"
        assert (await upload(vector, collection, "a.html", whole)).status == "completed"
        assert (await chunks(vector, collection, "apples"))[0].text == "Apples are red."
        job = await upload(vector, collection, "empty.txt", b" " * 2_999_999)
        assert job.failures[0].reason == "EMPTY"
        # A caller that goes away in the middle.
        begun = asyncio.Event()

        async def cut_off() -> Any:
            for message in messages(collection, "a.txt", b"word " * 300_000):
                yield message
            begun.set()
            await asyncio.Event().wait()

        call = vector.documents.UploadDocument(cut_off())
        await begun.wait()
        call.cancel()
        async with asyncio.timeout(bounds.RECOVERY):
            while True:
                async with database.transaction("default") as session:
                    left = await session.fetch("SELECT job_id::text AS job FROM pergola.uploads")
                    parts = await session.value(
                        "SELECT count(*) FROM pergola.upload_parts p"
                        " WHERE NOT EXISTS (SELECT FROM pergola.uploads u WHERE u.id = p.upload_id AND u.job_id = $1)",
                        uuid.UUID(job.id),
                    )
                # What failed can be tried again without being sent again.
                if [row["job"] for row in left] == [job.id] and parts == 0:
                    break
                await asyncio.sleep(0.05)


async def test_a_stop_gives_the_job_back_and_the_next_process_parses_the_file(stores: Stores) -> None:
    environ = await stores.own_database()
    async with vector_service(environ, workers="0") as address, caller(address) as vector:
        collection = await vector.create()
        job = (await accept(vector, collection, "a.pdf", files.pdf(), piece=1000)).id
    async with vector_service(environ) as address, caller(address) as vector:
        assert (await vector.ended(job)).status == "completed"
        assert (await stored(vector, collection, "a.pdf")).format == "pdf"


async def test_a_collection_takes_waiting_files_with_it(stores: Stores) -> None:
    environ = await stores.own_database()
    async with (
        vector_service(environ, workers="0") as address,
        caller(address) as vector,
        database_of(environ) as database,
    ):
        collection = await vector.create()
        job = (await accept(vector, collection, "a.pdf", files.pdf())).id
        await vector.delete(collection)
        assert (await vector.ended(job)).status == "cancelled"
        async with database.transaction("default") as session:
            assert await session.value("SELECT count(*) FROM pergola.upload_parts") == 0


async def test_a_job_waits_while_no_parser_can_be_started(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = await stores.own_database()
    async with vector_service(environ, job_retry_seconds="0.1") as address, caller(address) as vector:
        collection = await vector.create()
        with monkeypatch.context() as broken:
            broken.setattr(sys, "executable", "/nowhere/python")
            job = (await accept(vector, collection, "a.pdf", files.pdf())).id
            async for event in vector.jobs.WatchJob(job_pb2.WatchJobRequest(id=job), timeout=bounds.RECOVERY):
                if event.job.job.status == "queued" and event.job.job.attempt == 1:
                    break
        assert (await vector.ended(job)).status == "completed"
