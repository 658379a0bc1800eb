"""One order of two: reciprocal rank fusion (Cormack et al. 2009), or a mean of scores brought to 0 to 1."""

from dataclasses import dataclass
from typing import Final, Literal

from services.vector.model import Distance
from services.vector.stores.points.conditions import Values

SCORES: Final[dict[Distance, str]] = {"cosine": "1 - distance", "inner_product": "- distance", "l2": "- distance"}

RRF_K: Final = 60.0
"""How much the first ranks stand out."""

_PARTS: Final = {
    "rrf": ("{dense} / ({k} + d.rank)", "{lexical} / ({k} + l.rank)"),
    # The lowest possible score for words is 0; for vectors it is the lowest that was found.
    "scores": (
        "{dense} / ({dense} + {lexical}) * CASE WHEN d.high > d.low THEN (d.dense - d.low) / (d.high - d.low)"
        " WHEN d.rank IS NOT NULL THEN 1 END",
        "{lexical} / ({dense} + {lexical}) * CASE WHEN l.high > 0 THEN l.lexical / l.high"
        " WHEN l.rank IS NOT NULL THEN 0 END",
    ),
}


@dataclass(frozen=True, slots=True)
class Fusion:
    """How the arms are fused. The weights are not both 0."""

    method: Literal["rrf", "scores"] = "rrf"
    rrf_k: float = RRF_K
    dense: float = 1.0
    """Weight of the arm."""
    lexical: float = 1.0


USUAL: Final = Fusion()


def fused(distance: Distance, fusion: Fusion, depth: int, page: str, values: Values) -> str:
    """CTE `best` (n, score, dense, lexical, and ranks and parts of both) from `near` and `matching`."""
    given = {"dense": values.bind(fusion.dense, "float8"), "lexical": values.bind(fusion.lexical, "float8")}
    if fusion.method == "rrf":
        given["k"] = values.bind(fusion.rrf_k, "float8")
    dense, lexical = (part.format(**given) for part in _PARTS[fusion.method])
    score = SCORES[distance]
    return f"""
        d AS (SELECT n, {score} AS dense, row_number() OVER (ORDER BY distance, n) AS rank,
                     min({score}) OVER () AS low, max({score}) OVER () AS high FROM near),
        l AS (SELECT n, score AS lexical, row_number() OVER (ORDER BY score DESC, n) AS rank, max(score) OVER () AS high
              FROM matching ORDER BY score DESC, n LIMIT {depth}),
        both_arms AS (SELECT n, d.dense, l.lexical, d.rank AS dense_rank, l.rank AS lexical_rank,
                             coalesce({dense}, 0) AS dense_part, coalesce({lexical}, 0) AS lexical_part
                      FROM d FULL JOIN l USING (n)),
        best AS (SELECT *, dense_part + lexical_part AS score FROM both_arms ORDER BY score DESC, n {page})"""  # noqa: S608
