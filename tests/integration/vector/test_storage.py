"""Vectors in 16 and in 32 bits, of few and of many numbers, by every distance: indexed where that is possible."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest

from pergola.vector.v1 import collection_pb2, point_pb2
from services.vector.stores import collections as collection_store
from services.vector.stores.database.connections import Database
from services.vector.stores.points import merging
from services.vector.stores.points.layout import Layout
from tests.stacks import Stores
from tests.support.vector import Vector, caller, database_of, status, vector_service, violations

_COUNT = 40


@pytest.fixture(scope="module")
async def house(stores: Stores) -> AsyncIterator[tuple[Vector, Database]]:
    environ = await stores.own_database()
    async with (
        vector_service(environ, delta_rows="1000000", vector_storage="vector") as address,
        caller(address) as vector,
        database_of(environ) as database,
    ):
        yield vector, database


@pytest.mark.parametrize(
    ("storage", "dimension", "distance", "indexed"),
    [
        ("halfvec", 1, "l2", True),
        ("halfvec", 4000, "cosine", True),
        ("halfvec", 4000, "inner_product", True),
        ("vector", 1, "inner_product", True),
        ("vector", 2000, "l2", True),
        ("vector", 2001, "l2", False),
        ("vector", 4000, "cosine", False),
    ],
)
async def test_every_storage_and_distance_finds_what_brute_force_finds(
    house: tuple[Vector, Database], storage: str, dimension: int, distance: str, indexed: bool
) -> None:
    vector, database = house
    name = await vector.create(storage=storage, dimension=dimension, distance=distance)
    made = await vector.get(name)
    assert (made.storage, made.dimension, made.distance, made.exact_only) == (storage, dimension, distance, not indexed)
    dice = np.random.default_rng(dimension)
    vectors = dice.normal(size=(_COUNT, dimension)).astype(np.float32)
    asked = dice.normal(size=dimension).astype(np.float32)
    points = [point_pb2.NewPoint(id=f"p{n:02}", vector=_packed(one)) for n, one in enumerate(vectors)]
    await vector.points.UpsertPoints(point_pb2.UpsertPointsRequest(collection=name, points=points))
    scores = {
        "cosine": vectors @ asked / np.linalg.norm(vectors, axis=1) / np.linalg.norm(asked),
        "inner_product": vectors @ asked,
        "l2": -np.linalg.norm(vectors - asked, axis=1),
    }[distance]
    within = {"halfvec": 2e-3, "vector": 1e-5}[storage] * (1 if distance == "cosine" else dimension**0.5)
    for built in (False, True) if indexed else (False,):
        if built:
            assert await _merged(database, name) == _COUNT
        found = await vector.query(name, vector=_packed(asked), k=5, with_vector=True)
        plain = await vector.query(name, vector=_packed(asked), k=5)
        assert [one.score for one in plain] == [one.score for one in found]
        assert [one.score for one in found] == pytest.approx(sorted(scores, reverse=True)[:5], abs=within)
        for one in found:
            n = int(one.point.id[1:])
            assert one.score == pytest.approx(scores[n], abs=within)
            kept = np.frombuffer(one.point.vector.packed, "<f4")
            length = np.linalg.norm(vectors[n]) if distance == "cosine" else 1.0
            assert kept * length == pytest.approx(vectors[n], rel={"halfvec": 2e-3, "vector": 1e-6}[storage], abs=1e-4)


async def _merged(database: Database, name: str) -> int:
    """Moves the points under the index; it is used, or would be for more of them."""
    async with database.transaction("default") as session:
        collection = await collection_store.find(session, name)
    assert collection is not None
    moved = await merging.merge(database, collection)
    async with database.session() as session:
        table = Layout(collection.id).bare("vector")
        row = await session.row(
            "SELECT indexdef FROM pg_indexes WHERE tablename = $1 AND indexdef LIKE '%hnsw%'", table
        )
    assert row is not None
    return moved


def _packed(vector: Any) -> point_pb2.Vector:
    return point_pb2.Vector(packed=vector.astype("<f4").tobytes())


async def test_the_setting_decides_where_nothing_is_said(house: tuple[Vector, Database]) -> None:
    vector, _ = house
    assert (await vector.get(await vector.create())).storage == "vector"
    assert (await vector.get(await vector.create(storage="halfvec"))).storage == "halfvec"


async def test_an_unknown_storage_and_a_number_that_does_not_fit_are_named(house: tuple[Vector, Database]) -> None:
    vector, _ = house
    with pytest.raises(grpc.RpcError, match="storage") as error:
        await vector.collections.CreateCollection(
            collection_pb2.CreateCollectionRequest(collection=collection_pb2.Collection(name="x", storage="int8"))
        )
    assert violations(error.value) == ["collection.storage"]
    large = point_pb2.Vector(values=[70_000.0, 1.0])
    for storage, fits in (("halfvec", False), ("vector", True)):
        name = await vector.create(storage=storage, dimension=2, distance="l2")
        request = point_pb2.UpsertPointsRequest(collection=name, points=[point_pb2.NewPoint(id="a", vector=large)])
        if fits:
            await vector.points.UpsertPoints(request)
            assert (await vector.query(name, vector=large))[0].score == 0.0
        else:
            with pytest.raises(grpc.RpcError, match="65504") as error:
                await vector.points.UpsertPoints(request)
            assert status(error.value) == ("INVALID_ARGUMENT", "INVALID_VECTOR")
