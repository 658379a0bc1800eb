"""The queue: who works on which job, and what that work leaves behind. All times are the database's.

A claim raises `fence`; every write of a worker first locks the job's row by the fence it was given, so a worker that
was taken for dead finds no row and stops, whatever it believed.
"""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from services.vector.model import Note
from services.vector.stores import waiting
from services.vector.stores.database.connections import Database, Record, Session
from services.vector.stores.jobs import COLUMNS as JOB_COLUMNS
from services.vector.stores.jobs import add_event

CRASHES_AT_ONE_CHECKPOINT = 2
"""Workers lost at the same checkpoint before the document there is taken for what kills them. The first may have had
many documents in hand; the second had this one alone."""
SUSPECTS = 128
"""Documents behind its checkpoint that a lost worker may have had in hand."""


# By tenant after tenant, each found by a look-up in an index, as is the oldest job of each.
CANDIDATES = """
    WITH RECURSIVE tenants AS (
        (SELECT tenant FROM pergola.jobs WHERE status IN ('queued', 'running') AND waits_seq IS NULL
         ORDER BY tenant LIMIT 1)
        UNION ALL
        SELECT (SELECT j.tenant FROM pergola.jobs j WHERE j.tenant > t.tenant
                AND j.status IN ('queued', 'running') AND j.waits_seq IS NULL ORDER BY j.tenant LIMIT 1)
        FROM tenants t WHERE t.tenant IS NOT NULL)
    SELECT t.tenant, c.id FROM tenants t CROSS JOIN LATERAL (
        SELECT id, number FROM pergola.jobs j
        WHERE j.tenant = t.tenant AND status IN ('queued', 'running') AND waits_seq IS NULL
          AND run_after <= now() AND (status = 'queued' OR lease_until < now())
        ORDER BY number LIMIT 1) c
    WHERE t.tenant IS NOT NULL
    ORDER BY (SELECT count(*) FROM pergola.jobs r WHERE r.tenant = t.tenant AND r.status = 'running'
              AND r.waits_seq IS NULL AND r.lease_until >= now()),
             (SELECT started FROM pergola.jobs r WHERE r.tenant = t.tenant
              ORDER BY started DESC NULLS LAST LIMIT 1) NULLS FIRST,
             c.number
    LIMIT 16
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that is ours until its lease ends."""

    job_id: UUID
    number: int
    tenant: str
    collection: str
    collection_id: int
    fence: int
    position: int
    total: int
    failed_attempts: int
    careful_until: int
    """Documents before this position are to be taken one at a time, so that the one that kills workers is found."""
    wait_for: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class File:
    """The bytes of an item that was uploaded, and what its caller said of them."""

    upload_id: UUID
    media_type: str
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Item:
    """One document of a job: a text, or a file that has still to be parsed."""

    position: int
    document_id: str
    title: str
    format: str
    metadata: dict[str, Any]
    text: str
    accepted: int
    """Number of the job that accepted it first: of two states of a document the later one stays."""
    file: File | None = None


class Fenced(Exception):
    """The job belongs to somebody else by now, or has ended: stop at once, nothing of this transaction counts."""


async def candidates(database: Database) -> list[tuple[str, UUID]]:
    """Jobs that could be claimed now, of all tenants, fairest first: (tenant, id).

    First those tenants for whom the fewest jobs run, among them who was served longest ago, then the oldest job. It
    costs some look-ups in indexes a tenant with open jobs, however many those are.
    """
    async with database.across_tenants() as session:
        rows = await session.fetch(CANDIDATES)
    return [(row["tenant"], row["id"]) for row in rows]


