"""Writing points: payload, vector, words, statistics and the change feed, all in the caller's transaction."""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from services.vector.model import Chunk, Collection, Point, Vector, Words
from services.vector.stores.database.connections import Record, Session
from services.vector.stores.points import lexicon, wire
from services.vector.stores.points.layout import SCHEMA, Layout
from services.vector.stores.points.lexicon import HASH_BYTES
from services.vector.stores.points.terms import packing
from services.vector.text import words

_PACKED: Final = 250
"""Points whose words are packed while those of as many others are written."""
COLUMNS = (
    "p.n, p.id, p.document, p.title, p.passage, p.position, p.heading_path, p.start_offset, p.end_offset,"
    " p.page, p.payload, p.before"
)


@dataclass(slots=True)
class Write:
    """A point to be stored."""

    point: Point
    text: str = ""
    """What its vector and its words are made from."""
    words: Words | None = None
    """None: they are made when it is stored."""
    vector: Vector | None = None


@dataclass(slots=True)
class Sums:
    """What a transaction changes about a collection; written once, at its end, by `publish`."""

    upserted: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    points: int = 0
    documents: int = 0
    words: int = 0
    terms: Counter[bytes] = field(default_factory=Counter)
    """By the word's key, in how many points more it stands."""
    names: dict[bytes, str] = field(default_factory=dict)
    """The words of those keys that are new in some point."""


async def delete_of_documents(
    session: Session, collection: Collection, documents: Sequence[str], sums: Sums, taken: Sequence[str] = ()
) -> None:
    """Removes all points of these documents, and those of the ids `taken` by whomever: a document's points win."""
    t = Layout(collection.id)
    rows = await session.fetch(
        f"DELETE FROM {t['point']} WHERE document = ANY($1::text[]) OR id = ANY($2::text[]) RETURNING n, id",
        list(documents),
        list(taken),
    )
    await delete_rest(session, collection, rows, sums)


async def delete_rest(session: Session, collection: Collection, rows: Sequence[Record], sums: Sums) -> None:
    """Removes vectors and words of points (n, id) whose rows in `point` the caller has removed."""
    t = Layout(collection.id)
    numbers = [row["n"] for row in rows]
    if not numbers:
        return
    # Two statements, in this order: a merge may be moving a vector from the one to the other. The first waits for it,
    # the second then sees what it moved (merging.py).
    await session.execute(f"DELETE FROM {t['delta']} WHERE n = ANY($1::bigint[])", numbers)
    await session.execute(f"DELETE FROM {t['vector']} WHERE n = ANY($1::bigint[])", numbers)
    gone = await session.fetch(
        f"DELETE FROM {t['lexical']} WHERE n = ANY($1::bigint[]) RETURNING length, weights", numbers
    )
    sums.deleted.extend(row["id"] for row in rows)
    sums.points -= len(rows)
    for row in gone:
        sums.words -= row["length"]
        sums.terms.subtract(lexicon.keys(row["weights"]))


async def insert(session: Session, collection: Collection, writes: Sequence[Write], sums: Sums) -> None:
    """Stores points whose ids are free."""
    if not writes:
        return
    t = Layout(collection.id)
    numbers = [
        row["n"]
        for row in await session.fetch(f"SELECT nextval('{t['n']}') AS n FROM generate_series(1, $1::int)", len(writes))
    ]
    # Rows are made in threads: for a large document that takes longer than the event loop has time.
    points, vectors = await asyncio.to_thread(_rows, collection, numbers, writes)
    parts = [slice(first, first + _PACKED) for first in range(0, len(writes), _PACKED)]
    # The server writes points while their words are packed.
    packed: list[asyncio.Task[bytes]] = []
    for part in parts:
        before = packed[-1] if packed else None
        packed.append(asyncio.create_task(_after(before, collection, numbers[part], writes[part], sums)))
    try:
        await session.copy(SCHEMA, t.bare("point"), wire.POINT, points)
        await session.copy(SCHEMA, t.bare("delta"), wire.DELTA, vectors)
        for task in packed:
            await session.copy(SCHEMA, t.bare("lexical"), wire.LEXICAL, await task)
    finally:
        for task in packed:
            task.cancel()
    sums.upserted.extend(write.point.id for write in writes)
    sums.points += len(writes)


