"""The catalogue: which collections there are, and the making and dropping of their tables."""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

from collections.abc import Sequence
from typing import Any, Literal

from services.runtime.errors import CollectionExists, CollectionNotFound
from services.vector.model import Collection, Counts, Neighbors
from services.vector.stores import jobs
from services.vector.stores.database.connections import Database, Record, Session
from services.vector.stores.points import layout, merging

_COLUMNS = (
    "id, tenant, name, incarnation, dimension, distance, storage, embedding_model, graph, language, k1, b, created,"
    " chunk_mode, chunk_tokens, chunk_overlap, neighbors"
)


def _collection(row: Record) -> Collection:
    return Collection(**dict(row))


async def find(session: Session, name: str) -> Collection | None:
    """The tenant's collection of that name."""
    row = await session.row(f"SELECT {_COLUMNS} FROM pergola.collections WHERE name = $1", name)
    return None if row is None else _collection(row)


async def hold(session: Session, name: str) -> Collection | None:
    """The same, and nobody deletes it before the current transaction has ended."""
    row = await session.row(
        f"SELECT {_COLUMNS} FROM pergola.collections WHERE name = $1 FOR KEY SHARE",
        name,
    )
    return None if row is None else _collection(row)


async def page(session: Session, after: str, size: int) -> list[Collection]:
    """The tenant's collections behind the name `after`, in the order of their names."""
    rows = await session.fetch(
        f"SELECT {_COLUMNS} FROM pergola.collections WHERE name > $1 ORDER BY name LIMIT $2",
        after,
        size,
    )
    return [_collection(row) for row in rows]


async def alike(session: Session, collection: Collection, most: int) -> list[int]:
    """Numbers of the tenant's other collections that are followed and have the same model, the newest first."""
    rows = await session.fetch(
        "SELECT id FROM pergola.collections WHERE graph AND id <> $1 AND embedding_model = $2 AND dimension = $3"
        " ORDER BY id DESC LIMIT $4",
        collection.id,
        collection.embedding_model,
        collection.dimension,
        most,
    )
    return [row["id"] for row in rows]


async def all_followed(database: Database) -> list[Collection]:
    """Every tenant's collections with `graph` set, in the order of tenant and name."""
    async with database.across_tenants() as session:
        rows = await session.fetch(f"SELECT {_COLUMNS} FROM pergola.collections WHERE graph ORDER BY tenant, name")
    return [_collection(row) for row in rows]


async def all_collections(database: Database) -> list[Collection]:
    """Every tenant's collections, for maintenance."""
    async with database.across_tenants() as session:
        rows = await session.fetch(f"SELECT {_COLUMNS} FROM pergola.collections ORDER BY id")
    return [_collection(row) for row in rows]


async def create(session: Session, app: str, tenant: str, values: dict[str, Any]) -> Collection:
    """Adds a collection and its tables, in a transaction of the owner.

    Raises CollectionExists.
    """
    row = await session.row(
        "INSERT INTO pergola.collections"
        " (tenant, name, incarnation, dimension, distance, storage, embedding_model, graph, language, k1, b,"
        " chunk_mode, chunk_tokens, chunk_overlap, neighbors)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
        f" ON CONFLICT (tenant, name) DO NOTHING RETURNING {_COLUMNS}",
        tenant,
        values["name"],
        values["incarnation"],
        values["dimension"],
        values["distance"],
        values["storage"],
        values["embedding_model"],
        values["graph"],
        values["language"],
        values["k1"],
        values["b"],
        values["chunk_mode"],
        values["chunk_tokens"],
        values["chunk_overlap"],
        values["neighbors"],
    )
    if row is None:
        raise CollectionExists(f"A collection {values['name']!r} exists already.")
    collection = _collection(row)
    await session.execute(layout.create(collection, app))
    return collection


async def change(
    session: Session, name: str, *, k1: float | None, b: float | None, neighbors: Neighbors | Literal[""] | None
) -> Collection:
    """Changes how the collection's words are scored, and whose passages see their neighbours (empty: as the settings
    say); None leaves it as it is. Raises CollectionNotFound."""
    row = await session.row(
        "UPDATE pergola.collections SET k1 = coalesce($2, k1), b = coalesce($3, b), version = version + 1,"
        " neighbors = CASE WHEN $4::text IS NULL THEN neighbors ELSE nullif($4, '') END"
        f" WHERE name = $1 RETURNING {_COLUMNS}",
        name,
        k1,
        b,
        neighbors,
    )
    if row is None:
        raise CollectionNotFound(f"There is no collection {name!r}.")
    return _collection(row)


async def delete(session: Session, name: str) -> tuple[Collection, list[str]]:
    """Removes a collection with everything in it, in a transaction of the owner; its open jobs end as cancelled.

    Returns it, and the ids of those jobs. Raises CollectionNotFound.
    """
    row = await session.row(f"SELECT {_COLUMNS} FROM pergola.collections WHERE name = $1 FOR UPDATE", name)
    if row is None:
        raise CollectionNotFound(f"There is no collection {name!r}.")
    collection = _collection(row)
    # Jobs first: a worker locks its job before it touches the collection's tables, so the two can't block each other.
    cancelled = await jobs.cancel_all(session, collection)
    # A merge that runs holds the tables for minutes; it is the owner's too, so it may be ended.
    await session.execute(
        "SELECT pg_cancel_backend(pid) FROM pg_locks"
        " WHERE locktype = 'advisory' AND classid = $1::bigint AND objid = $2::bigint AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        merging.LOCKS,
        merging.lock_number(collection.id),
    )
    await session.execute(layout.drop(collection.id))
    await session.execute("DELETE FROM pergola.collections WHERE id = $1", collection.id)
    return collection, cancelled


async def counts(database: Database, collections: Sequence[Collection]) -> dict[int, Counts]:
    """The counts by collection id; one that was deleted meanwhile is left out."""
    if not collections:
        return {}
    parts = (
        f"SELECT {one.id} AS id, points, documents, seq FROM {layout.Layout(one.id)['head']}" for one in collections
    )
    try:
        async with database.session() as session:
            rows = await session.fetch(" UNION ALL ".join(parts))
    except CollectionNotFound:
        # One of them is gone, and took the statement with it: ask for each alone.
        if len(collections) == 1:
            return {}
        found: dict[int, Counts] = {}
        for one in collections:
            found |= await counts(database, [one])
        return found
    return {row["id"]: Counts(row["points"], row["documents"], row["seq"]) for row in rows}
