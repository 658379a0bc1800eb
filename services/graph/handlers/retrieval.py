"""pergola.graph.v1.RetrievalService."""

from typing import Any, Final, TypeAlias, cast

import grpc

from pergola.graph.v1 import retrieval_pb2, retrieval_pb2_grpc
from services.graph.points import Filter
from services.graph.retrieval.model import Answer, Hit, Mode, Scope, Step, Wish
from services.graph.retrieval.retrieve import Retrieval
from services.runtime.call import current

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_DEFAULT_K: Final = 8
_DEFAULT_HOPS: Final = 2


class RetrievalHandlers(retrieval_pb2_grpc.RetrievalServiceServicer):
    def __init__(self, retrieval: Retrieval) -> None:
        self._retrieval = retrieval

    async def Retrieve(
        self, request: retrieval_pb2.RetrieveRequest, _context: Context
    ) -> retrieval_pb2.RetrieveResponse:
        collections = list(request.collections)
        filter = Filter(request.filter.SerializeToString()) if request.HasField("filter") else None
        scope = Scope(current().tenant, collections, list(request.graphs) or collections, filter)
        wish = Wish(
            request.k if request.HasField("k") else _DEFAULT_K,
            cast(Mode, request.mode or "passages"),
            request.max_hops if request.HasField("max_hops") else _DEFAULT_HOPS,
        )
        return _response(await self._retrieval.retrieve(scope, request.question, wish), request.detail)


def _response(answer: Answer, with_detail: bool) -> retrieval_pb2.RetrieveResponse:
    response = retrieval_pb2.RetrieveResponse(
        passages=[_passage(hit, with_detail) for hit in answer.hits],
        degraded=answer.degraded,
        entities=[
            retrieval_pb2.RetrievedEntity(
                key=one.key, name=one.name, mention_count=one.mention_count, score=one.score, named=one.named
            )
            for one in answer.entities
        ],
    )
    if with_detail:
        detail = answer.detail
        response.detail.CopyFrom(
            retrieval_pb2.RetrievalDetail(
                passage_count=detail.passages,
                path_count=detail.paths,
                phrases=detail.phrases,
                milliseconds=detail.milliseconds,
            )
        )
    return response


def _passage(hit: Hit, with_detail: bool) -> retrieval_pb2.Passage:
    point = hit.point
    return retrieval_pb2.Passage(
        collection=point.collection,
        id=point.id,
        score=hit.score,
        text=point.text,
        document=point.document,
        title=point.title,
        heading_path=point.heading_path,
        index=point.index,
        start=point.start,
        end=point.end,
        payload=point.payload,
        path=[_step(step) for step in hit.path],
        scores=hit.scores if with_detail else None,
        placed_by=hit.part if with_detail else "",
    )


def _step(step: Step) -> retrieval_pb2.PathStep:
    return retrieval_pb2.PathStep(
        kind=step.kind,
        text=step.text,
        id=step.id,
        spans=[retrieval_pb2.TextSpan(passage=one.passage, start=one.start, end=one.end) for one in step.spans],
    )
