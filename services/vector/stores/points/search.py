"""Finding points: the nearest by vector, the best by BM25, and both fused, each in one statement.

BM25 as in Robertson and Zaragoza, "The Probabilistic Relevance Framework" (2009), with Lucene's never negative idf:
ln(1 + (N - n + 0.5) / (n + 0.5)). Fusion by reciprocal rank (Cormack et al. 2009).

The work of the lexical arm is bounded: points come in through the rarest words of the query, as many words as together
occur in at most CANDIDATES points (the rarest word always, up to CANDIDATES of its points); the words left only add to
the scores of those. When these are fewer than asked for, up to CANDIDATES points with any of the words join them.
"""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

from collections.abc import Sequence
from typing import Final

from services.vector.model import Collection, Distance, ScoredPoint, Vector
from services.vector.stores.database.connections import Record, Session
from services.vector.stores.points import lexicon
from services.vector.stores.points.layout import OPERATORS, Layout
from services.vector.stores.points.writing import COLUMNS, point

CANDIDATES: Final = 2000
RRF: Final = 60
"""Constant of the fusion: how much the first ranks stand out."""
_DEPTH: Final = 50
"""Each arm of a hybrid search looks at least this deep."""
_MAX_EF: Final = 1000
"""pgvector's own limit of hnsw.ef_search."""

_SCORES: Final[dict[Distance, str]] = {"cosine": "1 - distance", "inner_product": "- distance", "l2": "- distance"}


async def dense(
    session: Session, collection: Collection, vector: Vector, k: int, *, with_vector: bool, with_payload: bool
) -> list[ScoredPoint]:
    """The `k` nearest."""
    sql = f"""
        WITH {_near(collection, "$1", _step(k))},
        best AS (SELECT n, {_SCORES[collection.distance]} AS dense FROM near ORDER BY distance, n LIMIT $2)
        SELECT dense AS score, dense, NULL::float8 AS lexical, {_columns(collection, with_vector)}
        FROM best JOIN {Layout(collection.id)["point"]} p USING (n) ORDER BY dense DESC, p.id
    """
    return _found(await session.fetch(sql, vector, k), with_payload)


async def lexical(
    session: Session, collection: Collection, terms: Sequence[str], k: int, *, with_vector: bool, with_payload: bool
) -> list[ScoredPoint]:
    """The `k` best by BM25; points without any of the words are not found."""
    sql = f"""
        WITH {_matching(collection, "$1", "$2", _step(k))},
        best AS (SELECT n, score AS lexical FROM matching ORDER BY score DESC, n LIMIT $3)
        SELECT lexical AS score, NULL::float8 AS dense, lexical, {_columns(collection, with_vector)}
        FROM best JOIN {Layout(collection.id)["point"]} p USING (n) ORDER BY lexical DESC, p.id
    """
    return _found(await session.fetch(sql, *_keys(terms), k), with_payload)


async def hybrid(
    session: Session,
    collection: Collection,
    vector: Vector,
    terms: Sequence[str],
    k: int,
    *,
    with_vector: bool,
    with_payload: bool,
) -> list[ScoredPoint]:
    """The `k` best by the ranks that both searches give."""
    depth = _step(max(k, _DEPTH))
    sql = f"""
        WITH {_near(collection, "$1", depth)}, {_matching(collection, "$2", "$3", depth)},
        d AS (SELECT n, {_SCORES[collection.distance]} AS dense, row_number() OVER (ORDER BY distance, n) AS rank
              FROM near),
        l AS (SELECT n, score AS lexical, row_number() OVER (ORDER BY score DESC, n) AS rank
              FROM matching ORDER BY score DESC, n LIMIT {depth}),
        best AS (SELECT n, coalesce(1.0::float8 / ({RRF} + d.rank), 0) + coalesce(1.0::float8 / ({RRF} + l.rank), 0)
                 AS score, d.dense, l.lexical FROM d FULL JOIN l USING (n) ORDER BY score DESC, n LIMIT $4)
        SELECT score, dense, lexical, {_columns(collection, with_vector)}
        FROM best JOIN {Layout(collection.id)["point"]} p USING (n) ORDER BY score DESC, p.id
    """
    return _found(await session.fetch(sql, vector, *_keys(terms), k), with_payload)


