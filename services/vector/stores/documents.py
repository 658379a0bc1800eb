"""Documents: their newest accepted state."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from services.vector.model import Collection
from services.vector.stores.database.connections import Session
from services.vector.stores.queue import Item


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a document."""

    hash: bytes
    accepted: int


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


async def touch(session: Session, collection: Collection, ids: Sequence[str], accepted: int) -> None:
    """Marks unchanged documents as accepted anew, so that an older job that comes late doesn't change them back."""
    await session.execute(
        "UPDATE pergola.documents d SET accepted = $3 FROM (SELECT id FROM pergola.documents"
        " WHERE collection_id = $1 AND id = ANY($2::text[]) AND accepted < $3 ORDER BY id FOR UPDATE) o"
        " WHERE d.collection_id = $1 AND d.id = o.id",
        collection.id,
        list(ids),
        accepted,
    )


async def write(
    session: Session, collection: Collection, documents: Sequence[Settled], accepted: int
) -> tuple[set[str], int]:
    """Stores documents, except those of which a later accepted state is there.

    Locks them in the order of their ids, so two writers can't wait for each other. Returns the ids that were written,
    whose chunks are then the caller's to replace, and how many of them are new.
    """
    ordered = sorted(documents, key=lambda one: one.item.document_id)
    rows = await session.fetch(
        "INSERT INTO pergola.documents AS d"
        " (collection_id, id, tenant, title, format, metadata, text, hash, accepted, chunks)"
        " SELECT $1, n.id, $2, n.title, n.format, n.metadata, n.text, n.hash, $3, n.chunks FROM"
        " unnest($4::text[], $5::text[], $6::text[], $7::jsonb[], $8::text[], $9::bytea[], $10::int[])"
        " AS n (id, title, format, metadata, text, hash, chunks)"
        " ON CONFLICT (collection_id, id) DO UPDATE SET title = EXCLUDED.title, format = EXCLUDED.format,"
        " metadata = EXCLUDED.metadata, text = EXCLUDED.text, hash = EXCLUDED.hash, accepted = EXCLUDED.accepted,"
        " chunks = EXCLUDED.chunks, updated = now() WHERE d.accepted <= EXCLUDED.accepted"
        " RETURNING d.id, xmax = 0 AS new",
        collection.id,
        collection.tenant,
        accepted,
        [one.item.document_id for one in ordered],
        [one.item.title for one in ordered],
        [one.item.format for one in ordered],
        [msgspec.json.encode(one.item.metadata).decode() for one in ordered],
        [one.item.text for one in ordered],
        [one.hash for one in ordered],
        [one.chunks for one in ordered],
    )
    return {row["id"] for row in rows}, sum(row["new"] for row in rows)
