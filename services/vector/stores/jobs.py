"""Jobs as their callers see them: accepted, read, listed, followed, cancelled. Working on them: stores/queue.py."""
# ruff: noqa: S608 - texts are put together from constants; values are always bound

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from services.vector.model import Collection, Job, JobState, NewDocument, NewFile, Note, Progress
from services.vector.stores.database.connections import Record, Session

SHOWN_FAILURES = 100
"""Failures that are shown with a job; all of them are counted."""

COLUMNS = (
    "id, kind, collection, status, attempt, total, done, failed, unchanged, chunks, error_reason, error_message,"
    " created, started, ended, last_event, number, wait_for, waits_for, retry_of"
)


def state(row: Record) -> JobState:
    """The changing part of a job, from its row."""
    return JobState(
        status=row["status"],
        progress=Progress(row["total"], row["done"], row["failed"], row["unchanged"], row["chunks"]),
        attempt=row["attempt"],
        error_reason=row["error_reason"],
        error_message=row["error_message"],
        started=row["started"],
        ended=row["ended"],
        waiting_for=tuple(row["waits_for"]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to be queued."""

    tenant: str
    id: str
    collection: Collection
    wait_for: Sequence[str] = ()
    """Consumers of the change feed."""
    keep_days: int
    """Days after which ended jobs may go."""
    retry_of: str = ""


async def accept(session: Session, new: NewJob, documents: Sequence[NewDocument]) -> Job:
    """Queues an ingestion with everything it needs; clears some of the tenant's jobs that ended `keep_days` ago."""
    row = await queued(session, new, len(documents))
    # Not by COPY, which row-level security rules out.
    await session.execute(
        "INSERT INTO pergola.job_documents (job_id, tenant, position, document_id, title, format, metadata, text)"
        " SELECT $1, $2, d.* FROM"
        " unnest($3::int[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::text[]) AS d",
        UUID(new.id),
        new.tenant,
        list(range(len(documents))),
        [one.id for one in documents],
        [one.title for one in documents],
        [one.format for one in documents],
        [msgspec.json.encode(one.metadata).decode() for one in documents],
        [one.text for one in documents],
    )
    await add_event(session, new.tenant, row)
    return assembled(row, [])


async def accept_file(session: Session, new: NewJob, file: NewFile) -> Job:
    """The same for one uploaded file."""
    row = await queued(session, new, 1)
    await session.execute(
        "INSERT INTO pergola.job_documents (job_id, tenant, position, document_id, title, format, metadata,"
        " upload_id, media_type, bytes, sha256) VALUES ($1, $2, 0, $3, $4, '', $5, $6, $7, $8, $9)",
        UUID(new.id),
        new.tenant,
        file.id,
        file.title,
        msgspec.json.encode(file.metadata).decode(),
        UUID(file.upload_id),
        file.media_type,
        file.size,
        file.sha256,
    )
    await session.execute("UPDATE pergola.uploads SET job_id = $2 WHERE id = $1", UUID(file.upload_id), UUID(new.id))
    await add_event(session, new.tenant, row)
    return assembled(row, [])


async def queued(session: Session, new: NewJob, total: int) -> Record:
    """The row of a new job of `total` documents, which are still to be written, as is its first event."""
    await session.execute(
        "DELETE FROM pergola.jobs WHERE id IN (SELECT id FROM pergola.jobs"
        " WHERE tenant = $1 AND ended < now() - make_interval(days => $2) LIMIT 20 FOR UPDATE SKIP LOCKED)",
        new.tenant,
        new.keep_days,
    )
    row = await session.row(
        "INSERT INTO pergola.jobs (id, tenant, kind, collection_id, collection, status, total, wait_for, retry_of)"
        f" VALUES ($1, $2, 'ingest', $3, $4, 'queued', $5, $6, $7) RETURNING {COLUMNS}",
        UUID(new.id),
        new.tenant,
        new.collection.id,
        new.collection.name,
        total,
        list(new.wait_for),
        UUID(new.retry_of) if new.retry_of else None,
    )
    assert row is not None  # noqa: S101 - INSERT … RETURNING
    return row


async def add_event(session: Session, tenant: str, row: Record) -> None:
    """Records the state in `row`, a job just written, as its next event."""
    await session.execute(
        "WITH e AS (UPDATE pergola.jobs SET last_event = last_event + 1 WHERE id = $1 RETURNING last_event)"
        " INSERT INTO pergola.job_events (job_id, cursor, tenant, state) SELECT $1, last_event, $2, $3 FROM e",
        row["id"],
        tenant,
        msgspec.json.encode(state(row)).decode(),
    )


async def get(session: Session, job_id: str) -> Job | None:
    """A job of the tenant as it is now."""
    row = await session.row(f"SELECT {COLUMNS} FROM pergola.jobs WHERE id = $1", UUID(job_id))
    if row is None:
        return None
    return assembled(row, (await _notes(session, [row["id"]])).get(job_id, []))


async def hold(session: Session, job_id: str) -> Record | None:
    """The row of a job, which nobody changes before the current transaction has ended."""
    return await session.row(
        f"SELECT {COLUMNS}, collection_id FROM pergola.jobs WHERE id = $1 FOR UPDATE", UUID(job_id)
    )


async def page(session: Session, collection: str, before: int | None, size: int) -> list[tuple[int, Job]]:
    """Jobs with their numbers, newest first, below the number `before`; of one collection if it is named."""
    rows = await session.fetch(
        f"SELECT {COLUMNS} FROM pergola.jobs WHERE ($1 = '' OR collection = $1)"
        " AND ($2::bigint IS NULL OR number < $2) ORDER BY number DESC LIMIT $3",
        collection,
        before,
        size,
    )
    notes = await _notes(session, [row["id"] for row in rows])
    return [(row["number"], assembled(row, notes.get(str(row["id"]), []))) for row in rows]


async def events(session: Session, job_id: str, after: int, limit: int) -> tuple[list[tuple[int, Job]], bool] | None:
    """Events behind the cursor `after` with their cursors, each with the job as it was; None: no such job.

    And whether the job had ended before they were read, so that no event can follow the last one of them.
    """
    head = await session.row(
        "SELECT id, kind, collection, created, ended, wait_for, retry_of FROM pergola.jobs WHERE id = $1", UUID(job_id)
    )
    if head is None:
        return None
    rows = await session.fetch(
        "SELECT cursor, state FROM pergola.job_events WHERE job_id = $1 AND cursor > $2 ORDER BY cursor LIMIT $3",
        UUID(job_id),
        after,
        limit,
    )
    notes = (await _notes(session, [head["id"]])).get(job_id, []) if rows else []
    found = [
        (
            row["cursor"],
            _at(head, msgspec.json.decode(row["state"], type=JobState), notes, row["cursor"]),
        )
        for row in rows
    ]
    return found, head["ended"] is not None


async def cancel(session: Session, job_id: str) -> bool:
    """Ends a job that is open; whoever works on it finds its fence changed. False: it was not open.

    What failed before can still be retried; of the rest, texts and files go.
    """
    row = await session.row(_CANCEL + " WHERE id = $1 AND status IN ('queued', 'running')" + _CANCELLED, UUID(job_id))
    if row is None:
        return False
    await add_event(session, row["tenant"], row)
    await session.execute(
        "DELETE FROM pergola.uploads u WHERE job_id = $1 AND NOT EXISTS"
        " (SELECT FROM pergola.job_documents d WHERE d.job_id = $1 AND d.upload_id = u.id AND d.failed)",
        row["id"],
    )
    await session.execute(
        "UPDATE pergola.job_documents SET text = NULL WHERE text IS NOT NULL AND NOT failed AND job_id = $1", row["id"]
    )
    return True


async def cancel_all(session: Session, collection: Collection) -> list[str]:
    """Ends every open job of a collection, for good, and drops what its ended ones kept. Returns the ids of the former.

    To be run when the collection goes.
    """
    rows = await session.fetch(
        _CANCEL + " WHERE collection_id = $1 AND status IN ('queued', 'running')" + _CANCELLED, collection.id
    )
    for row in rows:
        await add_event(session, row["tenant"], row)
    every = "(SELECT id FROM pergola.jobs WHERE tenant = $1 AND collection = $2 AND collection_id = $3)"
    of = (collection.tenant, collection.name, collection.id)
    await session.execute(f"DELETE FROM pergola.uploads WHERE job_id IN {every}", *of)
    await session.execute(
        f"UPDATE pergola.job_documents SET text = NULL WHERE text IS NOT NULL AND job_id IN {every}", *of
    )
    return [str(row["id"]) for row in rows]


_CANCEL = (
    "UPDATE pergola.jobs SET status = 'cancelled', fence = fence + 1, ended = now(), lease_until = NULL,"
    " waits_for = '{}'"
)
_CANCELLED = " RETURNING tenant, " + COLUMNS


async def _notes(session: Session, ids: Sequence[UUID]) -> dict[str, list[Note]]:
    rows = await session.fetch(
        "SELECT job_id, cursor, kind, document, reason, message, retried_by FROM ("
        " SELECT *, row_number() OVER (PARTITION BY job_id, kind ORDER BY number) AS place"
        " FROM pergola.job_notes WHERE job_id = ANY($1::uuid[])) n WHERE place <= $2 ORDER BY job_id, number",
        list(ids),
        SHOWN_FAILURES,
    )
    found: dict[str, list[Note]] = {}
    for row in rows:
        found.setdefault(str(row["job_id"]), []).append(note(row))
    return found


def note(row: Record) -> Note:
    """From its row."""
    return Note(
        kind=row["kind"],
        document=row["document"],
        reason=row["reason"],
        message=row["message"],
        cursor=row["cursor"],
        retried_by=str(row["retried_by"] or ""),
    )


def assembled(row: Record, notes: Sequence[Note]) -> Job:
    """A job as it is in its row, with these notes."""
    return _at(row, state(row), notes, row["last_event"])


def _at(row: Record, current: JobState, notes: Sequence[Note], cursor: int) -> Job:
    created: datetime = row["created"]
    known = [note for note in notes if note.cursor <= cursor]
    return Job(
        id=str(row["id"]),
        kind=row["kind"],
        collection=row["collection"],
        created=created,
        state=current,
        failures=tuple(note for note in known if note.kind == "failure"),
        warnings=tuple(note.message for note in known if note.kind == "warning"),
        wait_for=tuple(row["wait_for"]),
        retry_of=str(row["retry_of"] or ""),
    )
