"""Moving vectors from the delta under the HNSW index, without standing in anybody's way.

Readers see each vector in exactly one of the two tables, because they read both in one statement and a batch moves in
one transaction. Writers only add to the delta; when they delete, they look into the delta first and into the index
after that, and so find what a batch moved meanwhile. The work is done by the owner, one process at a time a collection.
"""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from services.vector.model import Collection
from services.vector.stores.database import faults
from services.vector.stores.database.connections import Database
from services.vector.stores.database.pool import Raw
from services.vector.stores.points import layout
from services.vector.stores.points.layout import SCHEMA, Layout

log = logging.getLogger(__name__)

Follow = Callable[[Collection, int, int, Coroutine[Any, Any, object]], Awaitable[None]]
LOCKS: Final = 0x7067
"""First half of the advisory locks' numbers; the second is `lock_number`."""
_BATCH_INDEXED: Final = 200
"""Vectors a transaction into a live index: a third of a second."""
_BATCH_PLAIN: Final = 5_000


async def waiting(database: Database, collection: Collection, limit: int) -> bool:
    """Whether the delta holds more than `limit` vectors, or as many that were moved have no index: its building broke.

    Raises CollectionNotFound.
    """
    t = Layout(collection.id)
    async with database.session() as session:
        found: bool = await session.value(
            f"SELECT (SELECT count(*) FROM (SELECT FROM {t['delta']} LIMIT $1::bigint + 1) d) > $1::bigint"
            f" OR NOT EXISTS ({_index(collection)} AND indisvalid)"
            f" AND (SELECT count(*) FROM (SELECT FROM {t['vector']} LIMIT $1::bigint + 1) v) > $1::bigint",
            limit,
        )
    return found


async def has_index(database: Database, collection: Collection) -> bool:
    """Whether the index is there and complete."""
    async with database.session() as session:
        found: bool = await session.value(f"SELECT EXISTS ({_index(collection)} AND indisvalid)")
    return found


async def merge(database: Database, collection: Collection, follow: Follow | None = None, *, bearable: int = 0) -> int:
    """Moves what is in the delta now, and builds the index if there is none; returns how many vectors were moved.

    `follow` is given what builds the index, to run it: with the number of vectors, and of the server's process.
    While somebody writes, and no more than `bearable` vectors wait, writers have half of the time: a vector costs the
    index ten times what it cost its writer, and the two would share the processor.
    Does nothing where another process is at it. Raises StoreUnavailable, CollectionNotFound.
    """
    async with database.owner_connection() as connection:
        with faults.translated():
            number = lock_number(collection.id)
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", LOCKS, number):
                return 0
            # The lock goes with the connection.
            ready = await _index_ready(connection, collection) and not await _outgrown(connection, collection)
            moved = await _move(connection, collection, *((_BATCH_INDEXED, bearable) if ready else (_BATCH_PLAIN, 0)))
            if not ready:
                count = await connection.fetchval(f"SELECT count(*) FROM {Layout(collection.id)['vector']}")
                build = connection.execute(layout.index(collection))
                await (build if follow is None else follow(collection, count, connection.get_server_pid(), build))
                await connection.execute(f"ANALYZE {Layout(collection.id)['vector']}")
                log.info("an index was built", extra={"collection": collection.id, "vectors": moved})
            return moved


def lock_number(collection_id: int) -> int:
    """The second half of a collection's lock."""
    return collection_id % 2**31


async def _index_ready(connection: Raw, collection: Collection) -> bool:
    """Whether the index is there; removes what an interrupted build left."""
    name = Layout(collection.id).bare("hnsw")
    valid = await connection.fetchval(_index(collection))
    if valid is False:
        await connection.execute(f"DROP INDEX CONCURRENTLY {SCHEMA}.{name}")
    return bool(valid)


async def _outgrown(connection: Raw, collection: Collection) -> bool:
    """Whether more waits than is indexed; then the index goes, because a new one over all is made sooner.

    A vector comes into a live index at a sixth of the pace at which one is built. Until the new one is there search is
    exact, as it is of the delta anyway; `waiting` sees to it that it is made, whatever happens here.
    """
    t = Layout(collection.id)
    outgrown: bool = await connection.fetchval(
        f"SELECT (SELECT count(*) FROM {t['delta']}) > (SELECT count(*) FROM {t['vector']})"
    )
    if outgrown:
        await connection.execute(f"DROP INDEX CONCURRENTLY {SCHEMA}.{t.bare('hnsw')}")
    return outgrown


def _index(collection: Collection) -> str:
    return (
        "SELECT indisvalid FROM pg_index JOIN pg_class c ON c.oid = indexrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE nspname = '{SCHEMA}' AND relname = '{Layout(collection.id).bare('hnsw')}'"
    )


async def _move(connection: Raw, collection: Collection, batch: int, bearable: int) -> int:
    newest = f"SELECT max(n) FROM {Layout(collection.id)['delta']}"
    last = seen = await connection.fetchval(newest)
    moved = 0
    while last is not None:
        began = time.monotonic()
        count = await _move_batch(connection, collection, last, batch)
        moved += count
        if count < batch:
            break
        took, before = time.monotonic() - began, seen
        seen = await connection.fetchval(newest)
        if seen is not None and seen != before and await _wait_at_most(connection, collection, bearable):
            await _rest(took)
    return moved


async def _move_batch(connection: Raw, collection: Collection, last: int, batch: int) -> int:
    """Moves the next so many vectors up to number `last`; returns how many there were."""
    t = Layout(collection.id)
    count: int = await connection.fetchval(
        f"WITH b AS (DELETE FROM {t['delta']} WHERE n IN"
        f" (SELECT n FROM {t['delta']} WHERE n <= $1 ORDER BY n LIMIT $2 FOR UPDATE SKIP LOCKED)"
        f" RETURNING n, embedding), i AS (INSERT INTO {t['vector']} SELECT n, embedding FROM b)"
        " SELECT count(*) FROM b",
        last,
        batch,
    )
    return count


async def _wait_at_most(connection: Raw, collection: Collection, few: int) -> bool:
    found: bool = await connection.fetchval(
        f"SELECT count(*) <= $1::bigint FROM (SELECT FROM {Layout(collection.id)['delta']} LIMIT $1::bigint + 1) d",
        few,
    )
    return found


async def _rest(seconds: float) -> None:
    await asyncio.sleep(seconds)
