"""Filters against brute force in Python, by custom and generic plans, on points that change and are merged and vacuumed
all the while."""

import random
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pergola.vector.v1 import filter_pb2, point_pb2, selection_pb2
from services.vector.handlers.filters import read
from services.vector.stores import collections as collection_store
from services.vector.stores.points import merging, search, selecting
from services.vector.stores.points.terms.vocabulary import Vocabulary
from tests.stacks import Stores
from tests.support import filters
from tests.support.unrest import planning, unrest
from tests.support.vector import Vector, caller, database_of, status, vector_service, violations

_DIMENSION = 4


class Twin:
    """A collection, and what it should hold."""

    def __init__(self, vector: Vector, name: str) -> None:
        self.vector = vector
        self.name = name
        self.points: dict[str, dict[str, Any]] = {}

    async def upsert(self, *points: dict[str, Any]) -> None:
        request = ParseDict(
            {"collection": self.name, "points": [one | {"vector": {"values": one["vector"]}} for one in points]},
            point_pb2.UpsertPointsRequest(),
        )
        await self.vector.points.UpsertPoints(request)
        self.points |= {one["id"]: one for one in points}

    async def delete(self, **fields: Any) -> int:
        request = ParseDict({"collection": self.name} | fields, selection_pb2.DeletePointsRequest())
        return int((await self.vector.points.DeletePoints(request)).deleted_count)

    async def count(self, filter: dict[str, Any], **fields: Any) -> int:
        asked = ParseDict({"collection": self.name, "filter": filter} | fields, selection_pb2.CountPointsRequest())
        return int((await self.vector.points.CountPoints(asked)).count)

    async def query(self, filter: dict[str, Any], **fields: Any) -> list[point_pb2.ScoredPoint]:
        asked = ParseDict({"collection": self.name, "filter": filter} | fields, point_pb2.QueryPointsRequest())
        return list((await self.vector.points.QueryPoints(asked)).points)

    def fitting(self, filter: dict[str, Any]) -> set[str]:
        return {id for id, one in self.points.items() if filters.fits(filter, one)}


def made(number: int, payload: dict[str, Any], text: str) -> dict[str, Any]:
    dice = random.Random(number)
    return {
        "id": f"p{number}",
        "vector": [dice.gauss(0, 1) for _ in range(_DIMENSION)],
        "payload": payload,
        "text": text,
    }


@pytest.fixture(scope="module", params=["force_custom_plan", "force_generic_plan"])
async def twin(stores: Stores, request: pytest.FixtureRequest) -> AsyncIterator[Twin]:
    """In a database where the delta is merged and the tables are vacuumed all the while."""
    environ = await stores.own_database()
    name = environ["PERGOLA_VECTOR_POSTGRES_URL"].rpartition("/")[2]
    await planning(stores, name, request.param)
    async with vector_service(environ) as address, caller(address) as vector, database_of(environ) as database:
        found = Twin(vector, await vector.create(dimension=_DIMENSION))
        await found.upsert(*(made(n, {"a": n % 5, "b": ["red", n]}, "a lantern") for n in range(60)))
        async with database.transaction("default") as session:
            collection = await collection_store.find(session, found.name)
        assert collection is not None
        async with unrest(stores, name, database, collection) as turns:
            yield found
        assert min(turns.values()) > 1


edits = st.lists(
    st.tuples(st.integers(0, 60), st.one_of(st.none(), st.tuples(filters.payloads, filters.texts))), max_size=12
)


