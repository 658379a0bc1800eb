"""Reading the change feed, and remembering how far each consumer is."""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

from services.vector.model import Change, Collection, Cursor
from services.vector.stores.database.connections import Session
from services.vector.stores.points.layout import Layout
from services.vector.stores.points.writing import COLUMNS, embedding, point


async def head(session: Session, collection: Collection) -> int:
    """Number of the collection's last change."""
    seq: int = await session.value(f"SELECT seq FROM {Layout(collection.id)['head']}")
    return seq


async def after(
    session: Session, collection: Collection, seq: int, limit: int, limit_bytes: int, *, with_vector: bool
) -> list[Change]:
    """Changes behind `seq` in order, at most `limit`, cut where their passages and payloads pass `limit_bytes`.

    Changes and points are read in one statement, so they belong to one moment. A change whose point is gone by now is
    told as a deletion; the number of that deletion is still to come, and says the same again.
    """
    t = Layout(collection.id)
    vector = embedding(t) if with_vector else ""
    rows = await session.fetch(
        f"""
        SELECT * FROM (
            SELECT c.seq, c.id AS changed, c.deleted, {COLUMNS}{vector},
                   sum(coalesce(octet_length(p.passage), 0) + coalesce(pg_column_size(p.payload), 0))
                       OVER (ORDER BY c.seq) AS size
            FROM (SELECT * FROM {t["change"]} WHERE seq > $1 ORDER BY seq LIMIT $2) c
            LEFT JOIN {t["point"]} p ON p.id = c.id AND NOT c.deleted
        ) numbered WHERE size <= $3 OR seq = $1 + 1 ORDER BY seq
        """,
        seq,
        limit,
        limit_bytes,
    )
    return [Change(row["seq"], row["changed"], None if row["id"] is None else point(row)) for row in rows]


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
