"""The jobs that tell of an index being built. Nobody claims them: whoever holds the collection's lock builds.

Their `total` and `done` count points. A job that was left open by a process that died is taken up by the next one that
builds, or settled where the index turns out to be there.
"""
# ruff: noqa: S608 - texts are put together from constants; values are always bound

from uuid import UUID, uuid4

from services.vector.model import Collection
from services.vector.stores.database.connections import Database
from services.vector.stores.jobs import COLUMNS, add_event

_OPEN = "kind = 'index' AND status = 'running'"


async def begin(database: Database, collection: Collection, points: int) -> str:
    """Opens a job for the building of a collection's index, or takes up the one that is open; returns its id."""
    async with database.transaction(collection.tenant) as session:
        row = await session.row(
            "UPDATE pergola.jobs SET attempt = attempt + 1, total = $2, done = 0"
            f" WHERE collection_id = $1 AND {_OPEN} RETURNING {COLUMNS}",
            collection.id,
            points,
        )
        if row is None:
            # A lease without end: to workers it looks as if somebody were at it.
            row = await session.row(
                "INSERT INTO pergola.jobs"
                " (id, tenant, kind, collection_id, collection, status, total, attempt, started, lease_until)"
                f" VALUES ($1, $2, 'index', $3, $4, 'running', $5, 1, now(), 'infinity') RETURNING {COLUMNS}",
                uuid4(),
                collection.tenant,
                collection.id,
                collection.name,
                points,
            )
        assert row is not None  # noqa: S101 - INSERT … RETURNING
        await add_event(session, collection.tenant, row)
    return str(row["id"])


async def built(database: Database, pid: int) -> int:
    """How many points the process `pid` of the server has put into the index that it builds.

    The owner's process is seen by the owner alone.
    """
    async with database.owner_connection() as connection:
        done: int | None = await connection.fetchval(
            "SELECT tuples_done FROM pg_stat_progress_create_index WHERE pid = $1", pid
        )
    return done or 0


async def advance(database: Database, collection: Collection, job_id: str, done: int) -> bool:
    """Records how far it is. False: the job was cancelled."""
    async with database.transaction(collection.tenant) as session:
        row = await session.row(
            f"UPDATE pergola.jobs SET done = greatest(done, least(total, $2)) WHERE id = $1 AND {_OPEN}"
            f" RETURNING {COLUMNS}",
            UUID(job_id),
            done,
        )
        if row is not None:
            await add_event(session, collection.tenant, row)
    return row is not None


async def settle(database: Database, collection: Collection) -> list[str]:
    """Completes what is open of a collection whose index is there; returns the ids."""
    async with database.transaction(collection.tenant) as session:
        rows = await session.fetch(
            "UPDATE pergola.jobs SET status = 'completed', done = total, ended = now(), lease_until = NULL"
            f" WHERE collection_id = $1 AND {_OPEN} RETURNING {COLUMNS}",
            collection.id,
        )
        for row in rows:
            await add_event(session, collection.tenant, row)
    return [str(row["id"]) for row in rows]
