"""Points in a stream: as messages and as JSON Lines, each failing alone, and no faster than the database."""

import asyncio
import base64
import gc
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import numpy as np
import pytest
from google.api import httpbody_pb2
from google.protobuf.json_format import MessageToDict

from pergola.vector.v1 import document_pb2
from pergola.vector.v1 import point_pb2 as pb
from services.vector.points.model import NewPoint
from tests import bounds
from tests.stacks import Stores
from tests.support.vector import Vector, caller, status, vector_service, violations

_DIMENSION = 4


def lines(collection: str, *whole: Any, piece: int = 0) -> Iterable[pb.ImportPointsRequest]:
    """The points as JSON Lines; what is text already stays as it is."""
    data = b"\n".join((one if isinstance(one, str) else json.dumps(one)).encode() for one in whole)
    piece = piece or max(1, len(data))
    for first in range(0, max(1, len(data)), piece):
        yield pb.ImportPointsRequest(
            collection=collection if first == 0 else "", body=httpbody_pb2.HttpBody(data=data[first : first + piece])
        )


async def send(vector: Vector, requests: Any) -> pb.ImportPointsResponse:
    answer: pb.ImportPointsResponse = await vector.points.ImportPoints(requests, metadata=vector.metadata)
    return answer


async def get(vector: Vector, collection: str, *ids: str) -> dict[str, pb.Point]:
    reply = await vector.points.GetPoints(pb.GetPointsRequest(collection=collection, ids=ids, with_vector=True))
    return {one.id: one for one in reply.points}


@pytest.mark.parametrize("piece", [0, 1, 7])
async def test_lines_become_points(vector: Vector, piece: int) -> None:
    collection = await vector.create(dimension=_DIMENSION, distance="l2")
    packed = base64.b64encode(np.array([1, 2, 3, 4], "<f4").tobytes()).decode()
    answer = await send(
        vector,
        lines(
            collection,
            '\ufeff{"id": "a", "vector": {"values": [1, 2, 3, 4]}, "payload": {"n": 1, "deep": [{"ü": null}]}}\r',
            "",
            {"id": "b", "vector": [1.5, 2, 3, 4], "text": "A red lantern"},
            {"id": "c", "vector": {"packed": packed}, "payload": None},
            "",
            piece=piece,
        ),
    )
    assert (answer.stored_count, answer.failed_count, list(answer.failures)) == (3, 0, [])
    found = await get(vector, collection, "a", "b", "c")
    assert found["a"].payload["n"] == 1
    assert MessageToDict(found["a"].payload)["deep"] == [{"ü": None}]
    assert found["b"].text == "A red lantern"
    assert [np.frombuffer(found[id].vector.packed, "<f4")[0] for id in "abc"] == [1, 1.5, 1]
    (hit,) = await vector.query(collection, text="lantern", mode="lexical")
    assert hit.point.id == "b"


