"""pergola.graph.v1.RetrievalService."""

from typing import Any, Final, TypeAlias

import grpc

from pergola.graph.v1 import retrieval_pb2, retrieval_pb2_grpc
from services.graph.retrieval.gather import Scope
from services.graph.retrieval.retrieve import Hit, Retrieval
from services.runtime.call import current

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_DEFAULT_K: Final = 8


class RetrievalHandlers(retrieval_pb2_grpc.RetrievalServiceServicer):
    def __init__(self, retrieval: Retrieval) -> None:
        self._retrieval = retrieval

    async def Retrieve(
        self, request: retrieval_pb2.RetrieveRequest, _context: Context
    ) -> retrieval_pb2.RetrieveResponse:
        collections = list(request.collections)
        scope = Scope(current().tenant, collections, list(request.graphs) or collections)
        k = request.k if request.HasField("k") else _DEFAULT_K
        answer = await self._retrieval.retrieve(scope, request.question, k)
        return retrieval_pb2.RetrieveResponse(passages=[_passage(hit) for hit in answer.hits], degraded=answer.degraded)


def _passage(hit: Hit) -> retrieval_pb2.Passage:
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
        path=[retrieval_pb2.PathStep(kind=step.kind, text=step.text, id=step.id) for step in hit.path],
    )
