"""Finding points: the nearest by vector, the best by BM25, and both fused.

Each search is one statement. One with a filter is preceded by another that finds out whether few points fit (arms.py).
"""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.vector.filters.tree import Filter
from services.vector.model import Collection, Parts, ScoredPoint, Vector
from services.vector.stores.database.connections import Record, Session
from services.vector.stores.points import arms, conditions, lexicon, selecting
from services.vector.stores.points.arms import Narrowed, Route
from services.vector.stores.points.conditions import Values
from services.vector.stores.points.fusing import SCORES, USUAL, Fusion, fused
from services.vector.stores.points.layout import Layout
from services.vector.stores.points.terms import matching, vocabulary
from services.vector.stores.points.terms.vocabulary import Vocabulary
from services.vector.stores.points.writing import COLUMNS, point
from services.vector.text.words import MAX_QUERY_WORDS

FEW: Final = 10_000
"""As many points are compared one by one without an index: a few milliseconds."""
_DEPTHS: Final = (64, 256, 1024)
"""Each arm of a hybrid search looks so deep. The same for many pages, so that they come from the same ranks."""


@dataclass(frozen=True, slots=True)
class Want:
    """What is to be found: by `vector`, by `terms`, or by both."""

    vector: Vector | None
    terms: Sequence[str] | None
    k: int
    offset: int = 0
    filter: Filter | None = None
    exact: bool = False
    """Compare every vector, without the index."""
    ef: int | None = None
    """Width of the index search, 1 to MAX_EF; None: what `k` asks for."""
    deep: int = 0
    """The best are taken of so many, where the index is asked for points that fit a filter."""
    threshold: float | None = None
    """Points with a lower score are left out."""
    with_vector: bool = False
    with_payload: bool = True
    prefixes: Sequence[str] = ()
    """Beginnings of words, which the filter asks for as well: the words that begin so are scored too."""
    complete: bool = False
    """Whether the lexical arm has to find every point that fits, with or without `terms`."""
    fusion: Fusion = USUAL
    explain: bool = False
    """Whether each point comes with its ranks and parts."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a search was answered."""

    route: Route
    fitting: int | None = None
    """How many points fit the filter, counted to FEW + 1; None: no filter, or nobody had to know."""
    repeated: bool = False
    """Whether the index brought too few, so that every vector was compared."""
    stages: Sequence[tuple[str, float]] = ()
    """Seconds each step took."""
    deep: int = 0
    """See Want."""


async def find(session: Session, collection: Collection, want: Want) -> tuple[list[ScoredPoint], Plan]:
    """The best `k` points behind the first `offset`, best first, and how they were found.

    Never fewer than there are: where an index scan with a filter ends too early, the search is done again, exactly.
    """
    began = time.perf_counter()
    known = await vocabulary.needed(session, collection, want.filter)
    if want.prefixes:
        want = replace(want, terms=scored_terms(want, known))
    route: Route
    rows = fitting = None
    filter = want.filter
    if filter is not None and want.terms is None and not want.exact:
        # Few are looked up and compared in one statement; that many fit is found out on the way.
        rows, share = await _few(session, collection, want, known)
        route = "index" if rows is None else "exact"
        want = replace(want, deep=arms.deep(share))
        if want.explain:
            fitting = await selecting.count(session, collection, filter, FEW + 1, known)
    else:
        route, fitting = await _route(session, collection, want, known)
    probed = time.perf_counter()
    if rows is None:
        rows = await _rows(session, collection, want, route, known)
    stages = [("search", time.perf_counter() - probed)]
    if filter is not None:
        stages.insert(0, ("probe", probed - began))
    repeated = route == "index" and filter is not None and want.vector is not None and len(rows) < want.k
    if repeated:
        route, began = "exact", time.perf_counter()
        rows = await _rows(session, collection, want, route, known)
        stages.append(("repeat", time.perf_counter() - began))
    return _scored(rows, want), Plan(route, fitting, repeated, stages, want.deep)


def scored_terms(want: Want, known: Vocabulary) -> list[str]:
    """The words to be scored: those of the question, then the most common of those that begin as its prefixes do."""
    more = (word for prefix in want.prefixes if prefix in known.prefixes for word in known.prefixes[prefix].words)
    return list(dict.fromkeys([*(want.terms or ()), *more]))[:MAX_QUERY_WORDS]


async def _route(session: Session, collection: Collection, want: Want, known: Vocabulary) -> tuple[Route, int | None]:
    if want.filter is None or (want.exact and not want.explain):
        return ("exact" if want.exact else "index"), None
    if want.explain:
        fitting = await selecting.count(session, collection, want.filter, FEW + 1, known)
        return ("exact" if want.exact or fitting <= FEW else "index"), fitting
    few = await selecting.count_few(session, collection, want.filter, FEW, known)
    return ("exact" if few is not None and few <= FEW else "index"), few


