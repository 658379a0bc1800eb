"""Changing points one by one: replacing, deleting, payloads; all in the caller's transaction.

Rows are always locked in the order documents, points by id, `head`: so writers wait for each other, but not in a ring.
"""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from services.vector.filters.tree import Filter
from services.vector.model import Collection
from services.vector.stores.database.connections import Session
from services.vector.stores.points import conditions
from services.vector.stores.points.conditions import Values
from services.vector.stores.points.layout import Layout
from services.vector.stores.points.terms import vocabulary
from services.vector.stores.points.writing import Sums, delete_rest


async def lock(session: Session, collection: Collection, ids: Sequence[str]) -> dict[str, str | None]:
    """Locks the points of these ids; returns for each that exists the document it belongs to, or None."""
    rows = await session.fetch(
        f"SELECT id, document FROM {Layout(collection.id)['point']} WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE",
        list(ids),
    )
    return {row["id"]: row["document"] for row in rows}


async def disturb_documents(session: Session, collection: Collection, ids: Sequence[str]) -> None:
    """Lets the documents that points of these ids belong to count as changed, so that they can be ingested again.

    Locks those documents; to be called before their points are locked.
    """
    await session.execute(
        # No content has an empty hash.
        "UPDATE pergola.documents d SET hash = '' FROM ("
        f" SELECT id FROM pergola.documents WHERE collection_id = $1 AND id IN (SELECT document FROM"
        f" {Layout(collection.id)['point']} WHERE id = ANY($2::text[])) ORDER BY id FOR UPDATE) o"
        " WHERE d.collection_id = $1 AND d.id = o.id",
        collection.id,
        list(ids),
    )


async def delete(
    session: Session, collection: Collection, ids: Sequence[str], sums: Sums, only: Filter | None = None
) -> None:
    """Removes the points of these ids, which the caller has locked, or those of them that fit `only`."""
    layout, values = Layout(collection.id), Values()
    condition = f"p.id = ANY({values.bind(list(ids), 'text[]')})"
    if only is not None:
        known = await vocabulary.needed(session, collection, only)
        condition += f" AND {conditions.sql(layout, only, values, known)}"
    rows = await session.fetch(f"DELETE FROM {layout['point']} p WHERE {condition} RETURNING p.n, p.id", *values.all)
    await delete_rest(session, collection, rows, sums)


async def fitting(session: Session, collection: Collection, ids: Sequence[str], only: Filter) -> set[str]:
    """Those of these ids whose points fit `only`."""
    layout, values = Layout(collection.id), Values()
    known = await vocabulary.needed(session, collection, only)
    condition = f"p.id = ANY({values.bind(list(ids), 'text[]')}) AND {conditions.sql(layout, only, values, known)}"
    rows = await session.fetch(f"SELECT p.id FROM {layout['point']} p WHERE {condition}", *values.all)
    return {row["id"] for row in rows}


async def set_payload(
    session: Session, collection: Collection, ids: Sequence[str], payload: Mapping[str, Any], without: Sequence[str]
) -> list[str]:
    """Merges `payload` over what is left `without` those keys, in points that the caller has locked.

    Returns the ids whose payload is another one now.
    """
    rows = await session.fetch(
        f"UPDATE {Layout(collection.id)['point']} SET payload = (payload - $2::text[]) || $3::jsonb"
        " WHERE id = ANY($1::text[]) AND payload IS DISTINCT FROM (payload - $2::text[]) || $3::jsonb RETURNING id",
        list(ids),
        list(without),
        msgspec.json.encode(payload).decode(),
    )
    return sorted(row["id"] for row in rows)


async def overwrite_payload(
    session: Session, collection: Collection, ids: Sequence[str], payload: Mapping[str, Any]
) -> list[str]:
    """Puts `payload` in the place of what is there, in points that the caller has locked; returns as `set_payload`."""
    rows = await session.fetch(
        f"UPDATE {Layout(collection.id)['point']} SET payload = $2::jsonb"
        " WHERE id = ANY($1::text[]) AND payload IS DISTINCT FROM $2::jsonb RETURNING id",
        list(ids),
        msgspec.json.encode(payload).decode(),
    )
    return sorted(row["id"] for row in rows)
