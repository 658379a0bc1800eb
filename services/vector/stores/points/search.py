"""Finding points: the nearest by vector, the best by BM25, and both fused by reciprocal rank (Cormack et al. 2009).

Each search is one statement. One with a filter is preceded by another that finds out whether few points fit (arms.py).
"""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.vector.filters.tree import Filter
from services.vector.model import Collection, ScoredPoint, Vector
from services.vector.stores.database.connections import Record, Session
from services.vector.stores.points import arms, conditions, lexicon, selecting
from services.vector.stores.points.arms import Narrowed, Route
from services.vector.stores.points.conditions import Values
from services.vector.stores.points.layout import SCORES, Layout
from services.vector.stores.points.writing import COLUMNS, point

FEW: Final = 10_000
"""As many points are compared one by one without an index: a few milliseconds."""
RRF: Final = 60
"""Constant of the fusion: how much the first ranks stand out."""
_DEPTH: Final = 50
"""Each arm of a hybrid search looks at least this deep."""


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
    threshold: float | None = None
    """Points with a lower score are left out."""
    with_vector: bool = False
    with_payload: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """How a search was answered."""

    route: Route
    fitting: int | None = None
    """How many points fit the filter, counted to FEW + 1; None: no filter."""
    repeated: bool = False
    """Whether the index brought too few, so that every vector was compared."""


async def find(session: Session, collection: Collection, want: Want) -> tuple[list[ScoredPoint], Plan]:
    """The best `k` points behind the first `offset`, best first, and how they were found.

    Never fewer than there are: where an index scan with a filter ends too early, the search is done again, exactly.
    """
    plan = await _plan(session, collection, want)
    values = Values()
    rows = await session.fetch(_text(collection, want, plan, values), *values.all)
    if plan.route == "index" and want.filter is not None and want.vector is not None and len(rows) < want.k:
        plan = Plan("exact", plan.fitting, repeated=True)
        values = Values()
        rows = await session.fetch(_text(collection, want, plan, values), *values.all)
    return _scored(rows, want.with_payload), plan


async def _plan(session: Session, collection: Collection, want: Want) -> Plan:
    if want.filter is None:
        return Plan("exact" if want.exact else "index")
    fitting = await selecting.count(session, collection, want.filter, FEW + 1)
    return Plan("exact" if want.exact or fitting <= FEW else "index", fitting)


def _text(collection: Collection, want: Want, plan: Plan, values: Values) -> str:
    """The statement; its values are added to `values`."""
    layout = Layout(collection.id)
    narrowed = Narrowed(
        layout,
        conditions.sql(layout, want.filter, values) if want.filter is not None else "",
        first=plan.route == "exact",
    )
    deepest = want.k + want.offset
    hybrid = want.vector is not None and want.terms is not None
    depth = _step(max(deepest, _DEPTH) if hybrid else deepest)
    ctes = []
    if want.vector is not None:
        ctes.append(arms.near(collection, values.bind(want.vector), depth, plan.route, want.ef, narrowed))
    if want.terms is not None:
        keys, terms = _keys(want.terms)
        ctes.append(arms.matching(collection, values.bind(keys), values.bind(terms), depth, narrowed))
    ctes.append(_best(collection, want, depth, values))
    least = "" if want.threshold is None else f"WHERE score >= {values.bind(want.threshold, 'float8')}"
    return f"""
        WITH {narrowed.ctes()} {", ".join(ctes)}
        SELECT score, dense, lexical, {_columns(collection, want.with_vector)}
        FROM best JOIN {layout["point"]} p USING (n) {least} ORDER BY score DESC, p.id
    """


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
    return f"""
        d AS (SELECT n, {score} AS dense, row_number() OVER (ORDER BY distance, n) AS rank FROM near),
        l AS (SELECT n, score AS lexical, row_number() OVER (ORDER BY score DESC, n) AS rank
              FROM matching ORDER BY score DESC, n LIMIT {depth}),
        best AS (SELECT n, coalesce(1.0::float8 / ({RRF} + d.rank), 0) + coalesce(1.0::float8 / ({RRF} + l.rank), 0)
                 AS score, d.dense, l.lexical FROM d FULL JOIN l USING (n) ORDER BY score DESC, n {page})"""


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


def _scored(rows: Sequence[Record], with_payload: bool) -> list[ScoredPoint]:
    return [
        ScoredPoint(
            point=point(row, with_payload=with_payload),
            score=row["score"],
            dense_score=row["dense"],
            lexical_score=row["lexical"],
        )
        for row in rows
    ]
