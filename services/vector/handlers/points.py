"""pergola.vector.v1.PointService"""

from typing import cast

from pergola.vector.v1 import point_pb2 as pb
from pergola.vector.v1 import point_pb2_grpc
from services.runtime.call import current
from services.vector.handlers import messages
from services.vector.handlers.messages import Context
from services.vector.model import Mode, ScoredPoint
from services.vector.search import Question, Search

_K = 10


class PointHandlers(point_pb2_grpc.PointServiceServicer):
    def __init__(self, search: Search) -> None:
        self._search = search

    async def GetPoints(self, request: pb.GetPointsRequest, _context: Context) -> pb.GetPointsResponse:
        found, missing = await self._search.get(
            current().tenant, request.collection, list(request.ids), with_vector=request.with_vector
        )
        return pb.GetPointsResponse(points=[messages.point(one) for one in found], missing=missing)

    async def QueryPoints(self, request: pb.QueryPointsRequest, _context: Context) -> pb.QueryPointsResponse:
        with_payload = request.with_payload if request.HasField("with_payload") else True
        question = Question(
            collection=request.collection,
            text=request.text,
            vector=messages.vector(request.vector, "vector") if request.HasField("vector") else None,
            mode=cast(Mode, request.mode or ("hybrid" if request.text else "dense")),
            k=request.k if request.HasField("k") else _K,
            with_vector=request.with_vector,
            with_payload=with_payload,
        )
        found = await self._search.query(current().tenant, question)
        return pb.QueryPointsResponse(points=[_scored(one, with_payload) for one in found])


def _scored(one: ScoredPoint, with_payload: bool) -> pb.ScoredPoint:
    message = pb.ScoredPoint(point=messages.point(one.point, with_payload=with_payload), score=one.score)
    if one.dense_score is not None:
        message.dense_score = one.dense_score
    if one.lexical_score is not None:
        message.lexical_score = one.lexical_score
    return message
