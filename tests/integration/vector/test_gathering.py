"""Questions under way together: each ends with its own call, and a statement with the last call that waits for it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from pergola.vector.v1 import point_pb2
from services.vector.stores import collections as collection_store
from tests import bounds
from tests.stacks import Stores
from tests.support.held import Held
from tests.support.steady import steady
from tests.support.vector import Vector, caller, database_of, status, vector_service


@dataclass
class House:
    """A service that has one statement for nearest points under way at a time, and its database."""

    vector: Vector
    name: str
    held: Held

    def ask(self, seconds: float = 60, *, with_payload: bool | None = None) -> Any:
        """A call of QueryPoints. Cancel it, or await it."""
        vector = point_pb2.Vector(values=[1, 0, 0])
        return self.vector.points.QueryPoints(
            point_pb2.QueryPointsRequest(collection=self.name, vector=vector, with_payload=with_payload),
            timeout=seconds,
        )


@pytest.fixture
async def house(stores: Stores) -> AsyncIterator[House]:
    environ = await stores.own_database()
    database_name = environ["PERGOLA_VECTOR_POSTGRES_URL"].rpartition("/")[2]
    watcher, locker = await stores.postgres(database_name), await stores.postgres(database_name)
    async with (
        vector_service(environ, postgres_queries="1") as address,
        caller(address) as vector,
        database_of(environ) as database,
    ):
        name = await vector.create(dimension=3)
        points = [point_pb2.NewPoint(id=f"p{n}", vector=point_pb2.Vector(values=[1, n, 0])) for n in range(20)]
        for n, one in enumerate(points):
            one.text = f"the text of {n}"
            one.payload["number"] = n
        await vector.points.UpsertPoints(point_pb2.UpsertPointsRequest(collection=name, points=points))
        async with database.transaction("default") as session:
            collection = await collection_store.find(session, name)
        assert collection is not None
        try:
            yield House(vector, name, Held(watcher, locker, collection.id, "vector"))
        finally:
            await locker.close()
            await watcher.close()


async def _arrived(house: House, calls: list[Any]) -> None:
    """Until a later call has gone through the service: those before it have reached it by then."""
    for _ in calls:
        await house.vector.get(house.name)


async def test_a_statement_lives_as_long_as_somebody_waits_for_it(house: House) -> None:
    expected = await house.ask()
    await house.held.lock()
    first = house.ask()
    await house.held.until_waiting(1, 0)
    others = [house.ask() for _ in range(5)]
    await _arrived(house, others)
    await house.held.until_waiting(1, 0)
    first.cancel()
    # Its statement ends on the server, and those that waited take its turn, together.
    await house.held.until_waiting(0, 1, steady() + bounds.STATEMENT_ENDS)
    for one in others[:4]:
        one.cancel()
    late = house.ask()
    await _arrived(house, [late])
    await house.held.until_waiting(0, 1)
    others[4].cancel()
    # Nobody waits for the five any more: the one that came later has its turn.
    await house.held.until_waiting(1, 0, steady() + bounds.STATEMENT_ENDS)
    await house.held.unlock()
    assert await late == expected


async def test_who_goes_away_takes_no_answer_from_the_others(house: House) -> None:
    expected = await house.ask()
    await house.held.lock()
    first = house.ask()
    await house.held.until_waiting(1, 0)
    others = [house.ask() for _ in range(4)]
    hurried = house.ask(seconds=0.4)
    await _arrived(house, [*others, hurried])
    began = steady()
    others[0].cancel()
    with pytest.raises(grpc.RpcError) as error:
        await hurried
    assert steady() - began < 0.4 + bounds.AFTER_DEADLINE
    assert status(error.value)[0] == "DEADLINE_EXCEEDED"
    await house.held.unlock()
    assert await first == expected
    assert await asyncio.gather(*others[1:]) == [expected] * 3


async def test_each_gets_what_it_asked_for_with_payload_or_without(house: House) -> None:
    expected = await house.ask()
    assert [one.point.payload["number"] for one in expected.points] == list(range(10))
    bare = [(f"p{n}", one.score) for n, one in enumerate(expected.points)]
    alone = await house.ask(with_payload=False)
    await house.held.lock()
    first = house.ask()
    await house.held.until_waiting(1, 0)
    others = [house.ask(with_payload=number % 2 == 0) for number in range(6)]
    await _arrived(house, others)
    await house.held.unlock()
    assert await first == expected
    answers = await asyncio.gather(*others)
    assert answers[0::2] == [expected] * 3
    for answer in [alone, *answers[1::2]]:
        assert [(one.point.id, one.score) for one in answer.points] == bare
        assert not any(one.point.HasField("payload") or one.point.text for one in answer.points)


async def test_a_deadline_ends_the_statement_on_the_server(house: House) -> None:
    await house.held.lock()
    began = steady()
    with pytest.raises(grpc.RpcError) as error:
        await house.ask(seconds=0.5)
    assert steady() - began < 0.5 + bounds.AFTER_DEADLINE
    assert status(error.value)[0] == "DEADLINE_EXCEEDED"
    await house.held.until_waiting(0, 0, began + 0.5 + bounds.STATEMENT_ENDS)
    await house.held.unlock()
    assert len((await house.ask()).points) == 10


async def test_an_error_reaches_everybody_who_waits(house: House) -> None:
    await house.held.lock()
    calls = [house.ask()]
    await house.held.until_waiting(1, 0)
    calls += [house.ask() for _ in range(3)]
    await _arrived(house, calls)
    await house.held.execute(f"DROP TABLE {house.held.table}; COMMIT")
    for call in calls:
        with pytest.raises(grpc.RpcError) as error:
            await call
        assert status(error.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")
