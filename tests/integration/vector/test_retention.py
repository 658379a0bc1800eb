"""The change feed after what everybody has read was compacted."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from pergola.vector.v1 import change_pb2 as pb
from pergola.vector.v1 import point_pb2, selection_pb2
from services.vector.model import Collection
from services.vector.retention import Retention
from services.vector.stores import collections as collection_store
from services.vector.stores.database.connections import Database
from services.vector.stores.points.layout import Layout
from tests.stacks import Stores
from tests.support.vector import Vector, caller, database_of, vector_service


class House(NamedTuple):
    vector: Vector
    database: Database
    name: str
    collection: Collection


@pytest.fixture
async def house(stores: Stores) -> AsyncIterator[House]:
    environ = await stores.own_database()
    async with (
        vector_service(environ, poll_seconds="0.2", heartbeat_seconds="0.2") as address,
        caller(address) as vector,
        database_of(environ) as database,
    ):
        name = await vector.create(dimension=2, graph=True)
        async with database.transaction("default") as session:
            collection = await collection_store.find(session, name)
        assert collection is not None
        yield House(vector, database, name, collection)


async def _put(house: House, *ids: str) -> None:
    points = [point_pb2.NewPoint(id=one, vector=point_pb2.Vector(values=[1, 0])) for one in ids]
    await house.vector.points.UpsertPoints(point_pb2.UpsertPointsRequest(collection=house.name, points=points))


async def _delete(house: House, *ids: str) -> None:
    await house.vector.points.DeletePoints(selection_pb2.DeletePointsRequest(collection=house.name, ids=ids))


async def _ack(house: House, consumer: str, cursor: pb.ChangeCursor) -> int:
    request = pb.AckChangesRequest(collection=house.name, consumer=consumer, cursor=cursor)
    return int((await house.vector.changes.AckChanges(request)).lag)


def _at(house: House, seq: int) -> pb.ChangeCursor:
    return pb.ChangeCursor(incarnation=house.collection.incarnation, seq=seq)


async def _read(house: House, **fields: Any) -> tuple[bool, list[int], set[str], pb.ChangeCursor]:
    """Whether a reset came first, the numbers, the points that a consumer with none has then, and its cursor."""
    reset, seqs, points = False, [], set()
    cursor = pb.ChangeCursor()
    call = house.vector.watch(house.name, **fields)
    async for event in call:
        if event.HasField("reset"):
            reset, cursor = True, event.reset.cursor
        elif event.HasField("changes"):
            cursor = event.changes.cursor
            for change in event.changes.items:
                seqs.append(change.seq)
                if change.WhichOneof("change") == "delete":
                    points.discard(change.delete)
                else:
                    points.add(change.upsert.id)
        else:
            break
    call.cancel()
    return reset, seqs, points, cursor


def _retention(house: House, *, keep_days: float = 0.0, consumer_days: float = 1.0) -> Retention:
    return Retention(house.database, keep_days=keep_days, consumer_days=consumer_days, least=1)


async def _history(house: House) -> None:
    """Numbers 1 to 8: three points, one changed, one deleted, one deleted and made anew."""
    await _put(house, "a", "b", "c")
    await _put(house, "a")
    await _delete(house, "b", "c")
    await _put(house, "c", "d")


async def test_what_is_left_tells_every_point_and_nothing_twice(house: House) -> None:
    await _history(house)
    assert await _read(house) == (False, list(range(1, 9)), {"a", "c", "d"}, _at(house, 8))
    assert await _retention(house).tend(house.collection) == 5
    reset, seqs, points, cursor = await _read(house)
    assert (reset, points) == (False, {"a", "c", "d"})
    assert seqs == [4, 7, 8]
    # From then on it has no gap.
    await _put(house, "e")
    await _delete(house, "a")
    assert (await _read(house, after=cursor))[:2] == (False, [9, 10])


async def test_who_stands_before_a_deletion_that_is_gone_begins_anew_and_is_not_sent_back_again(house: House) -> None:
    await _history(house)
    await _retention(house).tend(house.collection)
    for seq in (1, 4):
        reset, seqs, points, cursor = await _read(house, after=_at(house, seq))
        assert (reset, seqs, points) == (True, [4, 7, 8], {"a", "c", "d"})
    # In the middle of its second beginning it goes on where it was, though that is before the deletion.
    middle = pb.ChangeCursor(incarnation=cursor.incarnation, seq=4)
    assert await _ack(house, "test", middle) == 4
    assert (await _read(house, after=middle))[:2] == (False, [7, 8])
    assert (await _read(house))[:2] == (False, [7, 8])
    # Behind it there is nothing to be told anew.
    assert (await _read(house, after=_at(house, 7)))[:2] == (False, [8])


async def test_a_stream_is_reset_when_the_feed_is_compacted_under_it(house: House) -> None:
    await _put(house, "a", "b")
    call = house.vector.watch(house.name)
    while not (await call.read()).HasField("changes"):
        pass
    async with house.database.session() as session:
        # Both in one moment, as it is for a reader that fell asleep.
        t = Layout(house.collection.id)
        await session.execute(
            f"WITH h AS (UPDATE {t['head']} SET seq = 4, forgotten = 3)"  # noqa: S608 - names of the catalogue
            f" INSERT INTO {t['change']} (seq, id, deleted) VALUES (4, 'a', false)"
        )
    events: list[pb.WatchChangesResponse] = []
    while len(events) < 2:
        event = await call.read()
        if not event.HasField("heartbeat"):
            events.append(event)
    call.cancel()
    assert events[0].reset.cursor.seq == 0
    assert [change.seq for change in events[1].changes.items] == [1, 2, 4]


async def test_nothing_goes_that_a_consumer_has_yet_to_read_or_that_is_young(house: House) -> None:
    await _history(house)
    assert await _retention(house, keep_days=1).tend(house.collection) == 0
    await _ack(house, "slow", _at(house, 3))
    await _ack(house, "fast", _at(house, 8))
    # 1 is superseded; 2 and 3 too, by deletions that `slow` has yet to read.
    assert await _retention(house).tend(house.collection) == 3
    assert (await _read(house, after=_at(house, 3)))[:2] == (False, [4, 5, 6, 7, 8])
    await _ack(house, "slow", _at(house, 8))
    assert await _retention(house).tend(house.collection) == 2


async def test_a_consumer_that_never_comes_back_holds_nothing_up(house: House) -> None:
    await _history(house)
    await _ack(house, "gone", _at(house, 1))
    await _ack(house, "idle", _at(house, 8))
    async with house.database.transaction("default") as session:
        await session.execute("UPDATE pergola.consumers SET acknowledged = now() - interval '2 days'")
    listed = await _consumers(house)
    assert [(one.consumer, one.lag) for one in listed] == [("gone", 7), ("idle", 0)]
    assert all(abs(one.silent_seconds - 2 * 86_400) < 60 for one in listed)
    # All that it does not need any more is the first change, which is superseded.
    assert await _retention(house, consumer_days=3).tend(house.collection) == 1
    assert await _retention(house).tend(house.collection) == 4
    # Who has read everything is not behind, however long ago that was.
    assert [one.consumer for one in await _consumers(house)] == ["idle"]
    assert (await _read(house, consumer="gone", after=_at(house, 1)))[0] is True


async def _consumers(house: House) -> list[pb.Consumer]:
    found: list[pb.Consumer] = []
    token = ""
    while True:
        request = pb.ListConsumersRequest(collection=house.name, page_size=1, page_token=token)
        reply = await house.vector.changes.ListConsumers(request)
        found += reply.consumers
        token = reply.next_page_token
        if not token:
            return found


async def test_rounds_go_on_where_the_last_one_ended(house: House) -> None:
    for n in range(30):
        await _put(house, "a", f"p{n}")
        if n % 2:
            await _delete(house, f"p{n}")
        await _retention(house).tend(house.collection)
    reset, seqs, points, _ = await _read(house)
    assert points == {"a", *(f"p{n}" for n in range(0, 30, 2))}
    assert len(seqs) == len(points)
    assert reset is False
    assert await _retention(house).tend(house.collection) == 0
