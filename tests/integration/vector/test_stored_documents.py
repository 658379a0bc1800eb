"""GetDocument, ListDocuments, DeleteDocument."""

from typing import Any

import grpc
import pytest

from pergola.vector.v1 import document_pb2 as pb
from tests.stacks import Stores
from tests.support.vector import Vector, caller, status, vector_service


async def get(vector: Vector, collection: str, document: str, **fields: Any) -> pb.StoredDocument:
    reply = await vector.documents.GetDocument(
        pb.GetDocumentRequest(collection=collection, id=document, **fields), metadata=vector.metadata
    )
    found: pb.StoredDocument = reply.document
    return found


async def delete(vector: Vector, collection: str, document: str) -> int:
    request = pb.DeleteDocumentRequest(collection=collection, id=document)
    reply = await vector.documents.DeleteDocument(request, metadata=vector.metadata)
    return int(reply.deleted_points)


async def test_a_document_with_as_much_of_its_text_as_asked_for(vector: Vector) -> None:
    collection = await vector.create()
    text = "Flames 🔥 are hot. Ice is cold."
    await vector.ingest(collection, pb.Document(id="a/b.txt", text=text, title="Heat"))
    whole = await get(vector, collection, "a/b.txt", text_limit=1000)
    assert (whole.id, whole.title, whole.format, whole.text) == ("a/b.txt", "Heat", "text", text)
    assert (whole.text_length, whole.chunk_count) == (len(text), 1)
    assert whole.create_time == whole.update_time
    assert not (await get(vector, collection, "a/b.txt")).HasField("text")
    assert (await get(vector, collection, "a/b.txt", text_start=7, text_limit=5)).text == text[7:12]
    beyond = await get(vector, collection, "a/b.txt", text_start=1000, text_limit=5)
    assert beyond.HasField("text")
    assert beyond.text == ""


async def test_what_is_missing_is_named(vector: Vector) -> None:
    collection = await vector.create()
    for call in (get, delete):
        with pytest.raises(grpc.RpcError) as caught:
            await call(vector, collection, "none")
        assert status(caught.value) == ("NOT_FOUND", "DOCUMENT_NOT_FOUND")
        with pytest.raises(grpc.RpcError) as caught:
            await call(vector, "nowhere", "none")
        assert status(caught.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")
    with pytest.raises(grpc.RpcError) as caught:
        await vector.documents.ListDocuments(pb.ListDocumentsRequest(collection="nowhere"))
    assert status(caught.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")


async def test_a_list_comes_page_by_page_in_the_order_of_ids(vector: Vector) -> None:
    collection = await vector.create()
    ids = [f"{n:02}-é.txt" for n in range(7)]
    await vector.ingest(collection, *(pb.Document(id=one, text=f"Text of {one}.") for one in reversed(ids)))
    await delete(vector, collection, ids[3])
    found: list[str] = []
    token = ""
    while True:
        request = pb.ListDocumentsRequest(collection=collection, page_size=3, page_token=token)
        page = await vector.documents.ListDocuments(request)
        assert not any(one.HasField("text") for one in page.documents)
        found.extend(one.id for one in page.documents)
        token = page.next_page_token
        if not token:
            break
    assert found == [*ids[:3], *ids[4:]]
    other = await vector.create()
    first = await vector.documents.ListDocuments(pb.ListDocumentsRequest(collection=collection, page_size=1))
    with pytest.raises(grpc.RpcError) as caught:
        await vector.documents.ListDocuments(
            pb.ListDocumentsRequest(collection=other, page_token=first.next_page_token)
        )
    assert status(caught.value) == ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")


async def test_a_deleted_document_is_gone_from_search_counts_and_feed(vector: Vector) -> None:
    collection = await vector.create()
    long = " ".join(f"Sentence number {n} tells about apples." for n in range(120))
    await vector.ingest(collection, pb.Document(id="a", text=long), pb.Document(id="b", text="Pears are green."))
    before = await vector.get(collection)
    points = {one.point.id for one in await vector.query(collection, text="apples", mode="lexical", k=1000)}
    assert await delete(vector, collection, "a") == len(points) == before.point_count - 1
    after = await vector.get(collection)
    assert (after.point_count, after.document_count) == (1, 1)
    assert await vector.query(collection, text="apples", mode="lexical") == []
    assert len(await vector.query(collection, text="apples", mode="dense")) == 1
    changes = await vector.changes_until(collection, before.point_count + len(points))
    assert {one.delete for one in changes[-len(points) :]} == points
    with pytest.raises(grpc.RpcError):
        await get(vector, collection, "a")
    # Handed in again it is a new one.
    again = await vector.ingest(collection, pb.Document(id="a", text=long))
    assert again.progress.chunks_done == len(points)
    assert (await vector.get(collection)).document_count == 2
    assert await delete(vector, collection, "a") == len(points)
    assert (await vector.get(collection)).document_count == 1


async def test_a_job_accepted_before_a_deletion_does_not_bring_the_document_back(stores: Stores) -> None:
    environ = await stores.own_database()
    async with vector_service(environ) as address, caller(address) as vector:
        collection = await vector.create()
        await vector.ingest(collection, pb.Document(id="a", text="One."), pb.Document(id="b", text="Two."))
    async with vector_service(environ, workers="0") as address, caller(address) as vector:
        early = await vector.accept(collection, pb.Document(id="a", text="Other."), pb.Document(id="c", text="Three."))
        await delete(vector, collection, "a")
        await delete(vector, collection, "b")
        late = await vector.accept(collection, pb.Document(id="b", text="Two."))
    async with vector_service(environ) as address, caller(address) as vector:
        for job in (early, late):
            assert (await vector.ended(job)).status == "completed"
        listed = await vector.documents.ListDocuments(pb.ListDocumentsRequest(collection=collection))
        assert [one.id for one in listed.documents] == ["b", "c"]
        counted = await vector.get(collection)
        assert (counted.point_count, counted.document_count) == (2, 2)
