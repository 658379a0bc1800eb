"""Vectors that are kept with a collection, by the hash of the text they were made from."""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

from collections.abc import Mapping, Sequence
from typing import Final

from services.vector.model import Collection, Vector
from services.vector.stores.database.codecs import packed
from services.vector.stores.database.connections import Session
from services.vector.stores.points.layout import Layout

_DAYS: Final = 7
"""How exactly it is known when a text was asked for last: a row is not written anew at each question."""


async def find(session: Session, collection: Collection, hashes: Sequence[bytes]) -> dict[bytes, Vector]:
    """The vectors there are of these hashes; remembers that they were asked for."""
    kept = Layout(collection.id)["kept"]
    rows = await session.fetch(
        f"SELECT hash, embedding, asked < current_date - {_DAYS} AS old FROM {kept} WHERE hash = ANY($1::bytea[])",
        list(hashes),
    )
    if old := sorted(row["hash"] for row in rows if row["old"]):
        await session.execute(f"UPDATE {kept} SET asked = current_date WHERE hash = ANY($1::bytea[])", old)
    return {row["hash"]: row["embedding"] for row in rows}


async def keep(session: Session, collection: Collection, vectors: Mapping[bytes, Vector]) -> None:
    """Keeps vectors; one that is there already stays."""
    # In one order, so that two that keep the same texts don't wait for each other in a ring.
    hashes = sorted(vectors)
    await session.execute(
        f"INSERT INTO {Layout(collection.id)['kept']} (hash, embedding)"
        " SELECT hash, embedding FROM unnest($1::bytea[], $2::halfvec[]) AS k (hash, embedding)"
        " ON CONFLICT (hash) DO NOTHING",
        hashes,
        [packed(vectors[one], "halfvec") for one in hashes],
    )


async def sweep(session: Session, collection: Collection, spare: int, a_point: int) -> int:
    """Forgets what was not asked for longest, down to `a_point` vectors a point and `spare` more; returns how many."""
    t = Layout(collection.id)
    estimate: float = await session.value("SELECT reltuples FROM pg_class WHERE oid = $1::text::regclass", t["kept"])
    points: int = await session.value(f"SELECT points FROM {t['head']}")
    most = spare + a_point * points
    # The estimate of the last ANALYZE: counting every time would read the whole table for nothing.
    if estimate <= most:
        return 0
    gone = await session.fetch(
        f"DELETE FROM {t['kept']} WHERE hash IN (SELECT hash FROM {t['kept']} ORDER BY asked DESC, hash OFFSET $1)"
        " RETURNING 1",
        most,
    )
    return len(gone)
