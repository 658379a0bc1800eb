"""pergola.vector.v1.PointService"""

from typing import cast

from pergola.vector.v1 import point_pb2 as pb
from pergola.vector.v1 import point_pb2_grpc
from pergola.vector.v1 import selection_pb2 as sel
from services.runtime.call import current
from services.vector.handlers import filters, incoming, messages
from services.vector.handlers.messages import Context
from services.vector.model import Mode, ScoredPoint
from services.vector.points.edits import Edits, PayloadEdit
from services.vector.search import Question, Search

_K = 10


class PointHandlers(point_pb2_grpc.PointServiceServicer):
    def __init__(self, search: Search, edits: Edits) -> None:
        self._search = search
        self._edits = edits

    async def UpsertPoints(self, request: pb.UpsertPointsRequest, _context: Context) -> pb.UpsertPointsResponse:
        points = incoming.points(request.points)
        failures = await self._edits.upsert(current().tenant, request.collection, points)
        return pb.UpsertPointsResponse(
            stored_count=len(points) - len(failures),
            failures=[
                pb.PointFailure(index=one.index, id=one.id, reason=one.reason, message=one.message) for one in failures
            ],
        )

    async def DeletePoints(self, request: sel.DeletePointsRequest, _context: Context) -> sel.DeletePointsResponse:
        tenant, collection = current().tenant, request.collection
        if request.HasField("filter"):
            count = await self._edits.delete_fitting(tenant, collection, filters.read(request.filter))
        else:
            count = await self._edits.delete(tenant, collection, incoming.ids(request.ids))
        return sel.DeletePointsResponse(deleted_count=count)

    async def SetPayload(self, request: sel.SetPayloadRequest, _context: Context) -> sel.SetPayloadResponse:
        ids = incoming.ids(request.ids)
        edit = PayloadEdit(
            merged=messages.fields(request.payload, "payload"),
            without=incoming.texts(request.delete_keys, "delete_keys"),
            overwrite=request.overwrite,
        )
        missing = await self._edits.set_payload(current().tenant, request.collection, ids, edit)
        return sel.SetPayloadResponse(set_count=len(ids) - len(missing), missing=missing)

    async def CountPoints(self, request: sel.CountPointsRequest, _context: Context) -> sel.CountPointsResponse:
        filter = filters.read(request.filter) if request.HasField("filter") else None
        count = await self._search.count(current().tenant, request.collection, filter, approximate=request.approximate)
        return sel.CountPointsResponse(count=count)

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
            filter=filters.read(request.filter) if request.HasField("filter") else None,
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