async def _few(
    session: Session, collection: Collection, want: Want, known: Vocabulary
) -> tuple[Sequence[Record] | None, float]:
    """The rows of an exact search, if few points fit; None, and the share of all that fit, if many do."""
    rows = await _rows(session, collection, want, "few", known)
    if rows[0]["many"]:
        return None, rows[0]["share"]
    return (rows if rows[0]["id"] is not None else []), 0.0


async def _rows(
    session: Session, collection: Collection, want: Want, route: Route, known: Vocabulary
) -> Sequence[Record]:
    text, values = statement(collection, want, route, known)
    return await session.fetch(text, *values)


def statement(collection: Collection, want: Want, route: Route, known: Vocabulary) -> tuple[str, list[object]]:
    """The SQL of a search by this route, and its values."""
    values = Values()
    narrowed = narrowing(collection, want, route, known, values)
    depth = depth_of(want)
    ctes = []
    if want.vector is not None:
        vector = values.bind(want.vector)
        ctes.append(arms.near(collection, vector, depth, route, want.ef, narrowed, want.deep))
    if want.terms is not None:
        ctes.append(lexical_arm(collection, want, narrowed, values))
    ctes.append(_best(collection, want, depth, values))
    least = "true" if want.threshold is None else f"score >= {values.bind(want.threshold, 'float8')}"
    parts = ", dense_rank, lexical_rank, dense_part, lexical_part" if want.explain and _hybrid(want) else ""
    columns = f"score, dense, lexical{parts}, {_columns(collection, want.with_vector)}"
    points = f"best JOIN {Layout(collection.id)['point']} p USING (n)"
    if route == "few":
        # A row there is in any case, which says whether many fit.
        columns, points = f"many, share, {columns}", f"verdict LEFT JOIN ({points}) ON {least}"
    else:
        points += f" WHERE {least}"
    return (
        f"WITH {narrowed.ctes()} {', '.join(ctes)} SELECT {columns} FROM {points} ORDER BY score DESC, p.id",
        values.all,
    )


def narrowing(collection: Collection, want: Want, route: Route, known: Vocabulary, values: Values) -> Narrowed:
    """How the statement applies the filter."""
    layout = Layout(collection.id)
    condition = conditions.sql(layout, want.filter, values, known) if want.filter is not None else ""
    return Narrowed(layout, condition, first=route != "index", most=FEW if route == "few" else None)


def lexical_arm(
    collection: Collection, want: Want, narrowed: Narrowed, values: Values, *, all_scored: bool = False
) -> str:
    """The CTEs of the lexical arm."""
    keys = [lexicon.key(term) for term in want.terms or ()]
    bound = values.bind(keys), values.bind([lexicon.number(key) for key in keys])
    return matching.matching(
        collection, *bound, depth_of(want), narrowed, complete=want.complete, all_scored=all_scored
    )


def depth_of(want: Want) -> int:
    """How many of its best each arm has to bring.

    One of a few numbers, so that there are few different texts, and each is prepared once.
    """
    deepest = want.k + want.offset
    if not _hybrid(want):
        return 1 << max(4, (deepest - 1).bit_length())
    return next((depth for depth in _DEPTHS if deepest <= depth), 1 << (deepest - 1).bit_length())


def _hybrid(want: Want) -> bool:
    return want.vector is not None and want.terms is not None


def _best(collection: Collection, want: Want, depth: int, values: Values) -> str:
    """CTE `best` (n, score, dense, lexical) from `near`, from `matching`, or from both."""
    score = SCORES[collection.distance]
    page = f"LIMIT {values.bind(want.k)} OFFSET {values.bind(want.offset)}"
    if want.terms is None:
        return f"""
            best AS (SELECT n, {score} AS score, {score} AS dense, NULL::float8 AS lexical FROM near
                     ORDER BY distance, n {page})"""
    if want.vector is None:
        return f"""
            best AS (SELECT n, score, NULL::float8 AS dense, score AS lexical FROM matching
                     ORDER BY score DESC, n {page})"""
    return fused(collection.distance, want.fusion, depth, page, values)


def _columns(collection: Collection, with_vector: bool) -> str:
    if not with_vector:
        return COLUMNS
    t = Layout(collection.id)
    return (
        f"{COLUMNS}, coalesce((SELECT embedding FROM {t['delta']} e WHERE e.n = p.n),"
        f" (SELECT embedding FROM {t['vector']} e WHERE e.n = p.n)) AS embedding"
    )


def _scored(rows: Sequence[Record], want: Want) -> list[ScoredPoint]:
    return [
        ScoredPoint(
            point=point(row, with_payload=want.with_payload),
            score=row["score"],
            dense_score=row["dense"],
            lexical_score=row["lexical"],
            parts=_parts(row, want, place) if want.explain else None,
        )
        for place, row in enumerate(rows, want.offset + 1)
    ]


def _parts(row: Record, want: Want, place: int) -> Parts:
    if _hybrid(want):
        return Parts(row["dense_rank"], row["lexical_rank"], row["dense_part"], row["lexical_part"])
    return Parts(place, None) if want.terms is None else Parts(None, place)