# Without shrinking: an example stands on what those before it have left behind.
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(changes=edits, filter=filters.filters, k=st.integers(1, 30))
async def test_filters_mean_what_brute_force_finds(
    twin: Twin, changes: list[tuple[int, tuple[dict[str, Any], str] | None]], filter: dict[str, Any], k: int
) -> None:
    latest = dict(changes)
    await_points = [made(n, *what) for n, what in latest.items() if what is not None]
    if await_points:
        await twin.upsert(*await_points)
    gone = [f"p{n}" for n, what in latest.items() if what is None]
    if gone:
        await twin.delete(ids=gone)
        for id in gone:
            twin.points.pop(id, None)

    expected = twin.fitting(filter)
    asked = [1.0, 0.5, -0.25, 0.0]
    everything = await twin.query(filter, vector={"values": asked}, k=100)
    assert {one.point.id for one in everything} == expected
    assert await twin.count(filter) == len(expected)
    best = await twin.query(filter, vector={"values": asked}, k=k)
    assert [one.score for one in best] == [one.score for one in everything][:k]
    near = {id: np.dot(asked, twin.points[id]["vector"]) / np.linalg.norm(twin.points[id]["vector"]) for id in expected}
    exact = sorted(near.values(), reverse=True)[:k]
    assert [one.score * np.linalg.norm(asked) for one in best] == pytest.approx(exact, abs=0.01)
    lexical = await twin.query(filter, text="고양이 lantern", mode="lexical", k=100)
    wanted = {"고양이", "lantern"}
    assert {one.point.id for one in lexical} == {id for id in expected if wanted & set(twin.points[id]["text"].split())}
    hybrid = await twin.query(filter, text="lantern", vector={"values": asked}, k=100)
    assert {one.point.id for one in hybrid} == expected


async def test_points_are_deleted_by_filter(vector: Vector) -> None:
    twin = Twin(vector, await vector.create(dimension=_DIMENSION))
    for first in range(0, 2500, 500):
        await twin.upsert(*(made(n, {"a": n % 3}, "x") for n in range(first, first + 500)))
    assert await twin.delete(filter={"must": [{"key": "a", "any_of": [0, 2]}]}) == 1667
    assert await twin.count({"must": [{"key": "a", "match": 1}]}) == 833
    assert await twin.delete(filter={"must_not": [{"key": "a", "match": 1}]}) == 0
    assert (await vector.get(twin.name)).point_count == 833


async def test_an_estimate_is_exact_where_few_fit(twin: Twin) -> None:
    filter = {"must": [{"key": "a", "is_empty": False}]}
    assert await twin.count(filter, approximate=True) == len(twin.fitting(filter))


async def test_a_name_with_a_dot_is_quoted(vector: Vector) -> None:
    twin = Twin(vector, await vector.create(dimension=_DIMENSION))
    await twin.upsert(made(1, {"a.b": {"c": 1}}, ""), made(2, {"a": {"b": {"c": 1}}}, ""))
    assert [one.point.id for one in await twin.query(
        {"must": [{"key": '"a.b".c', "match": 1}]}, vector={"values": [1, 0, 0, 0]}
    )] == ["p1"]  # fmt: skip