async def publish(session: Session, collection: Collection, sums: Sums) -> int:
    """Numbers the changes and writes the sums: the last statement before COMMIT.

    From here on every other writer of the collection waits for the row in `head`, which is what makes the numbers
    gapless and their order that of the commits. Returns the number of the last change.
    """
    t = Layout(collection.id)
    upserted = set(sums.upserted)
    # A point that was replaced is not told as deleted first.
    deleted = [one for one in sums.deleted if one not in upserted]
    # In the order of the index on them, which is quicker.
    keys = sorted(key for key, points in sums.terms.items() if points)
    seq: int = await session.value(
        f"""
        WITH h AS (
            UPDATE {t["head"]} SET seq = seq + cardinality($1::text[]) + cardinality($2::text[]),
                points = points + $3, documents = documents + $4, words = words + $5
            RETURNING seq
        ), changed AS (
            INSERT INTO {t["change"]} (seq, id, deleted)
            SELECT h.seq - cardinality($1::text[]) - cardinality($2::text[]) + place, id,
                   place <= cardinality($2::text[])
            FROM h, unnest($2::text[] || $1::text[]) WITH ORDINALITY AS c (id, place)
        ), counted AS (
            -- Reads h, so that it comes after the lock: two writers can't wait for each other on words.
            -- A word that is only taken away is there already, so its name does not matter.
            -- Keys are packed and the rest are texts: asyncpg takes long over the elements of an array.
            INSERT INTO {t["term"]} AS old (key, word, points)
            SELECT substring($6::bytea FROM (place::int - 1) * {HASH_BYTES} + 1 FOR {HASH_BYTES}),
                   coalesce(word, ''), points
            FROM h, unnest(string_to_array($7::text, E'\\n'), string_to_array($8::text, ',')::int[])
                WITH ORDINALITY AS w (word, points, place)
            ON CONFLICT (key) DO UPDATE SET points = old.points + EXCLUDED.points
        )
        SELECT seq FROM h
        """,
        sums.upserted,
        deleted,
        sums.points,
        sums.documents,
        sums.words,
        b"".join(keys),
        "\n".join([sums.names.get(key, "") for key in keys]),
        ",".join([str(sums.terms[key]) for key in keys]),
    )
    return seq


async def get(session: Session, collection: Collection, ids: Sequence[str], *, with_vector: bool) -> list[Point]:
    """The points of these ids that exist, in any order."""
    t = Layout(collection.id)
    vector = embedding(t) if with_vector else ""
    rows = await session.fetch(f"SELECT {COLUMNS}{vector} FROM {t['point']} p WHERE p.id = ANY($1::text[])", list(ids))
    return [point(row) for row in rows]


def embedding(t: Layout) -> str:
    """One more column: the vector of a point `p`, wherever it is."""
    return (
        f", coalesce((SELECT embedding FROM {t['delta']} d WHERE d.n = p.n),"
        f" (SELECT embedding FROM {t['vector']} v WHERE v.n = p.n)) AS embedding"
    )


def point(row: Record, *, with_payload: bool = True) -> Point:
    """The point in a row of COLUMNS, and of `embedding` where it was asked for."""
    chunk = None
    if with_payload and row["document"] is not None:
        chunk = Chunk(
            document=row["document"],
            title=row["title"],
            text=row["passage"],
            index=row["position"],
            heading_path=tuple(row["heading_path"]),
            start=row["start_offset"],
            end=row["end_offset"],
            page=row["page"] or 0,
            before=row["before"] or "",
        )
    return Point(
        id=row["id"],
        payload=msgspec.json.decode(row["payload"]) if with_payload else {},
        chunk=chunk,
        text=row["passage"] if with_payload and row["document"] is None and row["passage"] is not None else "",
        vector=row.get("embedding"),
    )


def _rows(collection: Collection, numbers: Sequence[int], writes: Sequence[Write]) -> tuple[bytes, bytes]:
    """Rows of `point` and of `delta`."""
    vectors = [write.vector for write in writes if write.vector is not None]
    return (
        wire.points(numbers, [write.point for write in writes]),
        wire.vectors(numbers, vectors, collection.storage),
    )


async def _after(
    before: "asyncio.Task[Any] | None",
    collection: Collection,
    numbers: Sequence[int],
    writes: Sequence[Write],
    sums: Sums,
) -> bytes:
    """`_packed` in a thread, after the part before: two at once would only stand in each other's way."""
    if before is not None:
        await before
    return await asyncio.to_thread(_packed, collection, numbers, writes, sums)


def _packed(collection: Collection, numbers: Sequence[int], writes: Sequence[Write], sums: Sums) -> bytes:
    """Rows of `lexical`; what they add to the sums is added there."""
    every = [
        words.of_passage(write.text, collection.language) if write.words is None else write.words for write in writes
    ]
    packed = packing.pack(every)
    sums.words += sum(one.length for one in every)
    sums.names.update(zip(packed.keys, packed.words, strict=True))
    sums.terms.update(dict(zip(packed.keys, packed.passages, strict=True)))
    return wire.words(numbers, every, packed)
