"""The lexical arm of a search: points with words of the question, scored by BM25, as CTEs of one statement.

BM25 as in Robertson and Zaragoza, "The Probabilistic Relevance Framework" (2009), with Lucene's never negative idf:
ln(1 + (N - n + 0.5) / (n + 0.5)).

The work is bounded: points come in through the rarest words of the query, as many words as together occur in at most
CANDIDATES points (the rarest word always, up to CANDIDATES of its points); the words left only add to the scores of
those. When these are fewer than asked for, up to CANDIDATES points with the next rarest word join them; when there
still are too few, up to CANDIDATES with any of the words.

Of the candidates, those that can't be among the best are left out before words are looked for in them: what their
outlines (outlines.py) give is not less than their score. Those with the highest bounds are scored exactly, and then the
others whose bound reaches the lowest of these scores. So the answer is that of scoring all.

The bound: with r = k1 (1 - b + b length / average), a word that stands c times adds idf (k1 + 1) c / (c + r). For words
that stand once that is what the bound has. For the others let a be the sum of their idf, and t that of idf times count.
The function is concave in c, so they add at most what they would if each stood t/a times; for one of them that is its
score.
"""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

from typing import Final

from services.vector.model import Collection
from services.vector.stores.points import lexicon
from services.vector.stores.points.arms import Narrowed
from services.vector.stores.points.layout import Layout
from services.vector.stores.points.terms import outlines

CANDIDATES: Final = 1500
"""Among 100,000 points 98% of the ten best by every point's score are found, as with 2,000; with 1,000 it is 96%."""
_ROUNDED: Final = 0.9999
"""Bounds are sums of numbers of 32 bits: of up to 64 words they are wrong by less than a hundred-thousandth."""


def matching(
    collection: Collection,
    keys: str,
    terms: str,
    k: int,
    narrowed: Narrowed,
    *,
    complete: bool = False,
    all_scored: bool = False,
) -> str:
    """CTE `matching` (n, score): the best `k` of a bounded number of points with words of the query, and some others.

    `all_scored`: all of those candidates. `complete`: that, and where these are too few, other points that fit come
    with the score 0.
    """
    t = Layout(collection.id)
    fits = narrowed.holds("x")
    common = f"FROM word WHERE reached > {CANDIDATES} AND place > 1"
    rare = f"{fits} AND terms && (SELECT array_agg(term) FROM word WHERE reached <= {CANDIDATES} OR place = 1)"
    # Not by counting: k rows say enough.
    too_few = "NOT EXISTS (SELECT FROM ({}) r OFFSET " + f"{k - 1} LIMIT 1)"
    so_far = "SELECT n FROM rare UNION ALL SELECT n FROM next"
    following = f"""{fits} AND n NOT IN (SELECT n FROM rare)
                    AND terms && (SELECT ARRAY[term] {common} AND {too_few.format("SELECT n FROM rare")}
                                  ORDER BY place LIMIT 1)"""
    rest = f"""{fits} AND n NOT IN ({so_far})
               AND terms && (SELECT array_agg(term) {common} AND {too_few.format(so_far)})"""
    candidates = f"""
        word AS MATERIALIZED (
            SELECT q.term, w.key, ln(1 + (h.points - w.points + 0.5) / (w.points + 0.5))::float8 AS idf,
                   greatest(h.words, 1)::float8 / greatest(h.points, 1) AS average,
                   sum(w.points) OVER rarest AS reached, row_number() OVER rarest AS place
            -- Behind a sub-select, arrays are of unknown length to the planner: the plan made for one question is then
            -- no better than one for all, which is kept. Planning anew would take 2 ms of every question.
            FROM unnest((SELECT {keys}::bytea[]), (SELECT {terms}::int[])) AS q (key, term)
                 JOIN {t["term"]} w USING (key), {t["head"]} h
            WHERE w.points > 0 WINDOW rarest AS (ORDER BY w.points, w.key)),
        asked AS MATERIALIZED (
            SELECT ('{{' || string_agg(place || ':' || idf, ',') || '}}/{outlines.PLACES}')::sparsevec AS words,
                   max(average) AS average
            FROM (SELECT {outlines.place("term")} AS place, sum(idf) AS idf, max(average) AS average
                  FROM word GROUP BY 1) w),
        rare AS MATERIALIZED ({_bounded(collection, rare)}),
        -- Only when the rare words alone do not fill the answer.
        next AS MATERIALIZED ({_bounded(collection, following)}),
        -- Only when that one does not either: a word brings fewer than it stands in where a filter leaves them out.
        rest AS MATERIALIZED ({_bounded(collection, rest)}),
        candidate AS NOT MATERIALIZED (SELECT * FROM rare UNION ALL SELECT * FROM next UNION ALL SELECT * FROM rest),"""
    every = _scored(collection, "SELECT at FROM candidate")
    if complete:
        return f"""{candidates}
        with_words AS ({every}),
        matching AS (
            SELECT n, score FROM with_words UNION ALL
            SELECT n, 0 FROM (
                SELECT n FROM {t["lexical"]} x WHERE (SELECT count(*) FROM with_words) < {k} AND {fits}
                AND n NOT IN (SELECT n FROM with_words) LIMIT {k}) others)"""
    if all_scored:
        return f"{candidates} matching AS ({every})"
    highest = _scored(collection, f"SELECT at FROM candidate ORDER BY bound DESC LIMIT {k}")
    least = f"SELECT CASE WHEN count(*) < {k} THEN 0 ELSE min(score) * {_ROUNDED} END FROM first"
    others = _scored(
        collection, f"SELECT at FROM candidate WHERE bound >= ({least}) AND n NOT IN (SELECT n FROM first)"
    )
    return f"""{candidates}
        first AS MATERIALIZED ({highest}),
        matching AS (SELECT n, score FROM first UNION ALL {others})"""


