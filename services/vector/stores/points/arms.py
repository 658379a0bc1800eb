"""The dense arm of a search as a CTE of its statement, and how a filter narrows both arms (terms/matching.py).

A filter is applied in one of two ways. Where few points fit, they are looked up first (CTE `fitting`) and compared
exactly: an index scan would have to pass by nearly all of the collection to meet them. Where many fit, each point that
the index brings is looked at, in a sub-select that gives a value: as a join it would lose the order of the index.
"""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

from dataclasses import dataclass
from typing import Final, Literal

from services.vector.model import Collection
from services.vector.stores.points import selecting
from services.vector.stores.points.layout import OPERATORS, Layout

MAX_EF: Final = 1000
"""pgvector's own limit of hnsw.ef_search."""
_EF: Final = 100
_EF_FILTERED: Final = 400
"""With a filter that follows the vectors, the nearest that fit lie behind many that don't: where half of 100,000 points
fit, 250 lost 0.4%."""
_DEEP: Final = (200, 50)
"""And the index is asked for so many that fit, of which the nearest are taken: where few fit, the first ten that it
comes by are not the nearest ten."""
_PASSED: Final = 4_000
"""Points that don't fit, which it may pass by on the way to those."""
_SCANNED: Final = 200_000
"""Points an index scan may pass by before it gives up."""

Route = Literal["index", "exact", "few"]
"""`few`: exact, if few points fit; otherwise nothing is found, and `verdict` says so."""


@dataclass(frozen=True, slots=True)
class Narrowed:
    """How a statement applies its filter."""

    layout: Layout
    condition: str = ""
    """SQL over `p`; empty: no filter."""
    first: bool = False
    """Whether the points that fit are looked up first."""
    most: int | None = None
    """If more than that fit, none do, and `verdict` says so (many) and which share of all at least (share); None: all
    do."""

    def ctes(self) -> str:
        if not (self.condition and self.first):
            return ""
        point = self.layout["point"]
        if self.most is None:
            return f"fitting AS MATERIALIZED (SELECT p.n FROM {point} p WHERE {self.condition}),"
        return f"""
            glance AS MATERIALIZED ({selecting.glance(self.layout, self.condition, self.most)}),
            counted AS MATERIALIZED (
                SELECT p.n FROM {point} p WHERE NOT (SELECT many FROM glance) AND {self.condition}
                LIMIT {self.most + 1}),
            verdict AS MATERIALIZED (
                SELECT many OR (SELECT count(*) FROM counted) > {self.most} AS many,
                       greatest(share, {self.most}::float8 / greatest(points, 1)) AS share FROM glance),
            fitting AS MATERIALIZED (SELECT n FROM counted WHERE NOT (SELECT many FROM verdict)),"""

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


def deep(share: float) -> int:
    """How many points that fit the index is asked for, where this share of all fit; 0: as many as are wanted."""
    return next((many for many in _DEEP if many <= share * _PASSED), 0)


def near(
    collection: Collection, vector: str, k: int, route: Route, ef: int | None, narrowed: Narrowed, deep: int = 0
) -> str:
    """CTE `near` (n, distance): the `k` nearest, from the index and from what is not in it yet.

    `deep`: they are the nearest of so many that the index brings.
    """
    t = Layout(collection.id)
    distance = f"embedding {OPERATORS[collection.distance]} {vector}::{collection.storage}({collection.dimension})"
    if route != "index":
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
                 AND {narrowed.holds("v")} ORDER BY {distance} LIMIT {max(k, deep)})
                UNION ALL
                (SELECT n, {distance} AS distance FROM {t["delta"]} v WHERE {narrowed.holds("v")} ORDER BY 2 LIMIT {k})
            ) both_parts ORDER BY distance, n LIMIT {k})"""