async def test_what_is_wrong_with_a_point_is_its_own_failure(vector: Vector) -> None:
    collection = await vector.create(dimension=_DIMENSION)
    whole: list[tuple[Any, str, str]] = [
        ({"id": "good", "vector": [1, 0, 0, 0]}, "", ""),
        ("{", "", "INVALID_ARGUMENT"),
        ("[1]", "", "INVALID_ARGUMENT"),
        ('{"id": 7}', "", "INVALID_ARGUMENT"),
        ({"id": "colour", "vector": [1, 0, 0, 0], "color": "red"}, "", "INVALID_ARGUMENT"),
        (b'{"id": "\xff"}'.decode("latin-1"), "ÿ", "INVALID_ARGUMENT"),
        ({"id": "", "vector": [1, 0, 0, 0]}, "", "INVALID_ARGUMENT"),
        ({"id": "x" * 257, "vector": [1, 0, 0, 0]}, "x" * 257, "INVALID_ARGUMENT"),
        ({"id": "nothing"}, "nothing", "INVALID_ARGUMENT"),
        ({"id": "nul\0", "vector": [1, 0, 0, 0]}, "nul\0", "INVALID_ARGUMENT"),
        ({"id": "big", "vector": [1, 0, 0, 0], "payload": {"n": [2**53 + 1]}}, "big", "INVALID_ARGUMENT"),
        ({"id": "both", "vector": {"values": [1], "packed": "AAAA"}}, "both", "INVALID_ARGUMENT"),
        ({"id": "short", "vector": [1, 0]}, "short", "DIMENSION_MISMATCH"),
        ({"id": "text", "text": "No model makes four numbers."}, "text", "DIMENSION_MISMATCH"),
        ({"id": "zero", "vector": [0, 0, 0, 0]}, "zero", "INVALID_VECTOR"),
        ({"id": "infinite", "vector": [1e300, 0, 0, 0]}, "infinite", "INVALID_VECTOR"),
        ({"id": "broken", "vector": {"packed": "AAAAAAA="}}, "broken", "INVALID_VECTOR"),
        ('{"id": "long", "text": "' + "x" * 2**20 + '"}', "", "INVALID_ARGUMENT"),
        ({"id": "deep", "vector": [1, 0, 0, 0], "payload": json.loads("[" * 40 + "]" * 40) or {}}, "", ""),
        ({"id": "last", "vector": [0, 1, 0, 0]}, "", ""),
    ]
    whole[18] = ({"id": "deep", "vector": [1, 0, 0, 0], "payload": {"a": json.loads("[" * 40 + "]" * 40)}}, "deep",
                 "INVALID_ARGUMENT")  # fmt: skip
    answer = await send(vector, lines(collection, *(one for one, _, _ in whole), piece=100_000))
    expected = [(place, id, reason) for place, (_, id, reason) in enumerate(whole) if reason]
    assert [(one.index, one.id, one.reason) for one in answer.failures] == expected
    assert all(one.message for one in answer.failures)
    assert (answer.stored_count, answer.failed_count) == (2, len(expected))
    assert set(await get(vector, collection, "good", "last")) == {"good", "last"}


async def test_messages_are_checked_one_by_one_too(vector: Vector) -> None:
    collection = await vector.create()
    await vector.ingest(collection, document_pb2.Document(id="x", text="Apples are red."))
    (passage,) = await vector.query(collection, text="apples")
    fine = pb.NewPoint(id="fine", text="Plums are blue.")

    def requests() -> Iterable[pb.ImportPointsRequest]:
        yield pb.ImportPointsRequest(collection=collection)
        yield pb.ImportPointsRequest(points=[fine, pb.NewPoint(id=passage.point.id, text="Mine.")])
        yield pb.ImportPointsRequest(points=[pb.NewPoint(id="empty")])
        short = pb.Vector(packed=b"\0" * 5)
        yield pb.ImportPointsRequest(points=[pb.NewPoint(id="short", vector=short)])

    answer = await send(vector, requests())
    assert (answer.stored_count, answer.failed_count) == (1, 3)
    assert [(one.index, one.id, one.reason) for one in answer.failures] == [
        (1, passage.point.id, "POINT_OF_DOCUMENT"),
        (2, "empty", "INVALID_ARGUMENT"),
        (3, "short", "INVALID_VECTOR"),
    ]
    assert answer.failures[1].message == "give vector, text or both"
    assert "points[" not in answer.failures[2].message
    (hit,) = await vector.query(collection, text="plums", mode="dense", k=1)
    assert hit.point.id == "fine"


