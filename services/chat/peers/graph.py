"""Retrieval through the graph service. Satisfies `Finder`."""

from collections.abc import Sequence

import grpc

from pergola.graph.v1 import retrieval_pb2, retrieval_pb2_grpc
from services.chat.grounding.retrieving import Retrieved
from services.chat.peers.errors import translated
from services.chat.question import Passage
from services.runtime import call


class GraphFinder:
    """`seconds` is the longest a retrieval may take; it also leaves half of the caller's time to whoever comes next."""

    def __init__(self, channel: grpc.aio.Channel, seconds: float) -> None:
        self._stub = retrieval_pb2_grpc.RetrievalServiceStub(channel)
        self._seconds = seconds

    async def find(self, question: str, collections: Sequence[str], k: int) -> Retrieved:
        request = retrieval_pb2.RetrieveRequest(question=question, collections=collections, k=k)
        left = call.remaining()
        seconds = self._seconds if left is None else min(self._seconds, left / 2)
        try:
            response = await self._stub.Retrieve(request, timeout=seconds)
        except grpc.RpcError as error:
            raise translated(error, "graph", seconds) from None
        return Retrieved(tuple(_passage(one) for one in response.passages), response.degraded)


def _passage(found: retrieval_pb2.Passage) -> Passage:
    return Passage(
        collection=found.collection,
        id=found.id,
        document=found.document,
        title=found.title,
        text=found.text,
        start=found.start,
        end=found.end,
        score=found.score,
        path=tuple(_step(step) for step in found.path),
    )


def _step(step: retrieval_pb2.PathStep) -> str:
    """`question`, `passage: Title`, `name: Ada Lovelace`."""
    return step.kind if step.kind == "question" or not step.text else f"{step.kind}: {step.text}"
