"""Jobs that are done but for consumers of the change feed, which have to acknowledge the last change first.

Such a job is `running` without a lease: no worker has it and none takes it. It ends when the last acknowledgement
comes. Who acknowledges, and who makes a job wait, both commit first and call `settle` then: whichever comes second sees
the other's commit.
"""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

from uuid import UUID

from services.vector.stores.database.connections import Database, Session
from services.vector.stores.jobs import COLUMNS, add_event
from services.vector.stores.points.layout import Layout


async def begin(session: Session, tenant: str, job_id: UUID, collection_id: int) -> None:
    """Lets a job wait until its consumers have acknowledged what the feed holds by now; under the job's lock."""
    head: int = await session.value(f"SELECT seq FROM {Layout(collection_id)['head']}")
    row = await session.row(
        "UPDATE pergola.jobs SET waits_seq = $2, waits_for = wait_for, waits_since = now(), lease_until = NULL,"
        f" fence = fence + 1 WHERE id = $1 RETURNING {COLUMNS}",
        job_id,
        head,
    )
    assert row is not None  # noqa: S101 - the row is locked
    await add_event(session, tenant, row)


async def settle(session: Session, tenant: str, collection_id: int) -> list[str]:
    """Looks which consumers the waiting jobs of a collection still wait for, and completes those that wait for none.

    Returns the ids of the jobs that changed.
    """
    rows = await session.fetch(
        """
        SELECT j.id, j.waits_for, ARRAY(
            SELECT w FROM unnest(j.waits_for) w WHERE NOT EXISTS (
                SELECT FROM pergola.consumers c JOIN pergola.collections k ON k.id = j.collection_id
                WHERE c.tenant = j.tenant AND c.collection = k.name AND c.consumer = w
                  AND split_part(c.incarnation, '.', 1) = k.incarnation AND c.seq >= j.waits_seq)) AS left_over
        FROM pergola.jobs j WHERE tenant = $1 AND collection_id = $2 AND status = 'running' AND waits_seq IS NOT NULL
        ORDER BY number FOR UPDATE OF j
        """,
        tenant,
        collection_id,
    )
    changed = [row for row in rows if len(row["left_over"]) < len(row["waits_for"])]
    for row in changed:
        done = not row["left_over"]
        written = await session.row(
            "UPDATE pergola.jobs SET waits_for = $2, status = CASE WHEN $3 THEN 'completed' ELSE status END,"
            f" ended = CASE WHEN $3 THEN now() END WHERE id = $1 RETURNING {COLUMNS}",
            row["id"],
            row["left_over"],
            done,
        )
        assert written is not None  # noqa: S101 - the row is locked
        await add_event(session, tenant, written)
    return [str(row["id"]) for row in changed]


async def places(database: Database) -> list[tuple[str, int]]:
    """Tenants and collections with jobs that wait."""
    async with database.across_tenants() as session:
        rows = await session.fetch(
            "SELECT DISTINCT tenant, collection_id FROM pergola.jobs"
            " WHERE status = 'running' AND waits_seq IS NOT NULL ORDER BY tenant, collection_id"
        )
    return [(row["tenant"], row["collection_id"]) for row in rows]


async def warn(session: Session, tenant: str, collection_id: int, seconds: float) -> list[str]:
    """Adds a warning to jobs of a collection that have waited longer than that, once; returns their ids."""
    rows = await session.fetch(
        "SELECT id, waits_for, last_event FROM pergola.jobs j WHERE tenant = $1 AND collection_id = $2"
        " AND status = 'running' AND waits_seq IS NOT NULL AND waits_since < now() - make_interval(secs => $3)"
        " AND NOT EXISTS (SELECT FROM pergola.job_notes n WHERE n.job_id = j.id AND n.reason = 'CONSUMER_SILENT')"
        " ORDER BY number FOR UPDATE",
        tenant,
        collection_id,
        seconds,
    )
    for row in rows:
        names = ", ".join(f"`{name}`" for name in row["waits_for"])
        await session.execute(
            "INSERT INTO pergola.job_notes (job_id, cursor, tenant, kind, document, reason, message)"
            " VALUES ($1, $2, $3, 'warning', '', 'CONSUMER_SILENT', $4)"
            " ON CONFLICT (job_id, reason) WHERE kind = 'warning' DO NOTHING",
            row["id"],
            row["last_event"] + 1,
            tenant,
            f"All documents are searchable; the job waits for {names} to follow. Does that service run? ListConsumers "
            "shows how far it is, CancelJob ends the waiting.",
        )
        whole = await session.row(f"SELECT {COLUMNS} FROM pergola.jobs WHERE id = $1", row["id"])
        assert whole is not None  # noqa: S101 - the row is locked
        await add_event(session, tenant, whole)
    return [str(row["id"]) for row in rows]
