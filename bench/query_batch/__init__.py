"""QueryBatch(32) against the bare database: the same statement, prepared, for each of 32 questions on 4 connections.

One batch after the other, on both sides. A batch of Pergola becomes a few statements that answer several questions
each; the baseline asks its connections at the same time, as a program would that has a pool.
"""

import asyncio
import importlib.metadata
from collections.abc import Awaitable, Callable
from typing import Final

from bench._harness.result import Bar, Result, Series
from bench._points.callers import Pergola, Raw, median
from bench._points.data import Data, Vectors
from bench.query import COUNT, QUESTIONS, K, contenders
from pergola.vector.v1 import point_pb2

_SIZE: Final = 32
_CONNECTIONS: Final = 4
_PERGOLA: Final = f"Pergola QueryBatch({_SIZE})"
_RAW: Final = "prepared asyncpg"


def measure(rounds: int, seconds: float) -> Result:
    """Raises BenchmarkError when Pergola cannot be started."""
    data = Data(COUNT)
    queries = data.queries(QUESTIONS // _SIZE * _SIZE)
    seconds = min(seconds, 5.0)
    with contenders(data) as (rounds_of, pergola, raw):
        asks = {_PERGOLA: _batches(pergola, queries), _RAW: _gathered(raw, queries)}
        loads = rounds_of.measure(asks, 1, seconds, rounds)
    rates = {name: [one.per_second * _SIZE for one in found] for name, found in loads.items()}
    series = [Series(name, "questions", "per second", values) for name, values in rates.items()]
    series += [Series(name, "a batch, p50", "ms", [one.p50 for one in found]) for name, found in loads.items()]
    per_second = {name: median(found, lambda one: one.per_second) for name, found in loads.items()}
    ratio = per_second[_PERGOLA] / per_second[_RAW]
    return Result(
        name="query-batch",
        ratio=ratio,
        what=f"{_PERGOLA} against {_SIZE} prepared statements on {_CONNECTIONS} connections of asyncpg, questions/s",
        series=series,
        settings={"points": COUNT, "dimensions": data.dimension, "k": K, "seconds a round": seconds},
        versions={name: importlib.metadata.version(name) for name in ("asyncpg", "grpcio", "uvloop")},
        bars=[Bar(_PERGOLA, ratio, 0.95)],
    )


def _batches(pergola: Pergola, queries: Vectors) -> Callable[[int, int], Awaitable[object]]:
    requests = [
        point_pb2.QueryBatchRequest(
            collection="bench", queries=[pergola.question(one, k=K) for one in queries[first : first + _SIZE]]
        )
        for first in range(0, len(queries), _SIZE)
    ]

    async def ask(_caller: int, number: int) -> None:
        await pergola.stub.QueryBatch(requests[number % len(requests)], timeout=60)

    return ask


def _gathered(raw: Raw, queries: Vectors) -> Callable[[int, int], Awaitable[object]]:
    one = raw.asking(queries)

    async def share(connection: int, first: int) -> None:
        for number in range(first + connection, first + _SIZE, _CONNECTIONS):
            await one(connection, number)

    async def ask(_caller: int, number: int) -> None:
        await asyncio.gather(*(share(connection, number * _SIZE) for connection in range(_CONNECTIONS)))

    return ask
