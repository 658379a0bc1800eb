"""The vector service: the change feed, points, and embeddings."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import grpc
import numpy as np

from pergola.vector.v1 import (
    change_pb2,
    change_pb2_grpc,
    collection_pb2,
    collection_pb2_grpc,
    embedding_pb2,
    embedding_pb2_grpc,
    point_pb2,
    point_pb2_grpc,
)
from services.graph.feed import Change, Changes, Event, Heartbeat, Reset, Source, Text
from services.graph.model import Cursor
from services.graph.retrieval.passages import Found, Point, Vector
from services.runtime.errors import CollectionNotFound, from_rpc

PEER: Final = "vector"


class VectorPeer:
    """A `Feed`, a `Passages` and a `Meanings`, all acting for the tenant of the current call."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._changes = change_pb2_grpc.ChangeServiceStub(channel)
        self._collections = collection_pb2_grpc.CollectionServiceStub(channel)
        self._points = point_pb2_grpc.PointServiceStub(channel)
        self._embeddings = embedding_pb2_grpc.EmbeddingServiceStub(channel)

    # The change feed.

    async def sources(self) -> list[Source]:
        with _translated():
            answer = await self._changes.ListChangeSources(change_pb2.ListChangeSourcesRequest())
        return [Source(source.tenant, source.collection, _cursor(source.head)) for source in answer.sources]

    async def exists(self, collection: str) -> bool:
        try:
            with _translated():
                await self._collections.GetCollection(collection_pb2.GetCollectionRequest(collection=collection))
        except CollectionNotFound:
            return False
        return True

    async def watch(self, collection: str, consumer: str, after: Cursor) -> AsyncGenerator[Event, None]:
        request = change_pb2.WatchChangesRequest(collection=collection, consumer=consumer, after=_to_cursor(after))
        stream = self._changes.WatchChanges(request)
        try:
            with _translated():
                async for message in stream:
                    yield _event(message)
        finally:
            stream.cancel()

    async def acknowledge(self, collection: str, consumer: str, cursor: Cursor) -> int:
        request = change_pb2.AckChangesRequest(collection=collection, consumer=consumer, cursor=_to_cursor(cursor))
        with _translated():
            answer = await self._changes.AckChanges(request)
        return answer.lag

    # Points and embeddings.

    async def model_of(self, collection: str) -> str:
        """The embedding model of a collection. Raises CollectionNotFound."""
        with _translated():
            answer = await self._collections.GetCollection(collection_pb2.GetCollectionRequest(collection=collection))
        return answer.collection.embedding_model

    async def model_for(self, graph: str) -> str:
        """The embedding model of the collection that a graph is of; empty, vector's own one, when it is of none."""
        try:
            return await self.model_of(graph)
        except CollectionNotFound:
            return ""

    async def embed(self, texts: Sequence[str], model: str) -> list[Vector]:
        with _translated():
            answer = await self._embeddings.Embed(embedding_pb2.EmbedRequest(texts=texts, model=model))
        return [_vector(one) for one in answer.embeddings]

    async def find(self, collection: str, question: str, k: int) -> list[Found]:
        """Hybrid search, with vectors. Raises CollectionNotFound."""
        request = point_pb2.QueryPointsRequest(
            collection=collection, text=question, mode="hybrid", k=k, with_vector=True, with_payload=True
        )
        with _translated():
            answer = await self._points.QueryPoints(request)
        return [
            Found(
                _point(collection, one.point),
                one.score,
                one.dense_score if one.HasField("dense_score") else None,
                one.lexical_score if one.HasField("lexical_score") else None,
            )
            for one in answer.points
        ]

    async def points(self, collection: str, ids: Sequence[str]) -> list[Point]:
        """Those of the points that there are, with vectors."""
        request = point_pb2.GetPointsRequest(collection=collection, ids=ids, with_vector=True)
        with _translated():
            answer = await self._points.GetPoints(request)
        return [_point(collection, one) for one in answer.points]


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        raise from_rpc(error, PEER) from error


def _cursor(cursor: change_pb2.ChangeCursor) -> Cursor:
    return Cursor(cursor.incarnation, cursor.seq)


def _to_cursor(cursor: Cursor) -> change_pb2.ChangeCursor:
    return change_pb2.ChangeCursor(incarnation=cursor.incarnation, seq=cursor.seq)


def _event(message: change_pb2.WatchChangesResponse) -> Event:
    kind = message.WhichOneof("event")
    if kind == "changes":
        return Changes([_change(item) for item in message.changes.items], _cursor(message.changes.cursor))
    if kind == "reset":
        return Reset(_cursor(message.reset.cursor))
    return Heartbeat(_cursor(message.heartbeat.head))


def _change(change: change_pb2.Change) -> Change:
    if change.WhichOneof("change") == "delete":
        return Change(change.seq, change.delete, None)
    point = change.upsert
    if not point.HasField("chunk"):
        return Change(change.seq, point.id, None)
    chunk = point.chunk
    return Change(
        change.seq, point.id, Text(chunk.document, chunk.title, chunk.text, chunk.index, tuple(chunk.heading_path))
    )


def _vector(vector: point_pb2.Vector) -> Vector:
    if vector.packed:
        return np.frombuffer(vector.packed, "<f4").astype(np.float32)
    return np.asarray(vector.values, np.float32)


def _point(collection: str, point: point_pb2.Point) -> Point:
    chunk = point.chunk
    return Point(
        collection=collection,
        id=point.id,
        vector=_vector(point.vector) if point.HasField("vector") else None,
        text=chunk.text,
        document=chunk.document,
        title=chunk.title,
        heading_path=tuple(chunk.heading_path),
        index=chunk.index,
        start=chunk.start,
        end=chunk.end,
        payload=point.payload if point.HasField("payload") else None,
    )
