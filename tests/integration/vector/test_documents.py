from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct

from pergola.vector.v1 import document_pb2 as pb
from pergola.vector.v1 import job_pb2, point_pb2
from tests.support.vector import Vector, status, violations

_TOWERS = """# Towers

The tower of Babel was never finished. Its builders spoke many tongues.

## Lighthouses

The lighthouse of Alexandria stood on Pharos. 🔥 Its fire could be seen from far away.

```
height = 100  # metres
```
"""


async def _chunks(vector: Vector, collection: str, document: str) -> list[point_pb2.Chunk]:
    found = await vector.query(collection, text="tower lighthouse fire", mode="dense", k=1000)
    chunks = [one.point.chunk for one in found if one.point.chunk.document == document]
    return sorted(chunks, key=lambda chunk: chunk.index)


async def test_a_document_becomes_passages_that_point_into_its_text(vector: Vector) -> None:
    collection = await vector.create()
    job = await vector.ingest(collection, pb.Document(id="towers.md", text=_TOWERS))
    assert job.status == "completed"
    assert (job.progress.documents_total, job.progress.documents_done) == (1, 1)
    chunks = await _chunks(vector, collection, "towers.md")
    assert job.progress.chunks_done == len(chunks) == 2
    for place, chunk in enumerate(chunks):
        assert chunk.index == place
        assert chunk.title == "Towers"
        assert _TOWERS[chunk.start : chunk.end] == chunk.text
    assert [list(chunk.heading_path) for chunk in chunks] == [["Towers"], ["Towers", "Lighthouses"]]
    counted = await vector.get(collection)
    assert (counted.point_count, counted.document_count) == (2, 1)


async def test_metadata_is_the_payload_of_every_point(vector: Vector) -> None:
    collection = await vector.create()
    fields = Struct()
    fields.update({"year": 1999, "tags": ["a", {"deep": None}], "share": 0.5, "new": True})
    await vector.ingest(collection, pb.Document(text="Something about something.", metadata=fields))
    (found,) = await vector.query(collection, text="something")
    assert found.point.payload == fields


async def test_unchanged_documents_cost_nothing_and_changed_ones_replace_their_passages(vector: Vector) -> None:
    collection = await vector.create()
    long = " ".join(f"Sentence number {n} tells about apples." for n in range(120))
    first = await vector.ingest(
        collection, pb.Document(id="a", text=long), pb.Document(id="b", text="Pears are green.")
    )
    assert first.progress.documents_unchanged == 0
    before = await vector.get(collection)
    same = await vector.ingest(collection, pb.Document(id="a", text=long), pb.Document(id="b", text="Pears are green."))
    assert (same.progress.documents_unchanged, same.progress.documents_done, same.progress.chunks_done) == (2, 2, 0)
    changed = await vector.ingest(collection, pb.Document(id="a", text="Only plums are left."))
    assert (changed.progress.documents_unchanged, changed.progress.chunks_done) == (0, 1)
    after = await vector.get(collection)
    assert before.point_count > 3
    assert (after.point_count, after.document_count) == (2, 2)
    assert await vector.query(collection, text="apples", mode="lexical", k=100) == []
    (found,) = await vector.query(collection, text="plums", mode="lexical")
    assert found.point.chunk.document == "a"


async def test_the_same_text_is_the_same_document(vector: Vector) -> None:
    collection = await vector.create()
    await vector.ingest(collection, "Twice.", "Twice.")
    await vector.ingest(collection, "Twice.")
    assert (await vector.get(collection)).document_count == 1


async def test_the_later_state_of_a_document_wins_within_a_job_too(vector: Vector) -> None:
    collection = await vector.create()
    job = await vector.ingest(
        collection, pb.Document(id="x", text="The old one."), pb.Document(id="x", text="The new.")
    )
    assert job.progress.documents_done == 2
    (found,) = await vector.query(collection, text="one")
    assert found.point.chunk.text == "The new."


async def test_a_document_fails_alone(vector: Vector) -> None:
    collection = await vector.create()
    job = await vector.ingest(collection, pb.Document(id="empty", text=" \n\t "), pb.Document(id="full", text="Words."))
    assert job.status == "completed"
    assert (job.progress.documents_done, job.progress.documents_failed) == (1, 1)
    (failure,) = job.failures
    assert (failure.document, failure.reason) == ("empty", "DOCUMENT_EMPTY")


async def test_a_job_of_which_every_document_failed_has_failed(vector: Vector) -> None:
    collection = await vector.create()
    job = await vector.ingest(collection, pb.Document(id="empty", text=" "))
    assert (job.status, job.error.reason) == ("failed", "ALL_DOCUMENTS_FAILED")


@pytest.mark.parametrize(
    ("text", "script"),
    [("서울은 대한민국의 수도이다. 한강이 흐른다.", "Korean"), ("東京は日本の首都です。とても大きい。", "Japanese")],
)
async def test_text_the_model_was_not_made_for_is_named_and_still_found(vector: Vector, text: str, script: str) -> None:
    collection = await vector.create()
    job = await vector.ingest(collection, text, "An English text beside it.")
    (warning,) = job.warnings
    assert script in warning
    assert "PERGOLA_VECTOR_EMBEDDING_ENDPOINT_URL" in warning
    word = {"Korean": "수도", "Japanese": "首都"}[script]
    found = await vector.query(collection, text=word, mode="lexical")
    assert [one.point.chunk.text for one in found] == [text]


