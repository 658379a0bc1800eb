"""pergola.vector.v1.PointService"""

from collections.abc import AsyncIterator
from typing import Final

from pergola.vector.v1 import point_pb2 as pb
from pergola.vector.v1 import point_pb2_grpc
from pergola.vector.v1 import selection_pb2 as sel
from services.runtime import paging
from services.runtime.call import current
from services.runtime.errors import ErrorFields
from services.runtime.policy import Policy
from services.runtime.server import validation
from services.vector.handlers import explanations, filters, importing, incoming, messages, plain, questions
from services.vector.handlers.messages import Context
from services.vector.model import ScoredPoint
from services.vector.points.edits import Edits
from services.vector.points.explaining import Explaining
from services.vector.points.importing import Imports
from services.vector.points.model import Failure, PayloadEdit
from services.vector.points.scroll import Scroll, place, text
from services.vector.search import Search

_BATCH = 100


class PointHandlers(point_pb2_grpc.PointServiceServicer):
    def __init__(self, search: Search, explaining: Explaining, edits: Edits, imports: Imports, scroll: Scroll) -> None:
        self._search = search
        self._explaining = explaining
        self._edits = edits
        self._imports = imports
        self._scroll = scroll

    async def UpsertPoints(self, request: pb.UpsertPointsRequest, _context: Context) -> pb.UpsertPointsResponse:
        points = incoming.points(request.points)
        failures = await self._edits.upsert(current().tenant, request.collection, points)
        return pb.UpsertPointsResponse(
            stored_count=len(points) - len(failures),
            failures=[_failure(one) for one in failures],
        )

    async def ImportPoints(
        self, request_iterator: AsyncIterator[pb.ImportPointsRequest], _context: Context
    ) -> pb.ImportPointsResponse:
        head = await importing.first(request_iterator)
        done = await self._imports.run(current().tenant, head.collection, importing.arrivals(head, request_iterator))
        return pb.ImportPointsResponse(
            stored_count=messages.small(done.stored),
            failed_count=messages.small(done.failed),
            failures=[_failure(one) for one in done.failures],
        )

    async def DeletePoints(self, request: sel.DeletePointsRequest, _context: Context) -> sel.DeletePointsResponse:
        tenant, collection = current().tenant, request.collection
        if request.HasField("filter"):
            count = await self._edits.delete_fitting(tenant, collection, filters.read(request.filter))
        else:
            count = await self._edits.delete(tenant, collection, incoming.ids(request.ids))
        return sel.DeletePointsResponse(deleted_count=count)

    async def SetPayload(self, request: sel.SetPayloadRequest, _context: Context) -> sel.SetPayloadResponse:
        tenant, collection = current().tenant, request.collection
        edit = PayloadEdit(
            merged=messages.fields(request.payload, "payload"),
            without=incoming.texts(request.delete_keys, "delete_keys"),
            overwrite=request.overwrite,
        )
        if request.HasField("filter"):
            filter = filters.read(request.filter)
            count = await self._edits.set_payload_fitting(tenant, collection, filter, edit)
            return sel.SetPayloadResponse(set_count=messages.small(count))
        ids = incoming.ids(request.ids)
        missing = await self._edits.set_payload(tenant, collection, ids, edit)
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

    async def ScrollPoints(
        self, request: pb.ScrollPointsRequest, _context: Context
    ) -> AsyncIterator[pb.ScrollPointsResponse]:
        tenant = current().tenant
        asked = pb.ScrollPointsRequest(
            collection=request.collection,
            filter=request.filter if request.HasField("filter") else None,
            order_by=request.order_by if request.HasField("order_by") else None,
        )
        scope = (tenant, "ScrollPoints", asked.SerializeToString(deterministic=True).hex())
        with_payload = questions.with_payload(request)
        batches = self._scroll.batches(
            tenant,
            request.collection,
            filters.read(request.filter) if request.HasField("filter") else None,
            filters.order(request.order_by, "order_by") if request.HasField("order_by") else None,
            after=place(paging.decode(request.page_token, *scope)) if request.page_token else None,
            limit=request.limit if request.HasField("limit") else None,
            size=request.batch_size if request.HasField("batch_size") else _BATCH,
            with_vector=request.with_vector,
        )
        async for points, last in batches:
            yield pb.ScrollPointsResponse(
                points=[messages.point(one, with_payload=with_payload, only=request.payload_fields) for one in points],
                next_page_token=paging.encode(text(last), *scope),
            )

    async def QueryPoints(self, request: pb.QueryPointsRequest, _context: Context) -> pb.QueryPointsResponse:
        found = await self._search.query(current().tenant, questions.read(request))
        response = pb.QueryPointsResponse()
        questions.answer(request, found, response)
        return response

    async def QueryBatch(self, request: pb.QueryBatchRequest, _context: Context) -> pb.QueryBatchResponse:
        for number, query in enumerate(request.queries):
            questions.place(query, request.collection, f"queries[{number}].")
        if not plain.questions(request):
            validation.check(request)
        asked = [questions.read(query, f"queries[{number}].") for number, query in enumerate(request.queries)]
        response = pb.QueryBatchResponse(answers=[pb.QueryPointsResponse()] * len(asked))

        def answered(place: int, found: list[ScoredPoint]) -> None:
            questions.answer(request.queries[place], found, response.answers[place])

        await self._search.query_all(current().tenant, asked, answered)
        return response

    async def ExplainQuery(self, request: pb.ExplainQueryRequest, _context: Context) -> pb.ExplainQueryResponse:
        if request.HasField("query"):
            questions.place(request.query, request.collection, "query.")
        validation.check(request)
        question = questions.read(request.query, "query.")
        explained = await self._explaining.explain(current().tenant, question, with_plan=request.with_plan)
        return explanations.response(request.query, question, explained)


def _failure(one: Failure) -> pb.PointFailure:
    return pb.PointFailure(index=messages.small(one.index), id=one.id, reason=one.reason, message=one.message)


def _error(fields: ErrorFields) -> pb.ScrollPointsResponse:
    return pb.ScrollPointsResponse(error=messages.stream_error(fields))


POLICIES: Final = {
    "UpsertPoints": Policy(plain=plain.points),
    "QueryPoints": Policy(plain=plain.question),
    # As long as the caller has points; each of them is checked by itself.
    "ImportPoints": Policy(validate=False, deadline=None),
    "ScrollPoints": Policy(in_band=_error),
    # Checked by the handler, once questions have their collection.
    "QueryBatch": Policy(validate=False),
    "ExplainQuery": Policy(validate=False),
}
