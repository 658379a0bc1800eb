"""Documents that failed in a job: found to kill workers, listed, moved into another job that tries them again."""
# ruff: noqa: S608 - texts are put together from constants; values are always bound

import dataclasses
from collections.abc import Sequence
from uuid import UUID

from services.vector.model import Note
from services.vector.stores import queue
from services.vector.stores.database.connections import Record, Session
from services.vector.stores.jobs import note
from services.vector.stores.queue import Claim, Step

MOST_POISONED = 5
"""Documents that may kill workers before the job is given up: each costs the service two of its processes."""
_REASON = "WORKER_LOST"
_KEPT = "(text IS NOT NULL OR upload_id IS NOT NULL)"


async def poison(session: Session, held: Claim) -> Claim | None:
    """Settles the document at the checkpoint as one that kills workers, so that the others go on; under `lock`.

    Returns the job behind it; None when it has ended, because that happened too often.
    """
    document = await session.value(
        "SELECT document_id FROM pergola.job_documents WHERE job_id = $1 AND position = $2", held.job_id, held.position
    )
    failure = Note(
        kind="failure",
        document=document or "",
        reason=_REASON,
        message="The process that worked on it was lost, twice. Its text is kept: RetryJob tries it again.",
        position=held.position,
    )
    behind = held.position + 1
    await queue.checkpoint(session, held, Step(behind, failed=1, failures=[held.position]), [failure])
    # What it cost in attempts is no reason to give up the others.
    await session.execute("UPDATE pergola.jobs SET failed_attempts = 0 WHERE id = $1", held.job_id)
    found = await session.value(
        "SELECT count(*) FROM pergola.job_notes WHERE job_id = $1 AND kind = 'failure' AND reason = $2",
        held.job_id,
        _REASON,
    )
    if found >= MOST_POISONED:
        await queue.end(
            session, held, "failed", _REASON, f"The processes that worked on {found} of its documents were lost."
        )
        return None
    return dataclasses.replace(held, position=behind, failed_attempts=0)


async def page(session: Session, job_id: str, after: int, size: int) -> list[tuple[int, Note]]:
    """Failures behind the number `after`, with their numbers, in the order in which they happened."""
    rows = await session.fetch(
        "SELECT number, cursor, kind, document, reason, message, retried_by FROM pergola.job_notes"
        " WHERE job_id = $1 AND kind = 'failure' AND number > $2 ORDER BY number LIMIT $3",
        UUID(job_id),
        after,
        size,
    )
    return [(row["number"], note(row)) for row in rows]


async def retriable(session: Session, job_id: str, documents: Sequence[str]) -> list[int]:
    """Positions of the documents of an ended job that failed, or were never come to, and that are kept.

    `documents`: of these ids alone; none: all of them.
    """
    rows = await session.fetch(
        f"SELECT position FROM pergola.job_documents WHERE job_id = $1 AND {_KEPT}"
        " AND (cardinality($2::text[]) = 0 OR document_id = ANY($2::text[])) ORDER BY position",
        UUID(job_id),
        list(documents),
    )
    return [row["position"] for row in rows]


async def move(session: Session, old: Record, new_id: str, positions: Sequence[int]) -> None:
    """Moves documents, with texts and files, from the job `old` (id, number) into a new one, in the same order."""
    values = (old["id"], UUID(new_id), list(positions))
    await session.execute(
        "UPDATE pergola.uploads SET job_id = $2 WHERE id IN (SELECT upload_id FROM pergola.job_documents"
        " WHERE job_id = $1 AND position = ANY($3::int[]) AND upload_id IS NOT NULL)",
        *values,
    )
    await session.execute(
        "UPDATE pergola.job_notes SET retried_by = $2"
        " WHERE job_id = $1 AND kind = 'failure' AND position = ANY($3::int[])",
        *values,
    )
    await session.execute(
        "UPDATE pergola.job_documents d SET job_id = $2, position = p.place - 1, failed = false,"
        " accepted = coalesce(d.accepted, $4)"
        " FROM unnest($3::int[]) WITH ORDINALITY AS p (position, place)"
        " WHERE d.job_id = $1 AND d.position = p.position",
        *values,
        old["number"],
    )
