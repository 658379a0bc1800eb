"""Points that are written one by one: what is found, counted and told afterwards."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from pergola.vector.v1 import document_pb2
from pergola.vector.v1 import point_pb2 as pb
from pergola.vector.v1 import selection_pb2 as sel
from tests.support.vector import Vector, status, violations


def new(id: str, *values: float, **fields: Any) -> pb.NewPoint:
    point = pb.NewPoint(id=id, text=fields.get("text", ""))
    if values:
        point.vector.values.extend(values)
    ParseDict(fields.get("payload", {}), point.payload)
    return point


async def upsert(vector: Vector, collection: str, *points: pb.NewPoint) -> pb.UpsertPointsResponse:
    request = pb.UpsertPointsRequest(collection=collection, points=points)
    reply: pb.UpsertPointsResponse = await vector.points.UpsertPoints(request, metadata=vector.metadata)
    return reply


async def count(vector: Vector, collection: str) -> int:
    return int((await vector.points.CountPoints(sel.CountPointsRequest(collection=collection))).count)


async def payload(vector: Vector, collection: str, id: str) -> dict[str, Any]:
    reply = await vector.points.GetPoints(pb.GetPointsRequest(collection=collection, ids=[id]))
    return MessageToDict(reply.points[0].payload)


async def test_an_upsert_is_found_by_meaning_and_words_and_is_in_the_feed(vector: Vector) -> None:
    collection = await vector.create(dimension=3)
    reply = await upsert(
        vector,
        collection,
        new("b", 1, 0, 0, text="A red lantern", payload={"n": 1}),
        new("a", 0, 1, 0, text="a blue lantern"),
        new("c", 0, 0, 1),
    )
    assert (reply.stored_count, len(reply.failures)) == (3, 0)
    found = await vector.query(collection, vector=pb.Vector(values=[0.9, 0.1, 0]), k=3)
    assert [one.point.id for one in found] == ["b", "a", "c"]
    assert (found[0].point.text, MessageToDict(found[0].point.payload)) == ("A red lantern", {"n": 1.0})
    assert not found[0].point.HasField("chunk")
    assert [one.point.id for one in await vector.query(collection, text="red", mode="lexical")] == ["b"]
    changes = await vector.changes_until(collection, 3)
    assert sorted(one.upsert.id for one in changes) == ["a", "b", "c"]
    assert await count(vector, collection) == (await vector.get(collection)).point_count == 3


async def test_an_upsert_replaces_the_whole_point(vector: Vector) -> None:
    collection = await vector.create(dimension=2)
    await upsert(vector, collection, new("a", 1, 0, text="red", payload={"old": True}), new("b", 0.5, 0.5))
    await upsert(vector, collection, new("a", 0, 1, text="green"))
    assert await vector.query(collection, text="red", mode="lexical") == []
    (green,) = await vector.query(collection, text="green", mode="lexical", with_vector=True)
    assert (green.point.id, MessageToDict(green.point.payload)) == ("a", {})
    assert [one.point.id for one in await vector.query(collection, vector=pb.Vector(values=[1, 0]))] == ["b", "a"]
    assert await count(vector, collection) == 2
    changes = await vector.changes_until(collection, 3)
    assert [(one.seq, one.upsert.id, one.delete) for one in changes][2] == (3, "a", "")


async def test_text_alone_is_embedded(vector: Vector) -> None:
    collection = await vector.create()
    await upsert(vector, collection, new("cat", text="A feline is resting"), new("car", text="The engine is loud"))
    found = await vector.query(collection, text="a cat sleeps", mode="dense")
    assert [one.point.id for one in found] == ["cat", "car"]


@pytest.mark.parametrize(
    ("points", "reason", "fields"),
    [
        ([new("a", 1, 0), new("b", 1, 0, 0)], "DIMENSION_MISMATCH", ["points[1].vector"]),
        ([new("a", 0, 0)], "INVALID_VECTOR", ["points[0].vector"]),
        ([new("a", float("nan"), 1)], "INVALID_ARGUMENT", ["points[0].vector.values[0]"]),
        ([pb.NewPoint(id="a", vector=pb.Vector(packed=b"\0\0\x80\x7f" * 2))], "INVALID_VECTOR", ["points[0].vector"]),
        ([pb.NewPoint(id="a", vector=pb.Vector(packed=b"123"))], "INVALID_VECTOR", ["points[0].vector.packed"]),
        ([pb.NewPoint(id="a", vector=pb.Vector())], "INVALID_ARGUMENT", ["points[0].vector"]),
        ([new("a")], "INVALID_ARGUMENT", ["points[0]"]),
        ([new("", 1, 0)], "INVALID_ARGUMENT", ["points[0].id"]),
        ([new("a", 1, 0), new("a", 0, 1)], "INVALID_ARGUMENT", ["points[1].id"]),
        ([new("a\0", 1, 0)], "INVALID_ARGUMENT", ["points[0].id"]),
        ([new("a", 1, 0, payload={"deep": [{"n": 1e300}]})], "INVALID_ARGUMENT", ["points[0].payload.deep[0].n"]),
        ([new("a", text="no model makes two numbers")], "DIMENSION_MISMATCH", ["points[0].vector"]),
        ([], "INVALID_ARGUMENT", ["points"]),
    ],
)
async def test_bad_points_are_named_and_nothing_is_stored(
    vector: Vector, points: list[pb.NewPoint], reason: str, fields: list[str]
) -> None:
    collection = await vector.create(dimension=2)
    with pytest.raises(grpc.RpcError) as error:
        await upsert(vector, collection, *points)
    assert status(error.value) == ("INVALID_ARGUMENT", reason)
    assert violations(error.value) == fields
    assert await count(vector, collection) == 0


async def test_every_call_names_a_collection_that_is_missing(vector: Vector) -> None:
    calls = [
        (vector.points.UpsertPoints, pb.UpsertPointsRequest(collection="nowhere", points=[new("a", 1)])),
        (vector.points.DeletePoints, sel.DeletePointsRequest(collection="nowhere", ids=["a"])),
        (vector.points.SetPayload, sel.SetPayloadRequest(collection="nowhere", ids=["a"], delete_keys=["b"])),
        (vector.points.CountPoints, sel.CountPointsRequest(collection="nowhere")),
    ]
    for call, request in calls:
        with pytest.raises(grpc.RpcError) as error:
            await call(request)
        assert status(error.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")


async def test_deleted_points_are_gone_everywhere(vector: Vector) -> None:
    collection = await vector.create(dimension=2)
    await upsert(vector, collection, *(new(f"p{n}", 1, n, text=f"word{n} common") for n in range(4)))
    reply = await vector.points.DeletePoints(
        sel.DeletePointsRequest(collection=collection, ids=["p1", "p3", "p3", "x"])
    )
    assert reply.deleted_count == 2
    everything = await vector.query(collection, vector=pb.Vector(values=[1, 0]), k=100)
    assert {one.point.id for one in everything} == {"p0", "p2"}
    assert {one.point.id for one in await vector.query(collection, text="common word1", mode="lexical")} == {"p0", "p2"}
    assert await count(vector, collection) == 2
    changes = await vector.changes_until(collection, 6)
    assert {one.delete for one in changes[4:]} == {"p1", "p3"}


async def test_points_of_documents_are_kept_whole(vector: Vector) -> None:
    collection = await vector.create()
    document = document_pb2.Document(id="d", text="The lamp is lit.")
    await vector.ingest(collection, document)
    (found,) = await vector.query(collection, text="lamp", mode="lexical")
    reply = await upsert(vector, collection, new("mine", text="a lamp"), new(found.point.id, text="another lamp"))
    assert reply.stored_count == 1
    assert [(one.index, one.id, one.reason) for one in reply.failures] == [(1, found.point.id, "POINT_OF_DOCUMENT")]

    # A document that lost a point comes back when it is ingested again, though its text is the same.
    await vector.points.DeletePoints(sel.DeletePointsRequest(collection=collection, ids=[found.point.id]))
    assert await count(vector, collection) == 1
    job = await vector.ingest(collection, document)
    assert (job.progress.documents_done, job.progress.documents_unchanged) == (1, 0)
    assert await count(vector, collection) == 2
    assert (await vector.get(collection)).document_count == 1


async def test_payloads_are_merged_overwritten_and_cut(vector: Vector) -> None:
    collection = await vector.create(dimension=2)
    await upsert(vector, collection, new("a", 1, 0, payload={"color": "red", "size": {"w": 1, "h": 2}}), new("b", 0, 1))

    async def edit(fields: dict[str, Any]) -> sel.SetPayloadResponse:
        request = ParseDict({"collection": collection} | fields, sel.SetPayloadRequest())
        reply: sel.SetPayloadResponse = await vector.points.SetPayload(request)
        return reply

    reply = await edit({"ids": ["a", "b", "x"], "payload": {"size": {"w": 3}, "new": None}})
    assert (reply.set_count, list(reply.missing)) == (2, ["x"])
    assert await payload(vector, collection, "a") == {"color": "red", "size": {"w": 3.0}, "new": None}
    await edit({"ids": ["a"], "delete_keys": ["size", "never there"], "payload": {"color": "blue"}})
    assert await payload(vector, collection, "a") == {"color": "blue", "new": None}
    await edit({"ids": ["a"], "payload": {"only": [1, "x"]}, "overwrite": True})
    assert await payload(vector, collection, "a") == {"only": [1.0, "x"]}
    assert await payload(vector, collection, "b") == {"size": {"w": 3.0}, "new": None}
    head = (await vector.changes_until(collection, 6))[-1]
    assert (head.seq, head.upsert.id, MessageToDict(head.upsert.payload)) == (6, "a", {"only": [1.0, "x"]})

    # What changes nothing is not told: the next change has the next number.
    await edit({"ids": ["a"], "payload": {"only": [1, "x"]}})
    await upsert(vector, collection, new("c", 1, 1))
    assert [one.upsert.id for one in (await vector.changes_until(collection, 7))[6:]] == ["c"]


@pytest.mark.parametrize("fields", [{}, {"overwrite": True, "delete_keys": ["a"]}])
async def test_an_edit_of_nothing_is_refused(vector: Vector, fields: dict[str, Any]) -> None:
    collection = await vector.create(dimension=2)
    with pytest.raises(grpc.RpcError) as error:
        await vector.points.SetPayload(sel.SetPayloadRequest(collection=collection, ids=["a"], **fields))
    assert status(error.value) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")


async def test_writers_of_the_same_points_at_once_leave_each_point_once(vector: Vector) -> None:
    collection = await vector.create(dimension=2)
    ids = [f"p{n}" for n in range(20)]

    async def write(number: int) -> None:
        order = ids if number % 2 else ids[::-1]
        if number % 4 == 3:
            await vector.points.DeletePoints(sel.DeletePointsRequest(collection=collection, ids=order[:5]))
        await upsert(vector, collection, *(new(id, 1, number, payload={"writer": number}) for id in order))

    await asyncio.gather(*(write(number) for number in range(1, 9)))
    assert await count(vector, collection) == 20
    found = await vector.query(collection, vector=pb.Vector(values=[1, 0]), k=100)
    assert sorted(one.point.id for one in found) == sorted(ids)
    # Each call is all or nothing, so the last one wrote them all.
    assert len({one.point.payload["writer"] for one in found}) == 1
    # The feed, played from its beginning, arrives at the same state.
    await upsert(vector, collection, new("end", 1, 1))
    state: dict[str, float] = {}
    seq = 0
    call = vector.watch(collection)
    async for event in call:
        for change in event.changes.items:
            seq += 1
            assert change.seq == seq
            if change.HasField("upsert"):
                state[change.upsert.id] = change.upsert.payload["writer"] if change.upsert.id != "end" else 0
            else:
                state.pop(change.delete, None)
        if "end" in state:
            break
    call.cancel()
    assert state == {one.point.id: one.point.payload["writer"] for one in found} | {"end": 0}
