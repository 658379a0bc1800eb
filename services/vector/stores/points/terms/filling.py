"""Writes what older versions did not for points that they stored: the order of words, without which no phrase is found
in them, and outlines, without which they are scored whatever they are worth."""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

import asyncio
from collections.abc import Sequence
from typing import Final

from services.vector.model import Collection
from services.vector.stores.database.connections import Database, Record
from services.vector.stores.points import lexicon
from services.vector.stores.points.layout import Layout
from services.vector.stores.points.terms import outlines
from services.vector.text import words

_BATCH: Final = 500
_MISSING: Final = "(l.sequence IS NULL OR (l.once IS NULL AND l.again IS NULL))"


async def fill(database: Database, collection: Collection) -> bool:
    """Fills what is missing, a batch a transaction; returns whether nothing is missing any more.

    Points that somebody else has locked are passed over. Raises CollectionNotFound, StoreUnavailable.
    """
    t = Layout(collection.id)
    after = 0
    while True:
        async with database.transaction(collection.tenant) as session:
            rows = await session.fetch(
                f"SELECT l.n, l.weights, l.sequence, p.document, p.title, p.heading_path, p.passage"
                f" FROM {t['lexical']} l JOIN {t['point']} p USING (n)"
                f" WHERE l.n > $1 AND {_MISSING}"
                f" ORDER BY l.n LIMIT {_BATCH} FOR UPDATE OF l SKIP LOCKED",
                after,
            )
            if not rows:
                return not await session.value(f"SELECT EXISTS (SELECT FROM {t['lexical']} l WHERE {_MISSING})")
            await session.execute(
                f"UPDATE {t['lexical']} l SET (sequence, once, again, times) ="
                " (s.sequence, s.once, s.again, s.times) FROM unnest($1::bigint[], $2::bytea[], $3::sparsevec[],"
                " $4::sparsevec[], $5::sparsevec[]) AS s (n, sequence, once, again, times) WHERE l.n = s.n",
                *await asyncio.to_thread(_filled, collection, rows),
            )
        after = rows[-1]["n"]


def _filled(collection: Collection, rows: Sequence[Record]) -> list[list[object]]:
    """Their numbers, sequences and outlines, each as a column."""
    made = outlines.outlines([row["weights"] for row in rows])
    return [
        [row["n"] for row in rows],
        [row["sequence"] if row["sequence"] is not None else _sequence(collection, row) for row in rows],
        [one.once for one in made],
        [one.again for one in made],
        [one.times for one in made],
    ]


def _sequence(collection: Collection, row: Record) -> bytes:
    return lexicon.sequence(words.in_order(_text(row), collection.language))


def _text(row: Record) -> str:
    """What the words of a point are from: title and headings stand above the passage of a document."""
    if row["document"] is None:
        return row["passage"] or ""
    title, path = row["title"] or "", row["heading_path"] or []
    above = [title, *(path[1:] if path and path[0] == title else path)]
    return "\n".join([*above, row["passage"] or ""])