async def claim(database: Database, tenant: str, job_id: UUID, lease: float) -> tuple[Claim, bool] | None:
    """Takes a job, if it still can be taken; and whether the document at its checkpoint kills workers."""
    async with database.transaction(tenant) as session:
        row = await session.row(
            f"""
            WITH taken AS (
                SELECT id, status FROM pergola.jobs WHERE id = $1 AND run_after <= now() AND waits_seq IS NULL
                  AND (status = 'queued' OR status = 'running' AND lease_until < now())
                FOR UPDATE SKIP LOCKED)
            UPDATE pergola.jobs j SET status = 'running', fence = fence + 1, attempt = attempt + 1,
                started = coalesce(started, now()), lease_until = now() + make_interval(secs => $2),
                failed_attempts = failed_attempts + (taken.status = 'running')::int,
                crashes_here = crashes_here + (taken.status = 'running')::int,
                careful_until = CASE WHEN taken.status = 'running' THEN greatest(careful_until, position + $3)
                                     ELSE careful_until END
            FROM taken WHERE j.id = taken.id
            RETURNING fence, position, collection_id, failed_attempts, crashes_here, careful_until,
                {", ".join("j." + name.strip() for name in JOB_COLUMNS.split(","))}
            """,
            job_id,
            lease,
            SUSPECTS,
        )
        if row is None:
            return None
        await add_event(session, tenant, row)
    taken = Claim(
        job_id=row["id"],
        number=row["number"],
        tenant=tenant,
        collection=row["collection"],
        collection_id=row["collection_id"],
        fence=row["fence"],
        position=row["position"],
        total=row["total"],
        failed_attempts=row["failed_attempts"],
        careful_until=row["careful_until"],
        wait_for=tuple(row["wait_for"]),
    )
    return taken, row["crashes_here"] >= CRASHES_AT_ONE_CHECKPOINT and taken.position < taken.total


async def renew(database: Database, held: Claim, lease: float) -> None:
    """Prolongs the lease.

    Raises Fenced.
    """
    async with database.transaction(held.tenant) as session:
        kept = await session.value(
            "UPDATE pergola.jobs SET lease_until = now() + make_interval(secs => $3)"
            " WHERE id = $1 AND fence = $2 AND status = 'running' RETURNING true",
            held.job_id,
            held.fence,
            lease,
        )
    if not kept:
        raise Fenced


async def items(session: Session, held: Claim, position: int, limit: int, limit_bytes: int) -> list[Item]:
    """Documents from `position` on, at most `limit`, cut where their sizes pass `limit_bytes`; one at least.

    One alone where a worker was lost.
    """
    rows = await session.fetch(
        "SELECT position, document_id, title, format, metadata, text, accepted, upload_id, media_type, bytes, sha256"
        " FROM (SELECT *, sum(coalesce(octet_length(text), bytes)) OVER (ORDER BY position) AS size"
        " FROM pergola.job_documents WHERE job_id = $1 AND position >= $2 AND position < $2 + $3"
        " AND (text IS NOT NULL OR upload_id IS NOT NULL)) d"
        " WHERE size <= $4 OR position = $2 ORDER BY position",
        held.job_id,
        position,
        1 if position < held.careful_until else limit,
        limit_bytes,
    )
    return [
        Item(
            position=row["position"],
            document_id=row["document_id"],
            title=row["title"],
            format=row["format"],
            metadata=msgspec.json.decode(row["metadata"]),
            text=row["text"] or "",
            accepted=held.number if row["accepted"] is None else row["accepted"],
            file=None
            if row["upload_id"] is None
            else File(row["upload_id"], row["media_type"], row["bytes"], row["sha256"]),
        )
        for row in rows
    ]


async def lock(session: Session, held: Claim) -> None:
    """The first statement of every transaction of a worker: holds the job's row until the transaction ends.

    Raises Fenced.
    """
    kept = await session.value(
        "SELECT true FROM pergola.jobs WHERE id = $1 AND fence = $2 AND status = 'running' FOR NO KEY UPDATE",
        held.job_id,
        held.fence,
    )
    if not kept:
        raise Fenced


@dataclass(slots=True)
class Step:
    """What one checkpoint adds to a job."""

    position: int
    done: int = 0
    failed: int = 0
    unchanged: int = 0
    chunks: int = 0
    failures: list[int] = field(default_factory=list)
    """Positions of the documents that failed."""


