import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import grpc
import numpy as np
import pytest

from pergola.vector.v1 import change_pb2 as pb
from pergola.vector.v1 import document_pb2
from services.vector.model import Point
from services.vector.stores import collections as collection_store
from services.vector.stores.database.connections import Database
from services.vector.stores.points import writing as point_store
from services.vector.text import words
from tests.stacks import Stores
from tests.support.vector import Vector, caller, database_of, status, vector_service


def _state(changes: list[pb.Change]) -> dict[str, str]:
    """What a follower has after these changes: text by point."""
    state: dict[str, str] = {}
    for change in changes:
        if change.WhichOneof("change") == "upsert":
            state[change.upsert.id] = change.upsert.chunk.text
        else:
            state.pop(change.delete, None)
    return state


async def _drained(call: Any) -> None:
    while await call.read():
        pass


async def _head(vector: Vector, collection: str) -> pb.ChangeCursor:
    reply = await vector.changes.ListChangeSources(pb.ListChangeSourcesRequest())
    head: pb.ChangeCursor = next(source.head for source in reply.sources if source.collection == collection)
    return head


async def _ack(vector: Vector, collection: str, cursor: pb.ChangeCursor) -> int:
    request = pb.AckChangesRequest(collection=collection, consumer="test", cursor=cursor)
    return int((await vector.changes.AckChanges(request)).lag)


async def test_the_feed_tells_every_change_with_the_next_number(vector: Vector) -> None:
    collection = await vector.create(graph=True)
    await vector.ingest(collection, document_pb2.Document(id="a", text="One. " * 300), "Two.")
    await vector.ingest(collection, document_pb2.Document(id="a", text="Three."))
    head = await _head(vector, collection)
    changes = await vector.changes_until(collection, head.seq)
    assert [change.seq for change in changes] == list(range(1, head.seq + 1))
    assert set(_state(changes).values()) == {"Two.", "Three."}
    assert "delete" in {change.WhichOneof("change") for change in changes}


async def test_a_watch_follows_what_happens_after_it_began_and_beats_meanwhile(vector: Vector) -> None:
    collection = await vector.create()
    call = vector.watch(collection)
    first = await call.read()
    assert first.heartbeat.head.seq == 0
    await vector.ingest(collection, "New.")
    while event := await call.read():
        if event.HasField("changes"):
            assert [change.upsert.chunk.text for change in event.changes.items] == ["New."]
            assert event.changes.cursor.seq == 1
            break
    call.cancel()


async def test_a_watch_goes_on_from_a_cursor_or_from_what_was_acknowledged(vector: Vector) -> None:
    collection = await vector.create(graph=True)
    await vector.ingest(collection, *(f"Text {n}." for n in range(9)))
    head = await _head(vector, collection)
    middle = pb.ChangeCursor(incarnation=head.incarnation, seq=4)
    rest = await vector.changes_until(collection, 9, after=middle)
    assert [change.seq for change in rest] == [5, 6, 7, 8, 9]
    assert await _ack(vector, collection, middle) == 5
    assert await _ack(vector, collection, pb.ChangeCursor(incarnation=head.incarnation, seq=2)) == 5
    assert await vector.changes_until(collection, 9) == rest
    assert await _ack(vector, collection, head) == 0


async def test_a_cursor_of_another_incarnation_or_of_the_future_gets_a_reset(vector: Vector) -> None:
    collection = await vector.create(graph=True)
    await vector.ingest(collection, "Old.")
    old = await _head(vector, collection)
    await _ack(vector, collection, old)
    await vector.delete(collection)
    await vector.create(collection, graph=True)
    await vector.ingest(collection, "New.")
    now = await _head(vector, collection)
    for cursor in (old, None, pb.ChangeCursor(incarnation=now.incarnation, seq=99)):
        call = vector.watch(collection, after=cursor)
        reset, changes = await call.read(), await call.read()
        call.cancel()
        assert reset.reset.cursor == pb.ChangeCursor(incarnation=now.incarnation, seq=0)
        assert [change.upsert.chunk.text for change in changes.changes.items] == ["New."]
    for cursor in (old, pb.ChangeCursor(incarnation=now.incarnation, seq=99)):
        with pytest.raises(grpc.RpcError) as caught:
            await _ack(vector, collection, cursor)
        assert status(caught.value) == ("FAILED_PRECONDITION", "CURSOR_MISMATCH")


