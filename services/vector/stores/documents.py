"""Documents: their newest accepted state."""
# ruff: noqa: S608 - texts are put together from constants; values are always bound

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from services.vector.model import Collection, StoredDocument
from services.vector.stores.database.connections import Record, Session
from services.vector.stores.queue import Item

_COLUMNS = "id, title, format, metadata, chunks, char_length(text) AS length, created, updated"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a document."""

    hash: bytes
    accepted: int


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A document that is there as it came, with its hash when that was looked at."""

    item: Item
    hash: bytes


@dataclass(frozen=True, slots=True)
class Settled:
    """A document that was cut into chunks."""

    item: Item
    hash: bytes
    chunks: int


async def known(session: Session, collection: Collection, ids: Sequence[str]) -> dict[str, Known]:
    """The documents of these ids that exist."""
    rows = await session.fetch(
        "SELECT id, hash, accepted FROM pergola.documents WHERE collection_id = $1 AND id = ANY($2::text[])",
        collection.id,
        list(ids),
    )
    return {row["id"]: Known(row["hash"], row["accepted"]) for row in rows}


async def touch(session: Session, collection: Collection, unchanged: Sequence[Unchanged]) -> set[str]:
    """Marks documents as accepted anew, so that an older job that comes late doesn't change them back.

    Returns those that are different ones by now, and were not accepted later: they have to be ingested after all.
    """
    numbers = {one.item.document_id: one.item.accepted for one in unchanged}
    touched = await session.fetch(
        "UPDATE pergola.documents d SET accepted = o.newer FROM (SELECT k.id, n.accepted AS newer"
        " FROM pergola.documents k JOIN unnest($2::text[], $3::bytea[], $4::bigint[]) AS n (id, hash, accepted)"
        " ON n.id = k.id AND n.hash = k.hash"
        " WHERE k.collection_id = $1 AND k.accepted <= n.accepted ORDER BY k.id FOR UPDATE OF k) o"
        " WHERE d.collection_id = $1 AND d.id = o.id RETURNING d.id",
        collection.id,
        [one.item.document_id for one in unchanged],
        [one.hash for one in unchanged],
        [one.item.accepted for one in unchanged],
    )
    others = numbers.keys() - {row["id"] for row in touched}
    if not others:
        return set()
    found = await known(session, collection, sorted(others))
    return {one for one in others if one not in found or found[one].accepted <= numbers[one]}


async def write(session: Session, collection: Collection, documents: Sequence[Settled]) -> tuple[set[str], int]:
    """Stores documents, except those of which a later accepted state is there.

    Locks them in the order of their ids, so two writers can't wait for each other. Returns the ids that were written,
    whose chunks are then the caller's to replace, and how many of them are new.
    """
    ordered = sorted(documents, key=lambda one: one.item.document_id)
    rows = await session.fetch(
        "INSERT INTO pergola.documents AS d"
        " (collection_id, id, tenant, title, format, metadata, text, hash, accepted, chunks)"
        " SELECT $1, n.id, $2, n.title, n.format, n.metadata, n.text, n.hash, n.accepted, n.chunks FROM"
        " unnest($3::text[], $4::text[], $5::text[], $6::jsonb[], $7::text[], $8::bytea[], $9::int[], $10::bigint[])"
        " AS n (id, title, format, metadata, text, hash, chunks, accepted)"
        " ON CONFLICT (collection_id, id) DO UPDATE SET title = EXCLUDED.title, format = EXCLUDED.format,"
        " metadata = EXCLUDED.metadata, text = EXCLUDED.text, hash = EXCLUDED.hash, accepted = EXCLUDED.accepted,"
        " chunks = EXCLUDED.chunks, updated = now(), fresh = d.deleted, deleted = false,"
        " created = CASE WHEN d.deleted THEN now() ELSE d.created END WHERE d.accepted <= EXCLUDED.accepted"
        " RETURNING d.id, d.fresh AS new",
        collection.id,
        collection.tenant,
        [one.item.document_id for one in ordered],
        [one.item.title for one in ordered],
        [one.item.format for one in ordered],
        [msgspec.json.encode(one.item.metadata).decode() for one in ordered],
        [one.item.text for one in ordered],
        [one.hash for one in ordered],
        [one.chunks for one in ordered],
        [one.item.accepted for one in ordered],
    )
    return {row["id"] for row in rows}, sum(row["new"] for row in rows)


async def get(session: Session, collection: Collection, document: str, start: int, limit: int) -> StoredDocument | None:
    """A document with `limit` code points of its text from `start` on; limit 0: without text."""
    row = await session.row(
        f"SELECT {_COLUMNS}, CASE WHEN $4::int > 0 THEN substr(text, $3::int + 1, $4::int) END AS part"
        " FROM pergola.documents WHERE collection_id = $1 AND id = $2 AND NOT deleted",
        collection.id,
        document,
        start,
        limit,
    )
    return None if row is None else _stored(row, row["part"])


async def page(session: Session, collection: Collection, after: str, size: int) -> list[StoredDocument]:
    """Documents behind the id `after`, in the order of their ids."""
    rows = await session.fetch(
        f"SELECT {_COLUMNS} FROM pergola.documents"
        " WHERE collection_id = $1 AND id > $2 AND NOT deleted ORDER BY id LIMIT $3",
        collection.id,
        after,
        size,
    )
    return [_stored(row) for row in rows]


async def remove(session: Session, collection: Collection, document: str, keep_days: int) -> bool:
    """Marks a document as deleted; its points are then the caller's to delete. False: there is none.

    The mark takes a number of the jobs' sequence: jobs accepted before it don't bring the document back. Clears some
    marks older than every open job and than what can still be retried: jobs are kept `keep_days`; a day more, because
    a retry may be under way, and a job's number is taken a little before the job can be seen.
    """
    number = await session.value(
        "UPDATE pergola.documents SET deleted = true, accepted = nextval('pergola.jobs_number_seq'), title = '',"
        " metadata = '{}', text = '', hash = '', chunks = 0, updated = now()"
        " WHERE collection_id = $1 AND id = $2 AND NOT deleted RETURNING accepted",
        collection.id,
        document,
    )
    if number is None:
        return False
    await session.execute(
        "DELETE FROM pergola.documents WHERE collection_id = $1 AND id IN (SELECT id FROM pergola.documents"
        " WHERE collection_id = $1 AND deleted AND updated < now() - make_interval(days => $3 + 1)"
        " AND accepted < coalesce("
        " (SELECT min(number) FROM pergola.jobs WHERE collection_id = $1 AND status IN ('queued', 'running')), $2)"
        " LIMIT 100 FOR UPDATE SKIP LOCKED)",
        collection.id,
        number,
        keep_days,
    )
    return True


def _stored(row: Record, text: str | None = None) -> StoredDocument:
    return StoredDocument(
        id=row["id"],
        title=row["title"],
        format=row["format"],
        metadata=msgspec.json.decode(row["metadata"]),
        chunks=row["chunks"],
        length=row["length"],
        created=row["created"],
        updated=row["updated"],
        text=text,
    )
