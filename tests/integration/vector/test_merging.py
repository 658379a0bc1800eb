"""Vectors move from the delta under the index while others read and write, and nobody notices."""
# ruff: noqa: S608 - the names of tables come from the layout

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import NamedTuple

import asyncpg
import numpy as np
import pytest

from pergola.vector.v1 import document_pb2, point_pb2
from services.vector.model import Chunk, Collection, Point
from services.vector.stores import collections as collection_store
from services.vector.stores.database.connections import Database
from services.vector.stores.database.pool import Raw
from services.vector.stores.points import merging
from services.vector.stores.points import writing as point_store
from services.vector.stores.points.layout import Layout
from services.vector.text import words
from tests.stacks import Stores
from tests.support.vector import Vector, caller, database_of, vector_service

_DIMENSION = 16


class House(NamedTuple):
    vector: Vector
    database: Database
    collection: Collection


@pytest.fixture
async def house(stores: Stores) -> AsyncIterator[House]:
    environ = await stores.own_database()
    async with (
        # So high that only the tests merge.
        vector_service(environ, poll_seconds="0.2", delta_rows="1000000") as address,
        caller(address) as vector,
        database_of(environ) as database,
    ):
        name = await vector.create(dimension=_DIMENSION)
        async with database.transaction("default") as session:
            collection = await collection_store.find(session, name)
        assert collection is not None
        yield House(vector, database, collection)


async def _write(house: House, document: str, vectors: np.ndarray) -> None:
    """Replaces a document by points with these vectors."""
    sums = point_store.Sums()
    writes = [
        point_store.Write(
            point=Point(
                id=f"{document}-{n}",
                payload={},
                chunk=Chunk(document=document, title="", text="word", index=n, heading_path=(), start=0, end=4),
            ),
            words=words.of_passage("word"),
            vector=vector.astype(np.float32),
        )
        for n, vector in enumerate(vectors)
    ]
    async with house.database.transaction("default") as session:
        await point_store.delete_of_documents(session, house.collection, [document], sums)
        await point_store.insert(session, house.collection, writes, sums)
        await point_store.publish(session, house.collection, sums)


async def _sizes(house: House) -> tuple[int, int]:
    """Rows of the delta and under the index."""
    t = Layout(house.collection.id)
    async with house.database.session() as session:
        return (
            await session.value(f"SELECT count(*) FROM {t['delta']}"),
            await session.value(f"SELECT count(*) FROM {t['vector']}"),
        )


async def _indexes(house: House) -> list[str]:
    async with house.database.session() as session:
        rows = await session.fetch(
            "SELECT indexname FROM pg_indexes WHERE tablename = $1 AND indexdef LIKE '%hnsw%'",
            Layout(house.collection.id).bare("vector"),
        )
    return [row["indexname"] for row in rows]


async def test_a_merge_builds_the_index_and_every_point_is_found_as_before(house: House) -> None:
    dice = np.random.default_rng(5)
    vectors = dice.normal(size=(800, _DIMENSION))
    await _write(house, "first", vectors[:600])
    asked = [point_pb2.Vector(packed=one.astype("<f4").tobytes()) for one in dice.normal(size=(10, _DIMENSION))]
    before = [await house.vector.query(house.collection.name, vector=one, k=20) for one in asked]
    assert await merging.merge(house.database, house.collection) == 600
    assert await _sizes(house) == (0, 600)
    assert await _indexes(house) == [Layout(house.collection.id).bare("hnsw")]
    assert [await house.vector.query(house.collection.name, vector=one, k=20) for one in asked] == before
    await _write(house, "second", vectors[600:])
    assert await _sizes(house) == (200, 600)
    both = [await house.vector.query(house.collection.name, vector=one, k=20) for one in asked]
    assert await merging.merge(house.database, house.collection) == 200
    assert [await house.vector.query(house.collection.name, vector=one, k=20) for one in asked] == both
    everything = await house.vector.query(house.collection.name, vector=asked[0], k=1000, with_vector=True)
    assert len(everything) == 800
    assert all(len(one.point.vector.packed) == 4 * _DIMENSION for one in everything)


@pytest.mark.parametrize(
    ("bearable", "writing", "rests"),
    [(1000, True, 3), (1000, False, 0), (750, True, 1), (0, True, 0)],
    ids=["while somebody writes", "nobody writes", "until too many wait", "not asked to"],
)
async def test_merging_gives_way_to_writers_while_few_wait(
    house: House, monkeypatch: pytest.MonkeyPatch, bearable: int, writing: bool, rests: int
) -> None:
    dice = np.random.default_rng(6)
    documents = itertools.count()
    rested: list[float] = []
    move = merging._move_batch

    async def write(count: int) -> None:
        await _write(house, f"d{next(documents)}", dice.normal(size=(count, _DIMENSION)))

    async def moved(connection: Raw, collection: Collection, last: int, batch: int) -> int:
        count = await move(connection, collection, last, batch)
        if writing:
            # 700, 800 and 900 wait after the batches.
            await write(300)
        return count

    async def rest(seconds: float) -> None:
        rested.append(seconds)

    await write(900)
    await merging.merge(house.database, house.collection)
    await write(600)
    monkeypatch.setattr(merging, "_move_batch", moved)
    monkeypatch.setattr(merging, "_rest", rest)
    assert await merging.merge(house.database, house.collection, bearable=bearable) == 600
    assert len(rested) == rests