def _bounded(collection: Collection, condition: str) -> str:
    """Points `x` that meet the condition, CANDIDATES at most: n, where their row is (`at`), the bound of their score.

    Without an outline, as in a row that an older version wrote, the score may be any.
    """
    k1, b = f"{collection.k1}::float8", f"{collection.b}::float8"
    product = "- ({} <#> (SELECT words FROM asked))".format
    return f"""
            SELECT n, at, coalesce(({k1} + 1) * (once / (1 + r) + CASE WHEN again > 0
                                                                  THEN again * times / (times + r * again) ELSE 0 END),
                                   'infinity') AS bound
            FROM (SELECT n, ctid AS at, {product("once")} AS once, {product("again")} AS again,
                         {product("times")} AS times, {k1} * (1 - {b} + {b} * length / (SELECT average FROM asked)) AS r
                  FROM {Layout(collection.id)["lexical"]} x WHERE {condition} LIMIT {CANDIDATES}) x"""


def _scored(collection: Collection, rows: str) -> str:
    """The exact scores (n, score) of points in these rows that have one of the words.

    Words are always added in one order, so that points with the same words have the same score.
    """
    k1, b = f"{collection.k1}::float8", f"{collection.b}::float8"
    count = f"get_byte(weights, start + {lexicon.HASH_BYTES} - 1)::float8"
    return f"""
            SELECT n, score FROM (
                SELECT n, (
                    SELECT sum(idf * {count} * ({k1} + 1)
                               / ({count} + {k1} * (1 - {b} + {b} * length / average))) FILTER (WHERE start > 0)
                    -- Kept apart, so that the search for the word is done once.
                    FROM (SELECT idf, average, position(key IN weights) AS start FROM word OFFSET 0) found) AS score
                FROM {Layout(collection.id)["lexical"]} WHERE ctid = ANY(ARRAY({rows})) OFFSET 0) scored
            WHERE score IS NOT NULL"""
