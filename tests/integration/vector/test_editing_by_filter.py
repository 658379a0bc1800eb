"""Payloads changed by a filter: those that fit and no others, however many, and told in the feed."""

from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from pergola.vector.v1 import point_pb2 as pb
from pergola.vector.v1 import selection_pb2 as sel
from tests.support.vector import Vector, status

_EVEN = {"must": [{"key": "even", "match": True}]}


async def _made(vector: Vector, count: int) -> str:
    collection = await vector.create(dimension=2)
    for first in range(0, count, 1000):
        points = []
        for n in range(first, min(first + 1000, count)):
            point = pb.NewPoint(id=f"p{n:05}", vector=pb.Vector(values=[1, n]))
            point.payload.update({"n": n, "even": n % 2 == 0})
            points.append(point)
        await vector.points.UpsertPoints(pb.UpsertPointsRequest(collection=collection, points=points))
    return collection


async def _edit(vector: Vector, collection: str, **fields: Any) -> sel.SetPayloadResponse:
    request = ParseDict({"collection": collection, **fields}, sel.SetPayloadRequest())
    answer: sel.SetPayloadResponse = await vector.points.SetPayload(request, metadata=vector.metadata)
    return answer


async def _count(vector: Vector, collection: str, filter: Any) -> int:
    request = ParseDict({"collection": collection, "filter": filter}, sel.CountPointsRequest())
    return int((await vector.points.CountPoints(request)).count)


async def test_the_points_that_fit_are_changed_and_no_others(vector: Vector) -> None:
    collection = await _made(vector, 2_500)
    answer = await _edit(vector, collection, filter=_EVEN, payload={"seen": True}, deleteKeys=["n"])
    assert (answer.set_count, list(answer.missing)) == (1_250, [])
    assert await _count(vector, collection, {"must": [{"key": "seen", "match": True}]}) == 1_250
    assert await _count(vector, collection, {"must": [{"filter": _EVEN}, {"key": "n", "range": {"gte": 0}}]}) == 0
    assert await _count(vector, collection, {"must": [{"key": "n", "range": {"gte": 0}}]}) == 1_250
    changes = await vector.changes_until(collection, 2_500 + 1_250)
    assert [int(one.upsert.id[1:]) for one in changes[2_500:]] == list(range(0, 2_500, 2))


async def test_a_change_that_makes_points_not_fit_any_more_still_reaches_all(vector: Vector) -> None:
    collection = await _made(vector, 2_100)
    answer = await _edit(vector, collection, filter=_EVEN, payload={"even": False}, overwrite=True)
    assert answer.set_count == 1_050
    assert await _count(vector, collection, _EVEN) == 0
    again = await _edit(vector, collection, filter=_EVEN, payload={"even": False})
    assert again.set_count == 0


@pytest.mark.parametrize("which", [{}, {"ids": ["a"], "filter": _EVEN}])
async def test_ids_or_filter_but_not_both(vector: Vector, which: Any) -> None:
    collection = await vector.create(dimension=2)
    with pytest.raises(grpc.RpcError) as caught:
        await _edit(vector, collection, payload={"a": 1}, **which)
    assert status(caught.value) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")