async def checkpoint(session: Session, held: Claim, step: Step, notes: Sequence[Note]) -> None:
    """Moves the checkpoint, drops the texts and files behind it but those that failed, and records the event.

    Under `lock`.
    """
    row = await session.row(
        "UPDATE pergola.jobs SET position = $2, done = done + $3, failed = failed + $4, unchanged = unchanged + $5,"
        f" chunks = chunks + $6, crashes_here = 0 WHERE id = $1 RETURNING {JOB_COLUMNS}",
        held.job_id,
        step.position,
        step.done,
        step.failed,
        step.unchanged,
        step.chunks,
    )
    assert row is not None  # noqa: S101 - the row is locked
    if step.failures:
        await session.execute(
            "UPDATE pergola.job_documents SET failed = true WHERE job_id = $1 AND position = ANY($2::int[])",
            held.job_id,
            step.failures,
        )
    await session.execute(
        "UPDATE pergola.job_documents SET text = NULL"
        " WHERE job_id = $1 AND position < $2 AND text IS NOT NULL AND NOT failed",
        held.job_id,
        step.position,
    )
    await session.execute(
        "DELETE FROM pergola.uploads WHERE id IN (SELECT upload_id FROM pergola.job_documents"
        " WHERE job_id = $1 AND position < $2 AND upload_id IS NOT NULL AND NOT failed)",
        held.job_id,
        step.position,
    )
    await _note(session, held, row, notes)
    await add_event(session, held.tenant, row)


async def end(
    session: Session, held: Claim, status: str, reason: str | None = None, message: str | None = None
) -> None:
    """Ends the job; under `lock`."""
    row = await session.row(
        "UPDATE pergola.jobs SET status = $2, error_reason = $3, error_message = $4, ended = now(), lease_until = NULL,"
        f" fence = fence + 1 WHERE id = $1 RETURNING {JOB_COLUMNS}",
        held.job_id,
        status,
        reason,
        message,
    )
    assert row is not None  # noqa: S101 - the row is locked
    await add_event(session, held.tenant, row)


async def complete(session: Session, held: Claim) -> None:
    """Ends the job well, or as failed when every one of its documents failed; under `lock`.

    One that has to wait for consumers of the change feed goes on without a worker (waiting.py).
    """
    hopeless = await session.value("SELECT failed > 0 AND failed = total FROM pergola.jobs WHERE id = $1", held.job_id)
    if hopeless:
        await end(session, held, "failed", "ALL_DOCUMENTS_FAILED", "None of the documents could be processed.")
    elif held.wait_for:
        await waiting.begin(session, held.tenant, held.job_id, held.collection_id)
    else:
        await end(session, held, "completed")


async def put_back(session: Session, held: Claim, wait: float, *, failed: bool) -> None:
    """Gives the job back to the queue; under `lock`. `failed`: this attempt counts against the job."""
    row = await session.row(
        "UPDATE pergola.jobs SET status = 'queued', lease_until = NULL, fence = fence + 1,"
        " run_after = now() + make_interval(secs => $2), failed_attempts = failed_attempts + $3::int"
        f" WHERE id = $1 RETURNING {JOB_COLUMNS}",
        held.job_id,
        wait,
        int(failed),
    )
    assert row is not None  # noqa: S101 - the row is locked
    await add_event(session, held.tenant, row)


async def _note(session: Session, held: Claim, row: Record, notes: Sequence[Note]) -> None:
    for one in notes:
        await session.execute(
            "INSERT INTO pergola.job_notes (job_id, cursor, tenant, kind, document, reason, message, position)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (job_id, reason) WHERE kind = 'warning' DO NOTHING",
            held.job_id,
            row["last_event"] + 1,
            held.tenant,
            one.kind,
            one.document,
            one.reason,
            one.message,
            one.position,
        )