async def test_never_fewer_than_fit_by_the_index_either(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """With many that fit, the index is asked; where it ends too early, every vector is compared."""
    monkeypatch.setattr(search, "FEW", 10)
    environ = await stores.own_database()
    async with (
        vector_service(environ, delta_rows="1000000") as address,
        caller(address) as vector,
        database_of(environ) as database,
    ):
        twin = Twin(vector, await vector.create(dimension=_DIMENSION))
        for first in range(0, 3000, 500):
            await twin.upsert(*(made(n, {"share": n % 100, "n": n}, "word") for n in range(first, first + 500)))
        async with database.transaction("default") as session:
            collection = await collection_store.find(session, twin.name)
        assert collection is not None
        assert await merging.merge(database, collection) == 3000
        await twin.upsert(*(made(n, {"share": 99, "n": n}, "word") for n in range(2900, 3050)))
        for least in (0, 50, 90, 99):
            filter = {"must": [{"key": "share", "range": {"gte": least}}]}
            expected = sorted(
                (np.dot([1, 0, 0, 0], one["vector"]) / np.linalg.norm(one["vector"]), id)
                for id, one in twin.points.items() if one["payload"]["share"] >= least
            )[::-1]  # fmt: skip
            for k in (10, 200):
                found = await twin.query(filter, vector={"values": [1, 0, 0, 0]}, k=k)
                assert len(found) == min(k, len(expected))
                right = {id for _, id in expected[:k]}
                assert len(right & {one.point.id for one in found}) >= 0.95 * len(found)
                assert all(twin.points[one.point.id]["payload"]["share"] >= least for one in found)


async def test_far_more_than_few_are_not_counted(stores: Stores) -> None:
    environ = await stores.own_database()
    async with vector_service(environ) as address, caller(address) as vector, database_of(environ) as database:
        twin = Twin(vector, await vector.create(dimension=_DIMENSION))
        # So few are all glanced at, which makes it sure.
        await twin.upsert(*(made(n, {"n": n} if n < 150 else {}, "") for n in range(160)))
        async with database.transaction("default") as session:
            collection = await collection_store.find(session, twin.name)
        assert collection is not None
        async with database.session() as session:
            for least, expected in ((0, None), (130, None), (131, 11), (139, 11), (140, 10), (145, 5), (150, 0)):
                filter = read(ParseDict({"must": [{"key": "n", "range": {"gte": least}}]}, filter_pb2.Filter()))
                assert await selecting.count_few(session, collection, filter, 10, Vocabulary("")) == expected


_DEEP: dict[str, Any] = {"must": [{"has_id": ["a"]}]}
for _ in range(8):
    _DEEP = {"must": [{"filter": _DEEP}]}


@pytest.mark.parametrize(
    ("filter", "field"),
    [
        ({}, "filter"),
        ({"must": [{}]}, "filter.must[0]"),
        ({"must": [{"key": "a"}]}, "filter.must[0]"),
        ({"must": [{"match": 1}]}, "filter.must[0].key"),
        ({"must": [{"key": "a..b", "match": 1}]}, "filter.must[0].key"),
        ({"must": [{"key": "a.", "match": 1}]}, "filter.must[0].key"),
        ({"must": [{"key": "a", "match": None}]}, "filter.must[0].match"),
        ({"must": [{"key": "a", "match": {"x": 1}}]}, "filter.must[0].match"),
        ({"should": [{"key": "a", "any_of": []}]}, "filter.should[0].any_of"),
        ({"must_not": [{"key": "a", "none_of": [1, None]}]}, "filter.must_not[0].none_of[1]"),
        ({"must": [{"key": "a", "range": {}}]}, "filter.must[0].range"),
        ({"must": [{"key": "a", "range": {"gt": "NaN"}}]}, "filter.must[0].range.gt"),
        ({"must": [{"key": "a", "prefix": ""}]}, "filter.must[0].prefix"),
        ({"must": [{"key": "a", "has_id": ["b"]}]}, "filter.must[0].key"),
        ({"must": [{"has_id": [1]}]}, "filter.must[0].has_id[0]"),
        ({"must": [{"words": "?!"}]}, "filter.must[0].words"),
        ({"must": [{"phrase": "?!"}]}, "filter.must[0].phrase"),
        ({"must": [{"words_prefix": ""}]}, "filter.must[0].words_prefix"),
        ({"must": [{"words_prefix": "two wor"}]}, "filter.must[0].words_prefix"),
        ({"must": [{"key": "a", "phrase": "b"}]}, "filter.must[0].key"),
        ({"must": [{"key": "a", "nested": {"must": [{"phrase": "b"}]}}]}, "filter.must[0].nested.must[0].phrase"),
        ({"must": [{"key": "a", "nested": {}}]}, "filter.must[0].nested"),
        ({"must": [{"key": "a", "nested": {"must": [{"has_id": ["b"]}]}}]}, "filter.must[0].nested.must[0].has_id"),
        ({"min_should": {"min_count": 1}}, "filter.min_should.conditions"),
        (
            {"min_should": {"conditions": [{"key": "a", "is_null": True}], "min_count": 2}},
            "filter.min_should.min_count",
        ),
        (_DEEP, "filter" + ".must[0].filter" * 8),
        ({"must": [{"key": "a", "is_null": True}] * 129}, "filter.must[128]"),
        ({"must": [{"has_id": ["a"] * 1001}]}, "filter.must[0].has_id"),
    ],
)
async def test_a_wrong_filter_is_named(twin: Twin, filter: dict[str, Any], field: str) -> None:
    with pytest.raises(grpc.RpcError) as error:
        await twin.query(filter, vector={"values": [1, 0, 0, 0]})
    assert status(error.value) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")
    assert violations(error.value) == [field]


async def test_a_delete_says_which_points_it_means(twin: Twin) -> None:
    for fields in ({}, {"ids": ["a"], "filter": {"must": [{"has_id": ["a"]}]}}):
        with pytest.raises(grpc.RpcError) as error:
            await twin.delete(**fields)
        assert status(error.value) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")
