"""Vectors kept with a collection: made once, and gone with it."""
# ruff: noqa: S608 - names of tables, from the catalogue

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import grpc
import numpy as np
import pytest

from pergola.vector.v1 import change_pb2, embedding_pb2, point_pb2
from services.vector.stores import collections, kept
from tests.stacks import Stores
from tests.support.fake_embeddings import DIMENSION, FakeEmbeddings, embedding, fake_embeddings
from tests.support.vector import Vector, caller, database_of, status, vector_service

_TEXTS = ["one sentence", "another sentence", "one sentence"]


@pytest.fixture
async def fake() -> AsyncIterator[FakeEmbeddings]:
    async with fake_embeddings() as running:
        yield running


@asynccontextmanager
async def _vector(environ: Mapping[str, str], fake: FakeEmbeddings) -> AsyncIterator[Vector]:
    settings = {
        "embedding_endpoint_url": fake.url,
        "embedding_endpoint_model": "fake",
        "embedding_endpoint_dimension": str(DIMENSION),
    }
    async with vector_service(environ, **settings) as address, caller(address) as vector:
        yield vector


async def _embed(vector: Vector, collection: str, texts: list[str]) -> tuple[list[bytes], int]:
    request = embedding_pb2.EmbedRequest(texts=texts, collection=collection)
    answer = await vector.embeddings.Embed(request, timeout=20)
    assert (answer.model, answer.dimension) == ("fake", DIMENSION)
    return [one.packed for one in answer.embeddings], answer.cached_count


async def test_a_text_is_embedded_once_whatever_restarts(stores: Stores, fake: FakeEmbeddings) -> None:
    environ = await stores.own_database()
    async with _vector(environ, fake) as vector:
        collection = await vector.create("kept", embedding_model="fake")
        first, known = await _embed(vector, collection, _TEXTS)
        assert known == 0
        assert first[0] == first[2]
        assert np.frombuffer(first[0], "<f4") == pytest.approx(embedding("one sentence"), abs=1e-3)
        assert [body["input"] for body in fake.bodies] == [["one sentence", "another sentence"]]
        # Another collection keeps its own.
        other = await vector.create("other", embedding_model="fake")
        assert (await _embed(vector, other, _TEXTS[:1]))[1] == 0
    async with _vector(environ, fake) as vector:
        before = len(fake.bodies)
        again, known = await _embed(vector, collection, _TEXTS)
        assert (again, known) == (first, 3)
        assert len(fake.bodies) == before
        assert await _embed(vector, collection, ["new", "one sentence"]) == (
            [(await _embed(vector, collection, ["new"]))[0][0], first[0]],
            1,
        )
        await vector.delete(collection)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _embed(vector, collection, _TEXTS)
        assert status(caught.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")
        await vector.create("kept", embedding_model="fake")
        assert (await _embed(vector, collection, _TEXTS))[1] == 0


async def test_a_collection_has_its_model(stores: Stores, fake: FakeEmbeddings) -> None:
    async with _vector(await stores.own_database(), fake) as vector:
        collection = await vector.create(dimension=5)
        for fields, expected in (({"model": "fake"}, "VALIDATION"), ({}, "DIMENSION_MISMATCH")):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await vector.embeddings.Embed(
                    embedding_pb2.EmbedRequest(texts=["a"], collection=collection, **fields), timeout=20
                )
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert expected == "VALIDATION" or status(caught.value)[1] == expected


async def test_many_who_ask_for_the_same_keep_it_once(stores: Stores, fake: FakeEmbeddings) -> None:
    async with _vector(await stores.own_database(), fake) as vector:
        collection = await vector.create(embedding_model="fake")
        texts = [f"text {n}" for n in range(300)]
        orders = [texts[n:] + texts[:n] for n in range(0, 300, 50)]
        answers = await asyncio.gather(*(_embed(vector, collection, order) for order in orders))
        found = [dict(zip(order, vectors, strict=True)) for order, (vectors, _) in zip(orders, answers, strict=True)]
        assert all(one == found[0] for one in found)


async def test_what_was_not_asked_for_longest_goes_first(stores: Stores, fake: FakeEmbeddings) -> None:
    environ = await stores.own_database()
    async with _vector(environ, fake) as vector, database_of(environ) as database:
        collection = await vector.create(embedding_model="fake")
        await _embed(vector, collection, [f"text {n}" for n in range(30)])
        points = [point_pb2.NewPoint(id=str(n), text=f"point {n}") for n in range(2)]
        await vector.points.UpsertPoints(point_pb2.UpsertPointsRequest(collection=collection, points=points))
        (row,) = await collections.all_collections(database)
        async with database.owner_connection() as connection:
            old = [hashlib.sha256(f"text {n}".encode()).digest() for n in range(20)]
            await connection.execute(
                f"UPDATE points.c{row.id}_kept SET asked = current_date - 40 WHERE hash = ANY($1::bytea[])", old
            )
            await connection.execute(f"ANALYZE points.c{row.id}_kept")
        # Asking says that it is wanted.
        assert (await _embed(vector, collection, ["text 3"]))[1] == 1
        async with database.session() as session:
            assert await kept.sweep(session, row, 30, 1) == 0
            assert await kept.sweep(session, row, 9, 1) == 19
        assert (await _embed(vector, collection, ["text 3", *(f"text {n}" for n in range(20, 30))]))[1] == 11
        assert (await _embed(vector, collection, ["text 4"]))[1] == 0


async def test_collections_of_before_keep_vectors_too(stores: Stores, fake: FakeEmbeddings) -> None:
    environ = await stores.own_database()
    async with _vector(environ, fake) as vector:
        collection = await vector.create("before", embedding_model="fake")
    async with database_of(environ) as database, database.owner_connection() as connection:
        table = await connection.fetchval("SELECT tablename FROM pg_tables WHERE tablename ~ '^c[0-9]+_kept$'")
        await connection.execute(
            f"DROP TABLE points.\"{table}\"; DELETE FROM pergola.migrations WHERE name LIKE '%_kept_vectors.sql'"
        )
    async with _vector(environ, fake) as vector:
        assert (await _embed(vector, collection, _TEXTS))[1] == 0
        assert (await _embed(vector, collection, _TEXTS))[1] == 3


async def test_changes_carry_vectors_where_they_are_asked_for(stores: Stores, fake: FakeEmbeddings) -> None:
    async with _vector(await stores.own_database(), fake) as vector:
        collection = await vector.create(embedding_model="fake")
        points = [point_pb2.NewPoint(id=str(n), text=f"point {n}") for n in range(3)]
        await vector.points.UpsertPoints(point_pb2.UpsertPointsRequest(collection=collection, points=points))
        start = change_pb2.ChangeCursor(incarnation=(await vector.get(collection)).incarnation)
        for change in await vector.changes_until(collection, 3, after=start, with_vector=True):
            vector_of = np.frombuffer(change.upsert.vector.packed, "<f4")
            assert vector_of == pytest.approx(embedding(f"point {change.upsert.id}"), abs=1e-3)
        for change in await vector.changes_until(collection, 3, after=start):
            assert not change.upsert.HasField("vector")
