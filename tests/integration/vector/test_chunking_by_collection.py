"""How a collection cuts its documents, and a text that is made to take for ever to be read."""

import asyncio
import time
from itertools import pairwise
from typing import Any

import grpc
import pytest

from pergola.vector.v1 import collection_pb2, document_pb2, point_pb2
from tests.stacks import Stores
from tests.support.files import pdf
from tests.support.vector import Vector, caller, status, vector_service, violations

_TEXT = "# One\n\nFirst sentence here. Second sentence here.\n\n# Two\n\nThird sentence here. Fourth sentence here.\n"


async def _passages(vector: Vector, collection: str) -> list[point_pb2.Chunk]:
    found = [
        point.chunk
        async for reply in vector.points.ScrollPoints(point_pb2.ScrollPointsRequest(collection=collection))
        for point in reply.points
    ]
    return sorted(found, key=lambda chunk: (chunk.document, chunk.index))


async def _cut(vector: Vector, text: str, **chunking: Any) -> list[point_pb2.Chunk]:
    name = await vector.create(chunking=collection_pb2.Chunking(**chunking))
    done = await vector.ingest(name, document_pb2.Document(id="a.md", text=text))
    assert done.status == "completed"
    found = await _passages(vector, name)
    assert [text[one.start : one.end] for one in found] == [one.text for one in found]
    return found


async def test_by_structure_a_passage_keeps_to_its_heading(vector: Vector) -> None:
    found = await _cut(vector, _TEXT)
    assert [list(one.heading_path) for one in found] == [["One"], ["Two"]]


async def test_by_sentences_a_passage_goes_over_headings_in_whole_sentences(vector: Vector) -> None:
    (whole,) = await _cut(vector, _TEXT, mode="sentences")
    assert list(whole.heading_path) == ["One"]
    windows = await _cut(vector, _TEXT, mode="sentences", tokens=16, overlap_tokens=5)
    assert len(windows) > 1
    # Each begins with the last sentence of the one before, as far as it fits, and none is cut.
    for before, after in pairwise(windows):
        assert after.start <= before.end
    assert all(one.text.endswith((".", "One", "Two")) for one in windows)
    assert list(windows[-1].heading_path) == ["Two"]


async def test_by_tokens_a_passage_is_as_long_as_it_may_be(vector: Vector) -> None:
    text = " ".join(f"word{n}." for n in range(100))
    found = await _cut(vector, text, mode="tokens", tokens=20, overlap_tokens=8)
    words = [one.text.split() for one in found]
    # "word7." has a token less than "word77.".
    assert {len(one) for one in words[:-1]} <= {5, 6}
    for before, after in pairwise(words):
        assert before[-len(set(before) & set(after)) :] == after[: len(set(before) & set(after))]
        assert set(before) & set(after)
    assert {word for one in words for word in one} == set(text.split())


async def test_no_mode_goes_over_a_page(vector: Vector) -> None:
    for mode in ("structure", "sentences", "tokens"):
        name = await vector.create(chunking=collection_pb2.Chunking(mode=mode))

        async def file(name: str = name):  # type: ignore[no-untyped-def]
            request = document_pb2.UploadDocumentRequest(collection=name, name="a.pdf")
            request.body.data = pdf()
            yield request

        reply = await vector.documents.UploadDocument(file())
        assert (await vector.ended(reply.job.id)).status == "completed"
        assert sorted({one.page for one in await _passages(vector, name)}) == [1, 2]


async def test_what_was_asked_for_is_told_and_nonsense_is_refused(vector: Vector) -> None:
    name = await vector.create(chunking=collection_pb2.Chunking(mode="tokens", tokens=64, overlap_tokens=0))
    found = (await vector.get(name)).chunking
    assert (found.mode, found.tokens, found.overlap_tokens) == ("tokens", 64, 0)
    assert not (await vector.get(await vector.create())).HasField("chunking")
    for wrong, field in (
        (collection_pb2.Chunking(mode="lines"), "collection.chunking.mode"),
        (collection_pb2.Chunking(tokens=3), "collection.chunking.tokens"),
        (collection_pb2.Chunking(tokens=20, overlap_tokens=11), "collection.chunking.overlap_tokens"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            await vector.create(chunking=wrong)
        assert status(caught.value)[0] == "INVALID_ARGUMENT"
        assert violations(caught.value) == [field]


async def test_other_settings_cut_the_same_document_anew(stores: Stores) -> None:
    environ = await stores.own_database()
    document = document_pb2.Document(id="a.md", text=_TEXT)
    async with vector_service(environ) as address, caller(address) as vector:
        await vector.create("notes")
        await vector.ingest("notes", document)
        assert (await vector.ingest("notes", document)).progress.documents_unchanged == 1
        assert len(await _passages(vector, "notes")) == 2
    async with vector_service(environ, chunk_mode="sentences") as address, caller(address) as vector:
        done = await vector.ingest("notes", document)
        assert (done.progress.documents_unchanged, done.progress.chunks_done) == (0, 1)
        assert len(await _passages(vector, "notes")) == 1


async def test_a_text_made_to_take_for_ever_holds_up_nobody(stores: Stores) -> None:
    environ = await stores.own_database()
    hostile = document_pb2.Document(id="hostile.md", text="# *a*\n" * 190_000)
    fine = document_pb2.Document(id="fine.md", text="# Fine\n\nA text.")
    async with vector_service(environ, parse_seconds="1", workers="1") as address, caller(address) as vector:
        name = await vector.create()
        job = asyncio.ensure_future(vector.ingest(name, hostile, fine))
        longest = 0.0
        while not job.done():
            began = time.monotonic()
            await vector.get(name)
            longest = max(longest, time.monotonic() - began)
            await asyncio.sleep(0.02)
        done = await job
    assert longest < 1
    assert (done.status, done.progress.documents_done) == ("completed", 1)
    assert [(one.document, one.reason) for one in done.failures] == [("hostile.md", "TOO_SLOW")]
