"""Passages by hybrid search alone: of collections that are in no index, or not in time."""

from collections.abc import Sequence

from services.graph.passages.query.constants import LEXICAL
from services.graph.points import Found
from services.graph.retrieval import steps
from services.graph.retrieval.model import Hit, Step


def hits(question: str, found: Sequence[Found]) -> list[Hit]:
    """What one collection's search found, scored as the base ranking scores: likeness and a share of BM25.

    So that they compare with passages of an index, and of other collections.
    """
    top = max((one.lexical or 0.0 for one in found), default=0.0) or 1.0
    # What only the words found is at most as like as the last one that the vectors found.
    least = min((one.dense for one in found if one.dense is not None), default=0.0)
    ranked = [
        (one.dense if one.dense is not None else least, LEXICAL * (one.lexical or 0.0) / top, one) for one in found
    ]
    return sorted(
        (
            Hit(
                one.point,
                semantic + lexical,
                [Step("question", question, ""), steps.passage(one.point)],
                "hybrid",
                {"semantic": semantic, "lexical": lexical},
            )
            for semantic, lexical, one in ranked
        ),
        key=lambda hit: (-hit.score, hit.point.id),
    )
