"""The change feed of a collection: read, and compacted when all have read it.

Compaction keeps of each point that there is the newest change, and drops deletions. What is left tells, from the
beginning, every point that there is. A consumer that stands before a deletion that was dropped can't be told of it, so
the number of the last of them is remembered in `head.forgotten`.
"""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

from dataclasses import dataclass

from services.vector.model import Change, Collection
from services.vector.stores.database.connections import Session
from services.vector.stores.points.layout import Layout
from services.vector.stores.points.writing import COLUMNS, embedding, point


@dataclass(frozen=True, slots=True)
class Read:
    """Changes, and the number of the last deletion that is gone from the feed, both of one moment."""

    changes: list[Change]
    forgotten: int


@dataclass(frozen=True, slots=True)
class Superseded:
    """Changes that can be dropped, in order; `final`: those of them that are a point's last word."""

    seqs: list[int]
    final: list[bool]


async def head(session: Session, collection: Collection) -> int:
    """Number of the collection's last change."""
    seq: int = await session.value(f"SELECT seq FROM {Layout(collection.id)['head']}")
    return seq


async def after(
    session: Session, collection: Collection, seq: int, limit: int, limit_bytes: int, *, with_vector: bool
) -> Read:
    """Changes behind `seq` in order, at most `limit`, cut where their passages and payloads pass `limit_bytes`.

    Changes and points are read in one statement, so they belong to one moment. A change whose point is gone by now is
    told as a deletion; the number of that deletion is still to come, and says the same again.
    """
    t = Layout(collection.id)
    vector = embedding(t) if with_vector else ""
    rows = await session.fetch(
        f"""
        SELECT h.forgotten, numbered.* FROM {t["head"]} h LEFT JOIN (
            SELECT c.seq AS change, c.id AS changed, c.deleted, {COLUMNS}{vector},
                   sum(coalesce(octet_length(p.passage), 0) + coalesce(pg_column_size(p.payload), 0))
                       OVER (ORDER BY c.seq) AS size, row_number() OVER (ORDER BY c.seq) AS place
            FROM (SELECT * FROM {t["change"]} WHERE seq > $1 ORDER BY seq LIMIT $2) c
            LEFT JOIN {t["point"]} p ON p.id = c.id AND NOT c.deleted
        ) numbered ON size <= $3 OR place = 1 ORDER BY change
        """,
        seq,
        limit,
        limit_bytes,
    )
    changes = [
        Change(row["change"], row["changed"], None if row["id"] is None else point(row))
        for row in rows
        if row["change"] is not None
    ]
    return Read(changes, rows[0]["forgotten"])


async def ripe(session: Session, collection: Collection, many: int, seconds: float) -> bool:
    """Whether at least `many` changes that were not looked at yet are older than `seconds`."""
    t = Layout(collection.id)
    found = await session.value(
        f"SELECT at < now() - make_interval(secs => $2) FROM {t['change']}"
        f" WHERE seq = (SELECT compacted + $1 FROM {t['head']})",
        many,
        seconds,
    )
    return bool(found)


async def limit(session: Session, collection: Collection, up_to: int, seconds: float, most: int) -> int:
    """Number of the last change, at most `up_to`, that is older than `seconds`; looks at the next `most`."""
    t = Layout(collection.id)
    found: int = await session.value(
        f"SELECT coalesce(max(seq), 0) FROM (SELECT seq, at FROM {t['change']}"
        f" WHERE seq > (SELECT compacted FROM {t['head']}) AND seq <= $1 ORDER BY seq LIMIT $3) c"
        " WHERE at < now() - make_interval(secs => $2)",
        up_to,
        seconds,
        most,
    )
    return found


async def superseded(session: Session, collection: Collection, up_to: int, most: int) -> Superseded:
    """Changes up to number `up_to` that nobody needs who has come that far: deletions, and all but a point's newest."""
    t = Layout(collection.id)
    rows = await session.fetch(
        "SELECT seq, deleted AND later IS NULL AS final FROM ("
        f" SELECT seq, deleted, lead(seq) OVER (PARTITION BY id ORDER BY seq) AS later FROM {t['change']}) c"
        " WHERE seq <= $1 AND (deleted OR later IS NOT NULL) ORDER BY seq LIMIT $2",
        up_to,
        most,
    )
    return Superseded([row["seq"] for row in rows], [row["final"] for row in rows])


async def drop(session: Session, collection: Collection, gone: Superseded) -> None:
    """Drops changes and remembers the last deletion among them, in one statement."""
    t = Layout(collection.id)
    await session.execute(
        f"WITH d AS (DELETE FROM {t['change']} WHERE seq = ANY($1::bigint[]))"
        f" UPDATE {t['head']} SET forgotten = greatest(forgotten, $2)",
        gone.seqs,
        max((seq for seq, final in zip(gone.seqs, gone.final, strict=True) if final), default=0),
    )


async def compacted(session: Session, collection: Collection, up_to: int) -> None:
    """Remembers that everything up to `up_to` was looked at."""
    await session.execute(
        f"UPDATE {Layout(collection.id)['head']} SET compacted = greatest(compacted, $1)",
        up_to,
    )