async def test_of_points_with_the_same_id_the_last_good_one_stays(vector: Vector) -> None:
    collection = await vector.create(dimension=_DIMENSION)
    # In many batches, which are stored at the same time.
    many: list[Any] = [
        {"id": f"p{n % 300}", "vector": [1, 0, 0, 0], "payload": {"turn": n // 300}} for n in range(300 * 20)
    ]
    many.append({"id": "p0", "vector": [1]})
    answer = await send(vector, lines(collection, *many, piece=50_000))
    assert (answer.stored_count, answer.failed_count) == (6000, 1)
    assert (await vector.get(collection)).point_count == 300
    found = await get(vector, collection, *(f"p{n}" for n in range(300)))
    assert {one.payload["turn"] for one in found.values()} == {19}


async def test_all_failures_are_counted_and_the_first_are_named(vector: Vector) -> None:
    collection = await vector.create(dimension=_DIMENSION)
    answer = await send(vector, lines(collection, *["no"] * 2_500, {"id": "a", "vector": [1, 0, 0, 0]}))
    assert (answer.stored_count, answer.failed_count) == (1, 2_500)
    assert [one.index for one in answer.failures] == list(range(100))


@pytest.mark.parametrize(
    ("requests", "field"),
    [([], "collection"), ([pb.ImportPointsRequest()], "collection"),
     ([pb.ImportPointsRequest(collection="No!")], "collection")],
)  # fmt: skip
async def test_the_first_message_must_say_where_to(vector: Vector, requests: list[Any], field: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await send(vector, iter(requests))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violations(caught.value) == [field]


async def test_a_missing_collection_is_told_before_anything_is_sent(vector: Vector) -> None:
    async def endless() -> AsyncIterator[pb.ImportPointsRequest]:
        yield pb.ImportPointsRequest(collection="nowhere")
        await asyncio.Event().wait()

    with pytest.raises(grpc.RpcError) as caught:
        await vector.points.ImportPoints(endless(), timeout=bounds.RECOVERY)
    assert status(caught.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")


async def test_an_import_that_ends_early_says_how_far_it_came(vector: Vector) -> None:
    collection = await vector.create(dimension=_DIMENSION)
    packed = pb.Vector(packed=np.ones(_DIMENSION, "<f4").tobytes())

    async def deleted_meanwhile() -> AsyncIterator[pb.ImportPointsRequest]:
        yield pb.ImportPointsRequest(collection=collection)
        yield pb.ImportPointsRequest(points=[pb.NewPoint(id=str(n), vector=packed) for n in range(4_000)])
        while (await vector.get(collection)).point_count < 1_000:
            pass
        await vector.delete(collection)
        yield pb.ImportPointsRequest(points=[pb.NewPoint(id=str(n), vector=packed) for n in range(4_000)])

    with pytest.raises(grpc.RpcError) as caught:
        await send(vector, deleted_meanwhile())
    assert status(caught.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")
    assert "are dealt with; send the others again" in (caught.value.details() or "")


async def test_nothing_is_read_while_the_database_is_behind_and_little_is_held(stores: Stores) -> None:
    environ = await stores.own_database()
    sent = 0
    held = 0
    async with vector_service(environ) as address, caller(address) as vector:
        collection = await vector.create(dimension=_DIMENSION)
        vectors = [pb.Vector(packed=np.ones(_DIMENSION, "<f4").tobytes())] * 200
        filler = "x" * 5_000

        async def many(count: int, text: str = "") -> AsyncIterator[pb.ImportPointsRequest]:
            nonlocal sent, held
            yield pb.ImportPointsRequest(collection=collection)
            for number in range(count):
                sent += 1
                ids = range(number * 200, number * 200 + 200)
                yield pb.ImportPointsRequest(
                    points=[
                        pb.NewPoint(id=str(id), text=text, vector=one) for id, one in zip(ids, vectors, strict=True)
                    ]
                )
                if number % 20 == 0:
                    held = max(held, sum(isinstance(one, NewPoint) for one in gc.get_objects()))

        with stores.frozen("postgres"):
            call = vector.points.ImportPoints(many(60, filler))
            before = -1
            # What the buffers between here and there hold; then nothing moves any more.
            while before != sent or not sent:
                before = sent
                await asyncio.sleep(0.3)
            assert sent < 40
            call.cancel()
        answer = await vector.points.ImportPoints(many(200))
        assert answer.stored_count == 40_000
        assert (await vector.get(collection)).point_count == 40_000
        # Two batches that are stored, one before and one behind them, and what was just read.
        assert 0 < held < 10_000