async def test_a_watch_ends_when_its_collection_is_deleted(vector: Vector) -> None:
    collection = await vector.create()
    call = vector.watch(collection)
    await call.read()
    await vector.delete(collection)
    with pytest.raises(grpc.RpcError) as caught:
        await _drained(call)
    assert status(caught.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")


async def test_a_watcher_behind_http_is_told_why_in_the_stream(vector: Vector) -> None:
    collection = await vector.create()
    vector.metadata = (("x-pergola-face", "api"),)
    call = vector.watch(collection)
    await call.read()
    await vector.delete(collection)
    last = pb.WatchChangesResponse()
    with contextlib.suppress(grpc.RpcError):
        while event := await call.read():
            last = event
    assert (last.error.code, last.error.reason) == (404, "COLLECTION_NOT_FOUND")


async def test_only_collections_that_ask_for_it_are_listed(vector: Vector) -> None:
    plain, followed = await vector.create(), await vector.create(graph=True)
    reply = await vector.changes.ListChangeSources(pb.ListChangeSourcesRequest())
    listed = [source.collection for source in reply.sources if source.tenant == "default"]
    assert followed in listed
    assert plain not in listed
    assert listed == sorted(listed)


@pytest.fixture
async def own(stores: Stores) -> AsyncIterator[tuple[Vector, Database]]:
    """A service with a database of its own, and the way into that database past the service."""
    environ = await stores.own_database()
    async with (
        vector_service(environ, poll_seconds="0.2") as address,
        caller(address) as vector,
        database_of(environ) as database,
    ):
        yield vector, database


class _AbortedByTest(Exception):
    pass


def _maybe_abort(dice: random.Random) -> None:
    if dice.random() < 0.3:
        raise _AbortedByTest


async def test_many_writers_leave_no_gap_and_a_follower_that_breaks_off_misses_nothing(
    own: tuple[Vector, Database],
) -> None:
    vector, database = own
    name = await vector.create(dimension=2)
    async with database.transaction("default") as session:
        collection = await collection_store.find(session, name)
    assert collection is not None
    committed = 0
    stored: dict[str, None] = {}

    async def write(writer: int) -> None:
        nonlocal committed
        dice = random.Random(writer)
        for turn in range(15):
            amount = dice.randrange(1, 5)
            writes = [
                point_store.Write(
                    point=Point(id=f"{writer}-{turn}-{n}", payload={}, chunk=None),
                    words=words.of_passage(f"word{n} word{turn}"),
                    vector=np.array([1, n], np.float32),
                )
                for n in range(amount)
            ]
            sums = point_store.Sums()
            try:
                async with database.transaction("default") as session:
                    await point_store.insert(session, collection, writes, sums)
                    _maybe_abort(dice)
                    await point_store.publish(session, collection, sums)
                    # Numbers were taken; an abort gives them back.
                    await session.value("SELECT pg_sleep(0.005)")
                    _maybe_abort(dice)
                committed += amount
                stored.update(dict.fromkeys(one.point.id for one in writes))
            except _AbortedByTest:
                pass

    seen: list[int] = []
    ids: list[str] = []
    progress = asyncio.Event()

    async def follow() -> None:
        dice = random.Random(99)
        cursor = None
        while True:
            call = vector.watch(name, after=cursor)
            async for event in call:
                seen.extend(change.seq for change in event.changes.items)
                ids.extend(change.upsert.id for change in event.changes.items)
                progress.set()
                if event.HasField("changes"):
                    cursor = event.changes.cursor
                if dice.random() < 0.4:
                    break
            call.cancel()

    follower = asyncio.create_task(follow())
    await asyncio.gather(*(write(writer) for writer in range(8)))
    async with asyncio.timeout(60):
        while len(seen) < committed:
            progress.clear()
            await progress.wait()
    follower.cancel()
    await asyncio.wait({follower})
    assert all(later == earlier + 1 for earlier, later in pairwise([0, *seen]))
    assert seen[-1] == committed
    assert len(ids) == len(set(ids))
    assert set(ids) == stored.keys()
    counted = await vector.get(name)
    assert counted.point_count == committed
