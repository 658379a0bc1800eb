"""Writes the order of words for points that were stored before there was one, so that phrases are found in them."""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

import asyncio
from collections.abc import Sequence
from typing import Final

from services.vector.model import Collection
from services.vector.stores.database.connections import Database, Record
from services.vector.stores.points import lexicon
from services.vector.stores.points.layout import Layout
from services.vector.text import words

_BATCH: Final = 500


async def fill(database: Database, collection: Collection) -> bool:
    """Fills what is missing, a batch a transaction; returns whether nothing is missing any more.

    Points that somebody else has locked are passed over. Raises CollectionNotFound, StoreUnavailable.
    """
    t = Layout(collection.id)
    after = 0
    while True:
        async with database.transaction(collection.tenant) as session:
            rows = await session.fetch(
                f"SELECT l.n, p.document, p.title, p.heading_path, p.passage"
                f" FROM {t['lexical']} l JOIN {t['point']} p USING (n)"
                f" WHERE l.n > $1 AND l.sequence IS NULL ORDER BY l.n LIMIT {_BATCH} FOR UPDATE OF l SKIP LOCKED",
                after,
            )
            if not rows:
                missing = f"SELECT EXISTS (SELECT FROM {t['lexical']} WHERE sequence IS NULL)"
                return not await session.value(missing)
            sequences = await asyncio.to_thread(_sequences, collection, rows)
            await session.execute(
                f"UPDATE {t['lexical']} l SET sequence = s.sequence"
                " FROM unnest($1::bigint[], $2::bytea[]) AS s (n, sequence) WHERE l.n = s.n",
                [row["n"] for row in rows],
                sequences,
            )
        after = rows[-1]["n"]


def _sequences(collection: Collection, rows: Sequence[Record]) -> list[bytes]:
    return [lexicon.sequence(words.in_order(_text(row), collection.language)) for row in rows]


def _text(row: Record) -> str:
    """What the words of a point are from: title and headings stand above the passage of a document."""
    if row["document"] is None:
        return row["passage"] or ""
    title, path = row["title"] or "", row["heading_path"] or []
    above = [title, *(path[1:] if path and path[0] == title else path)]
    return "\n".join([*above, row["passage"] or ""])
