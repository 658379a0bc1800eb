"""A statement ends on the server when its call does: whatever the call, and however it ends."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from pergola.vector.v1 import filter_pb2, point_pb2, selection_pb2
from services.vector.stores import collections as collection_store
from tests import bounds
from tests.stacks import Stores
from tests.support.held import Held
from tests.support.steady import steady, undisturbed
from tests.support.vector import Vector, caller, database_of, vector_service

_TIMES: Final = 3
_SECONDS: Final = 1.0
_VECTOR: Final = point_pb2.Vector(values=[1, 0, 0])


@dataclass
class House:
    """A running service with a collection of a few points, and its database."""

    vector: Vector
    name: str
    held: Held


@pytest.fixture(scope="module")
async def house(stores: Stores) -> AsyncIterator[House]:
    environ = await stores.own_database()
    database_name = environ["PERGOLA_VECTOR_POSTGRES_URL"].rpartition("/")[2]
    watcher, locker = await stores.postgres(database_name), await stores.postgres(database_name)
    async with (
        vector_service(environ) as address,
        caller(address) as vector,
        database_of(environ) as database,
    ):
        name = await vector.create(dimension=3)
        await vector.points.UpsertPoints(_upsert(name))
        async with database.transaction("default") as session:
            collection = await collection_store.find(session, name)
        assert collection is not None
        try:
            # What looks after collections in the background reads the others every now and then.
            yield House(vector, name, Held(watcher, locker, collection.id, "point"))
        finally:
            await locker.close()
            await watcher.close()


def _upsert(name: str) -> point_pb2.UpsertPointsRequest:
    points = [point_pb2.NewPoint(id=f"p{n}", vector=_VECTOR, text="a lantern") for n in range(5)]
    return point_pb2.UpsertPointsRequest(collection=name, points=points)


def _filter() -> filter_pb2.Filter:
    return ParseDict({"must": [{"words": "lantern"}]}, filter_pb2.Filter())


def _query(name: str, **fields: Any) -> point_pb2.QueryPointsRequest:
    return point_pb2.QueryPointsRequest(collection=name, **fields)


_CALLS: Final[dict[str, Callable[[Vector, str, float], Any]]] = {
    "nearest": lambda v, name, t: v.points.QueryPoints(_query(name, vector=_VECTOR), timeout=t),
    "exact": lambda v, name, t: v.points.QueryPoints(_query(name, vector=_VECTOR, exact=True), timeout=t),
    "filtered": lambda v, name, t: v.points.QueryPoints(_query(name, vector=_VECTOR, filter=_filter()), timeout=t),
    "lexical": lambda v, name, t: v.points.QueryPoints(_query(name, text="lantern", mode="lexical"), timeout=t),
    "hybrid": lambda v, name, t: v.points.QueryPoints(
        _query(name, text="lantern", vector=_VECTOR, mode="hybrid"), timeout=t
    ),
    "batch": lambda v, name, t: v.points.QueryBatch(
        point_pb2.QueryBatchRequest(collection=name, queries=[_query("", vector=_VECTOR)] * 2), timeout=t
    ),
    "explain": lambda v, name, t: v.points.ExplainQuery(
        point_pb2.ExplainQueryRequest(collection=name, query=_query("", vector=_VECTOR)), timeout=t
    ),
    "count": lambda v, name, t: v.points.CountPoints(
        selection_pb2.CountPointsRequest(collection=name, filter=_filter()), timeout=t
    ),
    "scroll": lambda v, name, t: v.points.ScrollPoints(point_pb2.ScrollPointsRequest(collection=name), timeout=t),
    "get": lambda v, name, t: v.points.GetPoints(point_pb2.GetPointsRequest(collection=name, ids=["p1"]), timeout=t),
    "upsert": lambda v, name, t: v.points.UpsertPoints(_upsert(name), timeout=t),
    "delete": lambda v, name, t: v.points.DeletePoints(
        selection_pb2.DeletePointsRequest(collection=name, ids=["p1"]), timeout=t
    ),
    "payload": lambda v, name, t: v.points.SetPayload(
        ParseDict({"collection": name, "ids": ["p1"], "payload": {"a": 1}}, selection_pb2.SetPayloadRequest()),
        timeout=t,
    ),
}


@pytest.mark.parametrize("kind", list(_CALLS))
async def test_who_leaves_takes_the_statement_along(house: House, kind: str) -> None:
    await house.held.lock()
    try:
        for _ in range(_TIMES):
            call = _CALLS[kind](house.vector, house.name, 60)
            await house.held.until(1)
            left = steady()
            call.cancel()
            await house.held.until(0, by=left + bounds.STATEMENT_ENDS)
    finally:
        await house.held.unlock()


@pytest.mark.parametrize("kind", list(_CALLS))
async def test_a_deadline_takes_the_statement_along(house: House, kind: str) -> None:
    async def ask() -> None:
        await house.held.until(0)
        began = steady()
        call = _CALLS[kind](house.vector, house.name, _SECONDS)
        await house.held.until(1)
        with pytest.raises(grpc.RpcError) as error:
            await (call.read() if kind == "scroll" else call)
        assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await house.held.until(0, by=began + _SECONDS + bounds.STATEMENT_ENDS)

    await house.held.lock()
    try:
        await undisturbed(ask)
    finally:
        await house.held.unlock()
