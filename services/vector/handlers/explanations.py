"""What a search did, as messages."""

from pergola.vector.v1 import explain_pb2
from pergola.vector.v1 import point_pb2 as pb
from services.vector.handlers import messages, questions
from services.vector.model import ScoredPoint
from services.vector.points.explaining import Explained, Term
from services.vector.search import Question
from services.vector.text.words import STEM


def response(query: pb.QueryPointsRequest, question: Question, one: Explained) -> pb.ExplainQueryResponse:
    """The answer of ExplainQuery."""
    want = one.prepared.want
    answer = pb.ExplainQueryResponse(
        mode=question.mode,
        points=[_point(point, query, one, rank) for rank, point in enumerate(one.points, question.offset + 1)],
        stages=[
            explain_pb2.Stage(name=name, milliseconds=round(seconds * 1000, 3))
            for name, seconds in (*one.prepared.stages, *one.plan.stages)
        ],
        plan=one.postgres_plan,
    )
    if want.vector is not None:
        answer.dense.CopyFrom(_dense(one))
    if one.reached is not None:
        answer.lexical.CopyFrom(_lexical(one))
    if one.plan.fitting is not None:
        answer.filter.CopyFrom(
            explain_pb2.FilterUse(
                fitting_count=one.plan.fitting,
                more=one.more,
                point_count=messages.small(one.sizes.points),
                selectivity=min(1.0, one.plan.fitting / max(1, one.sizes.points)),
            )
        )
    if question.mode == "hybrid":
        fusion = want.fusion
        answer.fusion.CopyFrom(
            explain_pb2.FusionUse(
                method=fusion.method,
                rrf_k=fusion.rrf_k if fusion.method == "rrf" else 0,
                dense_weight=fusion.dense,
                lexical_weight=fusion.lexical,
                reason=one.prepared.reason,
            )
        )
    return answer


def _dense(one: Explained) -> explain_pb2.DenseArm:
    fitting = one.sizes.points if one.plan.fitting is None else one.plan.fitting
    return explain_pb2.DenseArm(
        route=one.plan.route,
        reason=one.route_reason,
        vector=one.prepared.vector,
        depth=one.depth,
        ef=one.ef,
        indexed_count=messages.small(one.sizes.indexed),
        unindexed_count=messages.small(one.sizes.unindexed),
        found_count=min(one.depth, fitting),
    )


def _lexical(one: Explained) -> explain_pb2.LexicalArm:
    assert one.reached is not None  # noqa: S101 - the caller has looked
    return explain_pb2.LexicalArm(
        language=one.collection.language,
        k1=one.collection.k1,
        b=one.collection.b,
        average_length=one.sizes.average_length,
        terms=[_term(term) for term in one.terms],
        candidate_count=one.reached.rare,
        filled_count=one.reached.next + one.reached.rest,
        found_count=one.reached.found,
    )


def _term(term: Term) -> explain_pb2.QueryTerm:
    return explain_pb2.QueryTerm(
        term=term.word.removeprefix(STEM),
        stem=term.word.startswith(STEM),
        point_count=messages.small(term.points),
        idf=term.idf,
        role=term.role,
    )


def _point(point: ScoredPoint, query: pb.QueryPointsRequest, one: Explained, rank: int) -> pb.ExplainedPoint:
    parts = point.parts
    found = parts is not None and parts.lexical_rank is not None
    return pb.ExplainedPoint(
        scored=questions.scored(point, query),
        rank=rank,
        dense_rank=parts.dense_rank if parts else None,
        lexical_rank=parts.lexical_rank if parts else None,
        dense_part=parts.dense if parts else None,
        lexical_part=parts.lexical if parts else None,
        terms=[
            explain_pb2.TermScore(term=each.word.removeprefix(STEM), count=each.count, score=each.score)
            for each in (one.parts.get(point.point.id, ()) if found else ())
        ],
    )
