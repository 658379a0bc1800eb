"""Retrieval by the vector service's hybrid search alone. Satisfies `Finder`."""

import asyncio
from collections.abc import Iterator, Sequence

import grpc

from pergola.vector.v1 import point_pb2, point_pb2_grpc
from services.chat.grounding.retrieving import Retrieved
from services.chat.peers.errors import translated
from services.chat.question import Passage


class VectorFinder:
    """`seconds` is the longest a search may take."""

    def __init__(self, channel: grpc.aio.Channel, seconds: float) -> None:
        self._stub = point_pb2_grpc.PointServiceStub(channel)
        self._seconds = seconds

    async def find(self, question: str, collections: Sequence[str], k: int) -> Retrieved:
        """Every collection is searched at once. Fused scores come from ranks, so they compare across collections."""
        searches = [asyncio.ensure_future(self._search(question, name, k)) for name in collections]
        try:
            found = [passage for passages in await asyncio.gather(*searches) for passage in passages]
        finally:
            for search in searches:
                search.cancel()
        # Stable: of equal scores, the collection named first comes first.
        return Retrieved(tuple(sorted(found, key=lambda passage: -passage.score)[:k]))

    async def _search(self, question: str, collection: str, k: int) -> list[Passage]:
        request = point_pb2.QueryPointsRequest(collection=collection, text=question, mode="hybrid", k=k)
        try:
            response = await self._stub.QueryPoints(request, timeout=self._seconds)
        except grpc.RpcError as error:
            raise translated(error, "vector", self._seconds) from None
        return list(_passages(collection, response.points))


def _passages(collection: str, points: Sequence[point_pb2.ScoredPoint]) -> Iterator[Passage]:
    """Points without a document's chunk have no text to show a model, and are passed over."""
    for scored in points:
        chunk = scored.point.chunk
        if chunk.text:
            yield Passage(
                collection=collection,
                id=scored.point.id,
                document=chunk.document,
                title=chunk.title,
                text=chunk.text,
                start=chunk.start,
                end=chunk.end,
                score=scored.score,
                path=("question", f"passage: {chunk.title}"),
            )
