"""The two arms of a search, each as CTEs of one statement, and how a filter narrows them.

BM25 as in Robertson and Zaragoza, "The Probabilistic Relevance Framework" (2009), with Lucene's never negative idf:
ln(1 + (N - n + 0.5) / (n + 0.5)).

The work of the lexical arm is bounded: points come in through the rarest words of the query, as many words as together
occur in at most CANDIDATES points (the rarest word always, up to CANDIDATES of its points); the words left only add to
the scores of those. When these are fewer than asked for, up to CANDIDATES points with the next rarest word join them;
when there still are too few, up to CANDIDATES with any of the words.

A filter is applied in one of two ways. Where few points fit, they are looked up first (CTE `fitting`) and compared
exactly: an index scan would have to pass by nearly all of the collection to meet them. Where many fit, each point that
the index brings is looked at, in a sub-select that gives a value: as a join it would lose the order of the index.
"""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

from dataclasses import dataclass
from typing import Final, Literal

from services.vector.model import Collection
from services.vector.stores.points import lexicon
from services.vector.stores.points.layout import OPERATORS, Layout

CANDIDATES: Final = 2000
MAX_EF: Final = 1000
"""pgvector's own limit of hnsw.ef_search."""
_EF: Final = 100
_EF_FILTERED: Final = 400
"""With a filter that follows the vectors, the nearest that fit lie behind many that don't: where half of 100,000 points
fit, 250 lost 0.4%."""
_SCANNED: Final = 200_000
"""Points an index scan may pass by before it gives up."""

Route = Literal["index", "exact"]


@dataclass(frozen=True, slots=True)
class Narrowed:
    """How a statement applies its filter."""

    layout: Layout
    condition: str = ""
    """SQL over `p`; empty: no filter."""
    first: bool = False
    """Whether the points that fit are looked up first."""

    def ctes(self) -> str:
        if not (self.condition and self.first):
            return ""
        return f"fitting AS MATERIALIZED (SELECT p.n FROM {self.layout['point']} p WHERE {self.condition}),"

    def holds(self, row: str) -> str:
        """The condition that a row of another table, with the same `n`, belongs to a point that fits."""
        if not self.condition:
            return "true"
        if self.first:
            return f"{row}.n IN (SELECT n FROM fitting)"
        return f"(SELECT {self.condition} FROM {self.layout['point']} p WHERE p.n = {row}.n)"


def width(k: int, ef: int | None, *, filtered: bool) -> int:
    """Width of the index search for the `k` nearest; `ef`: what was asked for."""
    return ef or min(MAX_EF, max(_EF_FILTERED if filtered else _EF, k))


def near(collection: Collection, vector: str, k: int, route: Route, ef: int | None, narrowed: Narrowed) -> str:
    """CTE `near` (n, distance): the `k` nearest, from the index and from what is not in it yet."""
    t = Layout(collection.id)
    distance = f"embedding {OPERATORS[collection.distance]} {vector}::{collection.storage}({collection.dimension})"
    if route == "exact":
        # The sum is no expression of the index, so that no plan uses it.
        parts = " UNION ALL ".join(
            f"SELECT n, ({distance}) + 0 AS distance FROM {t[table]} v WHERE {narrowed.holds('v')}"
            for table in ("vector", "delta")
        )
        return f"near AS (SELECT n, distance FROM ({parts}) both_parts ORDER BY distance, n LIMIT {k})"
    # `cfg` is read in a condition without columns, which runs before the index scan begins; the settings hold for
    # this statement alone. The scan is resumed: never fewer than k because of rows that were deleted. In strict order
    # it leaves out what it finds late and is nearer than what it has brought, which a filter makes common (1.6% where
    # half of 100,000 points fit). So with a filter the order is relaxed, and made here: the sum keeps the planner from
    # taking what the scan brings for sorted. k is part of the text, because a plan made for an unknown k would expect
    # a tenth of the table.
    order = "relaxed_order" if narrowed.condition else "strict_order"
    return f"""
        cfg AS MATERIALIZED (
            SELECT set_config('hnsw.ef_search', '{width(k, ef, filtered=bool(narrowed.condition))}', true) IS NOT NULL
               AND set_config('hnsw.max_scan_tuples', '{_SCANNED}', true) IS NOT NULL
               AND set_config('hnsw.iterative_scan', '{order}', true) IS NOT NULL AS ok),
        near AS (
            SELECT n, distance FROM (
                (SELECT n, ({distance}) + 0 AS distance FROM {t["vector"]} v WHERE (SELECT ok FROM cfg)
                 AND {narrowed.holds("v")} ORDER BY {distance} LIMIT {k})
                UNION ALL
                (SELECT n, {distance} AS distance FROM {t["delta"]} v WHERE {narrowed.holds("v")} ORDER BY 2 LIMIT {k})
            ) both_parts ORDER BY distance, n LIMIT {k})"""


