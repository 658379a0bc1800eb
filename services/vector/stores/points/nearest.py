"""The nearest points of one vector, or of several in one statement: the search that is asked most, kept lean.

Everything that narrows or fuses is search.py's; the answers are the same. Settings of the index scan are the session's
(connections.py), so `k` may be EF at most. `k` stands in the text, because a plan made for an unknown one would expect
a tenth of the table.
"""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

from collections.abc import Sequence
from functools import lru_cache

from services.vector.model import Collection, ScoredPoint, Vector
from services.vector.stores.database import codecs
from services.vector.stores.database.connections import EF, Record, Session
from services.vector.stores.points.fusing import SCORES
from services.vector.stores.points.layout import OPERATORS, Layout
from services.vector.stores.points.writing import COLUMNS, point

MOST = EF
"""The largest `k`: an index scan brings no more at once."""


async def find(
    session: Session, collection: Collection, vectors: Sequence[Vector], k: int, *, with_payload: bool = True
) -> list[list[ScoredPoint]]:
    """For each vector (float32, the collection's dimension) the `k` nearest points, best first; `k` is MOST at most.

    Raises CollectionNotFound.
    """
    if len(vectors) == 1:
        rows = await session.fetch(statement(collection, k, with_payload), vectors[0])
        return [[_scored(row, with_payload) for row in rows]]
    # asyncpg would take an array of numbers for a dimension more of the array of vectors.
    packed = [codecs.packed(vector, collection.storage) for vector in vectors]
    answers: list[list[ScoredPoint]] = [[] for _ in vectors]
    for row in await session.fetch(_several(collection, k, with_payload), packed):
        answers[row["place"] - 1].append(_scored(row, with_payload))
    return answers


@lru_cache(maxsize=512)
def statement(collection: Collection, k: int, with_payload: bool = True) -> str:
    return f"""
        SELECT {SCORES[collection.distance]} AS score, {_columns(with_payload)}
        FROM ({_near(collection, "$1", k)}) near JOIN {Layout(collection.id)["point"]} p USING (n)
        ORDER BY distance, p.id"""


@lru_cache(maxsize=512)
def _several(collection: Collection, k: int, with_payload: bool) -> str:
    return f"""
        SELECT q.place, {SCORES[collection.distance]} AS score, {_columns(with_payload)}
        FROM unnest($1::{collection.storage}[]) WITH ORDINALITY AS q (vector, place),
             LATERAL ({_near(collection, "q.vector", k)}) near JOIN {Layout(collection.id)["point"]} p USING (n)
        ORDER BY q.place, distance, p.id"""


def _columns(with_payload: bool) -> str:
    """What `point` reads: texts and payloads that nobody asked for are not even fetched."""
    return COLUMNS if with_payload else "p.id"


def _near(collection: Collection, vector: str, k: int) -> str:
    """The `k` nearest (n, distance), from the index and from what is not in it yet."""
    t = Layout(collection.id)
    distance = f"embedding {OPERATORS[collection.distance]} {vector}::{collection.storage}({collection.dimension})"
    parts = " UNION ALL ".join(
        f"(SELECT n, {distance} AS distance FROM {t[table]} ORDER BY {distance} LIMIT {k})"
        for table in ("vector", "delta")
    )
    return f"SELECT n, distance FROM ({parts}) both_parts ORDER BY distance, n LIMIT {k}"


def _scored(row: Record, with_payload: bool) -> ScoredPoint:
    score = row["score"]
    return ScoredPoint(point=point(row, with_payload=with_payload), score=score, dense_score=score, lexical_score=None)