def _near(collection: Collection, vector: str, k: int) -> str:
    """CTE `near` (n, distance): the `k` nearest, from the index and from what is not in it yet."""
    t = Layout(collection.id)
    operator = OPERATORS[collection.distance]
    distance = f"embedding {operator} {vector}::{collection.storage}({collection.dimension})"
    # `cfg` is read in a condition without columns, which runs before the index scan begins; the settings hold for
    # this statement alone. Strict order with a resumed scan: never fewer than k because of rows that were deleted.
    # k is part of the text, because a plan made for an unknown k would expect a tenth of the table.
    return f"""
        cfg AS MATERIALIZED (
            SELECT set_config('hnsw.ef_search', '{min(_MAX_EF, max(100, k))}', true) IS NOT NULL
               AND set_config('hnsw.iterative_scan', 'strict_order', true) IS NOT NULL AS ok),
        near AS (
            SELECT n, distance FROM (
                (SELECT n, {distance} AS distance FROM {t["vector"]} WHERE (SELECT ok FROM cfg)
                 ORDER BY {distance} LIMIT {k})
                UNION ALL
                (SELECT n, {distance} AS distance FROM {t["delta"]} ORDER BY 2 LIMIT {k})
            ) both_parts ORDER BY distance, n LIMIT {k})"""


def _matching(collection: Collection, keys: str, terms: str, k: int) -> str:
    """CTE `matching` (n, score): a bounded number of points with words of the query, scored by BM25."""
    t = Layout(collection.id)
    k1, b = f"{collection.k1}::float8", f"{collection.b}::float8"
    return f"""
        word AS MATERIALIZED (
            SELECT q.term, w.key, ln(1 + (h.points - w.points + 0.5) / (w.points + 0.5))::float8 AS idf,
                   greatest(h.words, 1)::float8 / greatest(h.points, 1) AS average,
                   sum(w.points) OVER rarest AS reached, row_number() OVER rarest AS place
            FROM unnest({keys}::bytea[], {terms}::int[]) AS q (key, term) JOIN {t["term"]} w USING (key), {t["head"]} h
            WHERE w.points > 0 WINDOW rarest AS (ORDER BY w.points, w.key)),
        rare AS MATERIALIZED (
            SELECT n, length, weights FROM {t["lexical"]}
            WHERE terms && (SELECT array_agg(term) FROM word WHERE reached <= {CANDIDATES} OR place = 1)
            LIMIT {CANDIDATES}),
        more AS MATERIALIZED (
            -- Only when the rare words alone do not fill the answer.
            SELECT n, length, weights FROM {t["lexical"]}
            WHERE terms && (SELECT coalesce(array_agg(term), '{{}}') FROM word
                            WHERE (SELECT count(*) FROM rare) < {k}) LIMIT {CANDIDATES}),
        candidate AS (SELECT * FROM rare UNION SELECT * FROM more),
        matching AS (
            SELECT n, sum(idf * count * ({k1} + 1) / (count + {k1} * (1 - {b} + {b} * length / average))) AS score
            FROM (SELECT n, length, idf, average, get_byte(weights, start + {lexicon.HASH_BYTES} - 1)::float8 AS count
                  FROM (SELECT n, length, weights, idf, average, position(key IN weights) AS start
                        -- Kept apart, so that the search for the word is done once.
                        FROM candidate, word OFFSET 0) found
                  WHERE start > 0 OFFSET 0) scored
            GROUP BY n)"""


def _columns(collection: Collection, with_vector: bool) -> str:
    if not with_vector:
        return COLUMNS
    t = Layout(collection.id)
    return (
        f"{COLUMNS}, coalesce((SELECT embedding FROM {t['delta']} e WHERE e.n = p.n),"
        f" (SELECT embedding FROM {t['vector']} e WHERE e.n = p.n)) AS embedding"
    )


def _keys(terms: Sequence[str]) -> tuple[list[bytes], list[int]]:
    keys = [lexicon.key(term) for term in terms]
    return keys, [lexicon.number(key) for key in keys]


def _step(k: int) -> int:
    """`k` rounded up to a power of two, so that there are few different texts, and each is prepared once."""
    return 1 << max(4, (k - 1).bit_length())


def _found(rows: Sequence[Record], with_payload: bool) -> list[ScoredPoint]:
    return [
        ScoredPoint(
            point=point(row, with_payload=with_payload),
            score=row["score"],
            dense_score=row["dense"],
            lexical_score=row["lexical"],
        )
        for row in rows
    ]
