"""Who follows a collection's changes, and how far each of them is."""

from services.vector.model import Collection, Consumer, Cursor
from services.vector.stores.database.connections import Session


async def acknowledged(session: Session, collection: str, consumer: str) -> Cursor | None:
    """The place a consumer has acknowledged, maybe of an earlier collection of this name."""
    row = await session.row(
        "SELECT incarnation, seq FROM pergola.consumers WHERE collection = $1 AND consumer = $2", collection, consumer
    )
    return None if row is None else Cursor(row["incarnation"], row["seq"])


async def acknowledge(session: Session, tenant: str, collection: str, consumer: str, cursor: Cursor) -> Cursor:
    """Moves a consumer forward, never back; another incarnation counts as forward. Returns where it is."""
    row = await session.row(
        "INSERT INTO pergola.consumers AS c (tenant, collection, consumer, incarnation, seq)"
        " VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (tenant, collection, consumer) DO UPDATE SET incarnation = EXCLUDED.incarnation,"
        " seq = CASE WHEN c.incarnation = EXCLUDED.incarnation"
        " THEN greatest(c.seq, EXCLUDED.seq) ELSE EXCLUDED.seq END,"
        " acknowledged = now() RETURNING incarnation, seq",
        tenant,
        collection,
        consumer,
        cursor.incarnation,
        cursor.seq,
    )
    assert row is not None  # noqa: S101 - an upsert without a condition always returns its row
    return Cursor(row["incarnation"], row["seq"])


async def page(session: Session, collection: Collection, head: int, after: str, size: int) -> list[Consumer]:
    """Consumers behind the name `after`, in the order of their names; `head`: number of the last change.

    One that has acknowledged an earlier collection of this name alone is behind by everything.
    """
    rows = await session.fetch(
        "SELECT consumer, incarnation, seq, extract(epoch FROM now() - acknowledged)::float8 AS silent,"
        " CASE WHEN split_part(incarnation, '.', 1) = $2 THEN greatest(0, $3 - seq) ELSE $3 END AS lag"
        " FROM pergola.consumers WHERE collection = $1 AND consumer > $4 ORDER BY consumer LIMIT $5",
        collection.name,
        collection.incarnation,
        head,
        after,
        size,
    )
    return [
        Consumer(
            name=row["consumer"],
            cursor=Cursor(row["incarnation"], row["seq"]),
            lag=row["lag"],
            silent=max(0.0, row["silent"]),
        )
        for row in rows
    ]


async def drop_silent(session: Session, collection: Collection, head: int, seconds: float) -> list[str]:
    """Forgets consumers that have been behind and silent for so long; returns their names."""
    rows = await session.fetch(
        "DELETE FROM pergola.consumers WHERE collection = $1 AND acknowledged < now() - make_interval(secs => $2)"
        " AND (seq < $3 OR split_part(incarnation, '.', 1) <> $4) RETURNING consumer",
        collection.name,
        seconds,
        head,
        collection.incarnation,
    )
    return [row["consumer"] for row in rows]


async def slowest(session: Session, collection: Collection) -> int | None:
    """Number up to which all consumers have acknowledged; None: there are none."""
    found: int | None = await session.value(
        "SELECT min(seq) FROM pergola.consumers WHERE collection = $1 AND split_part(incarnation, '.', 1) = $2",
        collection.name,
        collection.incarnation,
    )
    return found
