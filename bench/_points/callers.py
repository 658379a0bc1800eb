"""Callers: tasks of one event loop that each ask again as soon as they are answered, as many at a time as wanted."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import asyncpg
import grpc
import uvloop

from bench._harness.rounds import alternate
from bench._points.data import Vectors
from bench._points.service import Service
from pergola.vector.v1 import point_pb2, point_pb2_grpc
from services.vector.model import Collection
from services.vector.stores import collections as catalogue
from services.vector.stores.database import codecs
from services.vector.stores.database.connections import SETTINGS, Database
from services.vector.stores.points import nearest

T = TypeVar("T")
Ask = Callable[[int, int], Awaitable[object]]
"""Asks question `number` as caller `caller`: (caller, number)."""

CALLERS: Final = 8


@dataclass(frozen=True)
class Load:
    """What callers saw. Times in seconds."""

    answers: int
    elapsed: float
    latencies: Sequence[float]

    @property
    def per_second(self) -> float:
        return self.answers / self.elapsed

    @property
    def p50(self) -> float:
        """In milliseconds."""
        return statistics.median(self.latencies) * 1000

    @property
    def p95(self) -> float:
        """In milliseconds."""
        return statistics.quantiles(self.latencies, n=20)[-1] * 1000


async def load(ask: Ask, callers: int, seconds: float) -> Load:
    """Has `callers` ask for so long."""
    clock = time.perf_counter
    latencies: list[float] = []
    began = clock()
    numbers = iter(range(1 << 60))

    async def call(caller: int) -> None:
        for number in numbers:
            asked = clock()
            await ask(caller, number)
            answered = clock()
            latencies.append(answered - asked)
            if answered > began + seconds:
                return

    await asyncio.gather(*(call(caller) for caller in range(callers)))
    return Load(len(latencies), clock() - began, latencies)


class Rounds:
    """One event loop for everything that a benchmark asks."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def measure(self, asks: Mapping[str, Ask], callers: int, seconds: float, rounds: int) -> dict[str, list[Load]]:
        """Has the contenders take turns."""

        def once(ask: Ask) -> Load:
            return self.run(load(ask, callers, seconds))

        return alternate({name: partial(once, ask) for name, ask in asks.items()}, rounds)


@contextmanager
def one_loop() -> Iterator[Rounds]:
    """A uvloop, as the service itself has."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield Rounds(runner)


class Pergola:
    """The service, asked by its generated stubs."""

    def __init__(self, service: Service, collection: str = "bench") -> None:
        self._service = service
        self._collection = collection
        self.stub: Any = None

    async def open(self) -> None:
        """Connects."""
        channel = grpc.aio.insecure_channel(self._service.address)
        await channel.channel_ready()
        self.stub = point_pb2_grpc.PointServiceStub(channel)
        self._channel = channel

    async def close(self) -> None:
        await self._channel.close()

    def question(self, vector: Any = None, **fields: Any) -> point_pb2.QueryPointsRequest:
        """A question to the collection."""
        request = point_pb2.QueryPointsRequest(collection=self._collection, **fields)
        if vector is not None:
            request.vector.packed = vector.astype("<f4").tobytes()
        return request

    def asking(self, questions: Sequence[point_pb2.QueryPointsRequest]) -> Ask:
        """Asks these, round and round."""

        async def ask(_caller: int, number: int) -> None:
            await self.stub.QueryPoints(questions[number % len(questions)], timeout=60)

        return ask

    async def found(self, questions: Sequence[point_pb2.QueryPointsRequest]) -> list[set[int]]:
        """The numbers of the points that answer each."""
        answers = [await self.stub.QueryPoints(one, timeout=60) for one in questions]
        return [{int(hit.point.id[1:]) for hit in answer.points} for answer in answers]


class Raw:
    """The same statement as the service's, prepared once on each of a few connections of the same login."""

    def __init__(self, service: Service, connections: int, k: int, collection: str = "bench") -> None:
        self._service = service
        self._connections = connections
        self._k = k
        self._name = collection
        self._statements: list[Any] = []
        self._opened: list[Any] = []

    async def open(self) -> None:
        """Connects and prepares."""
        collection = await _collection(self._service, self._name)
        for _ in range(self._connections):
            connection = await asyncpg.connect(**self._service.login(), server_settings=SETTINGS)
            await codecs.register(connection)
            self._opened.append(connection)
            self._statements.append(await connection.prepare(nearest.statement(collection, self._k)))

    async def close(self) -> None:
        for connection in self._opened:
            await connection.close()

    def asking(self, queries: Vectors) -> Ask:
        """Asks for these, round and round; each caller has a connection of its own."""

        async def ask(caller: int, number: int) -> None:
            await self._statements[caller].fetch(queries[number % len(queries)])

        return ask


async def _collection(service: Service, name: str) -> Collection:
    login = service.login()
    database = Database(
        login["dsn"],
        app=(login["user"], login["password"]),
        owner=(login["user"], login["password"]),
        connections=1,
        statement_seconds=30,
    )
    await database.open()
    try:
        async with database.transaction("default") as session:
            found = await catalogue.find(session, name)
    finally:
        await database.close()
    assert found is not None
    return found


def recall(found: Sequence[set[int]], right: Sequence[set[int]]) -> float:
    """The share of the right points that was found."""
    return sum(len(one & other) for one, other in zip(found, right, strict=True)) / sum(map(len, right))


def median(loads: Sequence[Load], of: Callable[[Load], float]) -> float:
    """The median over rounds."""
    return statistics.median(of(one) for one in loads)