async def test_ingestion_asks_for_a_collection_and_build_makes_one(vector: Vector) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await vector.accept("nowhere", "text")
    assert status(caught.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")
    request = pb.BuildIndexRequest(collection="built", documents=["The first text.", "The second text."])
    reply = await vector.documents.BuildIndex(request)
    assert reply.status == "processing"
    assert (await vector.ended(reply.task_id)).status == "completed"
    made = await vector.get("built")
    assert made.graph
    assert (made.document_count, made.point_count) == (2, 2)


async def test_a_repeated_request_id_makes_no_second_job(vector: Vector) -> None:
    collection = await vector.create()
    first = await vector.accept(collection, "Text.", request_id="same")
    assert await vector.accept(collection, "Text.", request_id="same") == first
    with pytest.raises(grpc.RpcError) as caught:
        await vector.accept(collection, "Another text.", request_id="same")
    assert status(caught.value) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    request = pb.BuildIndexRequest(collection=f"{collection}-b", documents=["x"], request_id="same")
    built = await vector.documents.BuildIndex(request)
    assert (await vector.documents.BuildIndex(request)).task_id == built.task_id
    assert built.task_id != first


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (pb.Document(text="a\0b"), "documents[0].text"),
        (pb.Document(text="a", id="\0"), "documents[0].id"),
        (pb.Document(text=""), "documents[0].text"),
        (pb.Document(text="a", format="pdf"), "documents[0].format"),
        (pb.Document(text="a", id="x" * 513), "documents[0].id"),
    ],
)
async def test_what_can_not_be_stored_is_named(vector: Vector, document: pb.Document, field: str) -> None:
    collection = await vector.create()
    with pytest.raises(grpc.RpcError) as caught:
        await vector.accept(collection, document)
    assert status(caught.value) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")
    assert violations(caught.value) == [field]


@pytest.mark.parametrize(
    ("value", "path"),
    [(2.0**53 + 2, "n"), (float("inf"), "n"), (float("nan"), "n"), ({"deep": [1, 2.0**60]}, "n.deep[1]"), ("\0", "n")],
)
async def test_metadata_that_would_not_come_back_is_named(vector: Vector, value: Any, path: str) -> None:
    collection = await vector.create()
    fields = Struct()
    fields.update({"n": value})
    with pytest.raises(grpc.RpcError) as caught:
        await vector.accept(collection, pb.Document(text="a", metadata=fields))
    assert status(caught.value) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")
    assert violations(caught.value) == [f"documents[0].metadata.{path}"]


async def test_a_large_document_is_stored_whole_or_not_at_all(vector: Vector) -> None:
    collection = await vector.create()
    text = "\n\n".join(f"Paragraph {n} speaks of the number {n * n}." for n in range(1200))
    job = await vector.accept(collection, pb.Document(id="big", text=text))
    counts = set()
    async for _ in vector.jobs.WatchJob(job_pb2.WatchJobRequest(id=job), timeout=200):
        counts.add((await vector.get(collection)).document_count)
    done = await vector.ended(job)
    assert done.status == "completed"
    assert (await vector.get(collection)).point_count == done.progress.chunks_done > 50
    assert counts <= {0, 1}


async def test_the_last_of_a_document_in_a_job_counts_though_it_was_stored_before(vector: Vector) -> None:
    collection = await vector.create()
    await vector.ingest(collection, pb.Document(id="x", text="Apples are red."))
    # Far enough apart that they are of different steps, the second read before the first is stored.
    between = [pb.Document(id=f"d{n}", text=f"Filler number {n}.") for n in range(40)]
    job = await vector.ingest(
        collection,
        pb.Document(id="x", text="Plums are blue."),
        *between,
        pb.Document(id="x", text="Apples are red."),
    )
    assert (job.status, job.progress.documents_done, job.progress.documents_failed) == ("completed", 42, 0)
    assert [one.text for one in await _chunks(vector, collection, "x")] == ["Apples are red."]
    assert (await vector.get(collection)).point_count == 41


async def test_a_document_takes_its_place_from_a_point_with_the_id_of_one_of_its_passages(vector: Vector) -> None:
    collection = await vector.create()
    await vector.ingest(collection, pb.Document(id="x", text="Apples are red."))
    (passage,) = await vector.query(collection, text="apples")
    await vector.documents.DeleteDocument(pb.DeleteDocumentRequest(collection=collection, id="x"))
    kept = point_pb2.NewPoint(id=passage.point.id, text="A copy somebody kept.")
    await vector.points.UpsertPoints(point_pb2.UpsertPointsRequest(collection=collection, points=[kept]))
    job = await vector.ingest(collection, pb.Document(id="x", text="Apples are green."))
    assert (job.status, job.attempt, job.progress.chunks_done) == ("completed", 1, 1)
    (found,) = await vector.query(collection, text="apples")
    assert (found.point.id, found.point.chunk.text) == (passage.point.id, "Apples are green.")
    assert (await vector.get(collection)).point_count == 1
    changes = await vector.changes_until(collection, 4)
    assert [change.WhichOneof("change") for change in changes][-1] == "upsert"
