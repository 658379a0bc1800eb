"""A vector service with the PostgreSQL under it, on free ports, and a collection that holds the made-up points."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
import grpc

from bench._harness.cli import BenchmarkError
from bench._points.data import Data
from local import settings
from local.errors import LocalError
from local.stack import Stack
from pergola.vector.v1 import collection_pb2, collection_pb2_grpc, point_pb2, point_pb2_grpc

INGESTING: Final = ("postgres", "redis-values", "redis-state", "cache", "vector")
"""What ingestion goes through."""
_BATCH: Final = 500
_INDEX_SECONDS: Final = 600.0


@dataclass(frozen=True)
class Service:
    """Where the service and its database are."""

    stack: Stack

    @property
    def address(self) -> str:
        """host:port of the service."""
        return self.stack.address("vector")

    @property
    def environ(self) -> dict[str, str]:
        """What the service itself was started with."""
        return self.stack.environ("vector")

    def login(self) -> dict[str, Any]:
        """asyncpg's arguments for the login with which the service reads points."""
        environ, prefix = self.environ, "PERGOLA_VECTOR_POSTGRES_APP_"
        return {
            "dsn": environ["PERGOLA_VECTOR_POSTGRES_URL"],
            "user": environ[f"{prefix}USER"],
            "password": Path(environ[f"{prefix}PASSWORD_FILE"]).read_text().strip(),
        }

    def superuser(self) -> dict[str, Any]:
        """asyncpg's arguments for PostgreSQL's superuser in the same database."""
        dsn = self.environ["PERGOLA_VECTOR_POSTGRES_URL"]
        return {"dsn": dsn, "user": "postgres", "password": self.stack.data.secret("postgres")}


@contextmanager
def running(folder: Path, delta_rows: int, parts: Sequence[str] = ("postgres", "vector")) -> Iterator[Service]:
    """Starts the parts in `folder`. An index is built as soon as more than `delta_rows` points wait for it.

    Raises BenchmarkError.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("PERGOLA_")}
    environ = own | {
        "PERGOLA_MODELS_DIR": str(settings.CHECKOUT / "build" / "models"),
        "PERGOLA_VECTOR_DELTA_ROWS": str(delta_rows),
    }
    stack = Stack(folder, parts=parts, environ=environ)
    try:
        stack.start()
    except LocalError as error:
        raise BenchmarkError(f"Pergola did not start: {error}") from None
    try:
        yield Service(stack)
    finally:
        stack.stop()


@contextmanager
def holding(folder: Path, data: Data, name: str = "bench") -> Iterator[Service]:
    """A service whose collection `name` holds the points, indexed."""
    with running(folder, data.count - 1) as service:
        load(service, data, name)
        yield service


def load(service: Service, data: Data, name: str) -> None:
    """Makes the collection `name`, upserts the points, and waits for the index that the service then builds."""
    began = time.monotonic()
    asyncio.run(_load(service.address, data, name))
    upserted = time.monotonic()
    asyncio.run(indexed(service))
    text = f"{data.count} points upserted in {upserted - began:.0f} s, indexed in {time.monotonic() - upserted:.0f} s"
    print(f"  {text}", file=sys.stderr, flush=True)


async def _load(address: str, data: Data, name: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        collections: Any = collection_pb2_grpc.CollectionServiceStub(channel)
        points: Any = point_pb2_grpc.PointServiceStub(channel)
        asked = collection_pb2.Collection(name=name, dimension=data.dimension)
        await collections.CreateCollection(collection_pb2.CreateCollectionRequest(collection=asked))
        turns = asyncio.Semaphore(2)

        async def upsert(first: int) -> None:
            async with turns:
                await points.UpsertPoints(_batch(data, name, first), timeout=120)

        async with asyncio.TaskGroup() as group:
            for first in range(0, data.count, _BATCH):
                group.create_task(upsert(first))


def _batch(data: Data, name: str, first: int) -> point_pb2.UpsertPointsRequest:
    request = point_pb2.UpsertPointsRequest(collection=name)
    for n in range(first, min(first + _BATCH, data.count)):
        one = request.points.add(id=point_id(n), text=data.text(n))
        one.vector.packed = data.vectors[n].astype("<f4").tobytes()
        one.payload.update(data.payload(n))
    return request


def point_id(n: int) -> str:
    """The id of point `n`."""
    return f"p{n}"


async def indexed(service: Service) -> None:
    """Waits until every index that the service builds is valid, no vector waits, and statistics are up to date.

    Raises BenchmarkError.
    """
    connection = await asyncpg.connect(**service.superuser())
    try:
        end = time.monotonic() + _INDEX_SECONDS
        while await connection.fetchval(_UNFINISHED):
            if time.monotonic() > end:
                raise BenchmarkError("the index was not built in time")
            await asyncio.sleep(0.5)
        # What the server does by itself after a while; not in the middle of a round.
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


_UNFINISHED: Final = """
    SELECT EXISTS (SELECT FROM pergola.collections c
                   LEFT JOIN pg_class i ON i.relname = 'c' || c.id || '_hnsw'
                   LEFT JOIN pg_index x ON x.indexrelid = i.oid
                   WHERE x.indisvalid IS NOT TRUE)
        OR EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')"""