def matching(
    collection: Collection, keys: str, terms: str, k: int, narrowed: Narrowed, *, complete: bool = False
) -> str:
    """CTE `matching` (n, score): a bounded number of points with words of the query, scored by BM25.

    `complete`: where these are too few, other points that fit come with the score 0.
    """
    t = Layout(collection.id)
    k1, b = f"{collection.k1}::float8", f"{collection.b}::float8"
    return f"""
        word AS MATERIALIZED (
            SELECT q.term, w.key, ln(1 + (h.points - w.points + 0.5) / (w.points + 0.5))::float8 AS idf,
                   greatest(h.words, 1)::float8 / greatest(h.points, 1) AS average,
                   sum(w.points) OVER rarest AS reached, row_number() OVER rarest AS place
            -- Behind a sub-select, arrays are of unknown length to the planner: the plan made for one question is then
            -- no better than one for all, which is kept. Planning anew would take 2 ms of every question.
            FROM unnest((SELECT {keys}::bytea[]), (SELECT {terms}::int[])) AS q (key, term)
                 JOIN {t["term"]} w USING (key), {t["head"]} h
            WHERE w.points > 0 WINDOW rarest AS (ORDER BY w.points, w.key)),
        rare AS MATERIALIZED (
            SELECT n, length, weights FROM {t["lexical"]} x
            WHERE {narrowed.holds("x")}
              AND terms && (SELECT array_agg(term) FROM word WHERE reached <= {CANDIDATES} OR place = 1)
            LIMIT {CANDIDATES}),
        next AS MATERIALIZED (
            -- Only when the rare words alone do not fill the answer.
            SELECT n, length, weights FROM {t["lexical"]} x
            WHERE {narrowed.holds("x")} AND n NOT IN (SELECT n FROM rare)
              AND terms && (SELECT ARRAY[term] FROM word WHERE reached > {CANDIDATES} AND place > 1
                            AND (SELECT count(*) FROM rare) < {k} ORDER BY place LIMIT 1) LIMIT {CANDIDATES}),
        rest AS MATERIALIZED (
            -- Only when that one does not either: a word brings fewer than it stands in where a filter leaves them out.
            SELECT n, length, weights FROM {t["lexical"]} x
            WHERE {narrowed.holds("x")} AND n NOT IN (SELECT n FROM rare UNION ALL SELECT n FROM next)
              AND terms && (SELECT array_agg(term) FROM word WHERE reached > {CANDIDATES} AND place > 1
                            AND (SELECT count(*) FROM rare) + (SELECT count(*) FROM next) < {k}) LIMIT {CANDIDATES}),
        candidate AS (SELECT * FROM rare UNION ALL SELECT * FROM next UNION ALL SELECT * FROM rest),
        {"with_words" if complete else "matching"} AS (
            SELECT n, sum(idf * count * ({k1} + 1) / (count + {k1} * (1 - {b} + {b} * length / average))) AS score
            FROM (SELECT n, length, idf, average, get_byte(weights, start + {lexicon.HASH_BYTES} - 1)::float8 AS count
                  FROM (SELECT n, length, weights, idf, average, position(key IN weights) AS start
                        -- Kept apart, so that the search for the word is done once.
                        FROM candidate, word OFFSET 0) found
                  WHERE start > 0 OFFSET 0) scored
            GROUP BY n){_others(t, k, narrowed) if complete else ""}"""


def _others(t: Layout, k: int, narrowed: Narrowed) -> str:
    return f""",
        matching AS (
            SELECT n, score FROM with_words UNION ALL
            SELECT n, 0 FROM (
                SELECT n FROM {t["lexical"]} x WHERE (SELECT count(*) FROM with_words) < {k} AND {narrowed.holds("x")}
                AND n NOT IN (SELECT n FROM with_words) LIMIT {k}) others)"""