async def test_an_index_that_is_outgrown_is_made_anew_and_points_are_found_meanwhile(house: House) -> None:
    dice = np.random.default_rng(8)
    vectors = dice.normal(size=(1000, _DIMENSION))
    asked = point_pb2.Vector(packed=vectors[0].astype("<f4").tobytes())

    async def number() -> int:
        async with house.database.session() as session:
            found: int = await session.value(
                "SELECT to_regclass($1)::oid::bigint", f"points.{(await _indexes(house))[0]}"
            )
        return found

    await _write(house, "first", vectors[:300])
    await merging.merge(house.database, house.collection)
    first = await number()
    await _write(house, "second", vectors[300:400])
    await merging.merge(house.database, house.collection)
    assert await number() == first
    await _write(house, "third", vectors[400:])
    done = asyncio.Event()

    async def read() -> set[int]:
        counts = set()
        while not done.is_set():
            counts.add(len(await house.vector.query(house.collection.name, vector=asked, k=1000)))
        return counts

    reading = asyncio.create_task(read())
    assert await merging.merge(house.database, house.collection) == 600
    done.set()
    assert await reading == {1000}
    assert await number() != first
    assert await _sizes(house) == (0, 1000)


async def test_what_was_deleted_does_not_shorten_an_answer(house: House) -> None:
    dice = np.random.default_rng(6)
    near, far = dice.normal(size=(2, _DIMENSION))
    await _write(house, "near", near + dice.normal(size=(400, _DIMENSION)) * 0.01)
    await _write(house, "far", far + dice.normal(size=(300, _DIMENSION)) * 0.01)
    await merging.merge(house.database, house.collection)
    await _write(house, "near", near[None, :])
    found = await house.vector.query(
        house.collection.name, vector=point_pb2.Vector(packed=near.astype("<f4").tobytes()), k=50
    )
    assert len(found) == 50
    assert found[0].point.chunk.document == "near"


async def test_merges_and_writers_at_once_leave_each_point_with_one_vector(house: House) -> None:
    done = asyncio.Event()

    async def write(number: int) -> None:
        dice = np.random.default_rng(number)
        for turn in range(12):
            await _write(house, f"d{number}", dice.normal(size=(20 + turn, _DIMENSION)))

    async def merge() -> None:
        while not done.is_set():
            await merging.merge(house.database, house.collection)

    async def read() -> None:
        asked = point_pb2.Vector(values=[1.0] * _DIMENSION)
        counts = set()
        while not done.is_set():
            counts.add(len(await house.vector.query(house.collection.name, vector=asked, k=20)))
        assert counts <= {0, 20}

    others = [asyncio.create_task(merge()), asyncio.create_task(merge()), asyncio.create_task(read())]
    await asyncio.gather(*(write(number) for number in range(4)))
    done.set()
    await asyncio.gather(*others)
    t = Layout(house.collection.id)
    async with house.database.session() as session:
        rows = await session.fetch(
            f"SELECT p.n, (d.n IS NOT NULL)::int + (v.n IS NOT NULL)::int AS vectors FROM {t['point']} p"
            f" FULL JOIN {t['delta']} d USING (n) FULL JOIN {t['vector']} v USING (n)"
        )
    assert len(rows) == 4 * 31
    assert {row["vectors"] for row in rows} == {1}
    assert all(row["n"] is not None for row in rows)


async def test_what_an_interrupted_build_left_is_replaced(house: House) -> None:
    await _write(house, "a", np.random.default_rng(7).normal(size=(50, _DIMENSION)))
    await merging.merge(house.database, house.collection)
    async with house.database.owner_connection() as connection:
        # As the catalogue looks after a build that was killed.
        (name,) = await _indexes(house)
        await connection.execute(f"DROP INDEX points.{name}")
        assert await merging.waiting(house.database, house.collection, 49)
        assert not await merging.waiting(house.database, house.collection, 50)
        t = Layout(house.collection.id)
        await connection.execute(f"ALTER TABLE {t['vector']} ADD COLUMN twice int DEFAULT 1")
        with pytest.raises(Exception, match="could not create unique index"):
            await connection.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {t['vector']} (twice)")
    await merging.merge(house.database, house.collection)
    assert await _indexes(house) == [name]


async def test_a_collection_is_deleted_though_its_merge_takes_long(house: House) -> None:
    t = Layout(house.collection.id)
    async with house.database.owner_connection() as connection:
        number = merging.lock_number(house.collection.id)
        assert await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", merging.LOCKS, number)
        await connection.execute(f"BEGIN; LOCK TABLE {t['vector']} IN SHARE UPDATE EXCLUSIVE MODE")
        building = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
        await house.vector.delete(house.collection.name)
        with pytest.raises(asyncpg.QueryCanceledError):
            await building
    async with house.database.session() as session:
        assert await session.value("SELECT to_regclass($1)", t["vector"]) is None


async def test_a_service_merges_by_itself(stores: Stores) -> None:
    environ = await stores.own_database()
    async with (
        vector_service(environ, poll_seconds="0.2", delta_rows="5") as address,
        caller(address) as vector,
        database_of(environ) as database,
    ):
        name = await vector.create()
        await vector.ingest(name, *(document_pb2.Document(text=f"Text number {n}.") for n in range(8)))
        async with database.transaction("default") as session:
            collection = await collection_store.find(session, name)
        assert collection is not None
        async with asyncio.timeout(60):
            while await _sizes(House(vector, database, collection)) != (0, 8):
                pass
        assert len(await vector.query(name, text="number", k=10)) == 8
