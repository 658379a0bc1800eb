"""The vector service: the change feed, points, and embeddings."""

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
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
    filter_pb2,
    point_pb2,
    point_pb2_grpc,
)
from services.graph.feed import Change, Changes, Event, Heartbeat, Reset, Source, Text
from services.graph.model import Cursor
from services.graph.passages.passage import Vector, Vectors
from services.graph.points import CollectionInfo, Embedded, Filter, Found, Point
from services.runtime.errors import CollectionNotFound, from_rpc

PEER: Final = "vector"

_SCROLLED: Final = 2_000
"""Points read by one call: whoever takes them embeds in between, and no stream lives for ever."""
_BATCH: Final = 200
_EMBED_SECONDS: Final = 300.0
"""For a bulk of texts that nobody waits for, while documents are ingested beside."""


class VectorPeer:
    """A `Feed`, `Points` and `Meanings`, all acting for the tenant of the current call."""

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

    async def watch(
        self, collection: str, consumer: str, after: Cursor, *, with_vector: bool = False
    ) -> AsyncGenerator[Event, None]:
        request = change_pb2.WatchChangesRequest(
            collection=collection, consumer=consumer, after=_to_cursor(after), with_vector=with_vector
        )
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

    async def collection(self, name: str) -> CollectionInfo:
        one = await self._collection(name)
        return CollectionInfo(name, one.incarnation, one.embedding_model, one.dimension, one.graph)

    async def head(self, name: str) -> Cursor:
        one = await self._collection(name)
        return Cursor(one.incarnation, one.last_change)

    async def _collection(self, name: str) -> collection_pb2.Collection:
        with _translated():
            answer = await self._collections.GetCollection(collection_pb2.GetCollectionRequest(collection=name))
        return answer.collection

    async def model_for(self, graph: str) -> str:
        """The embedding model of the collection that a graph is of; empty, vector's own one, when it is of none."""
        try:
            return (await self.collection(graph)).model
        except CollectionNotFound:
            return ""

    async def embed(self, texts: Sequence[str], model: str) -> Vectors:
        with _translated():
            answer = await self._embeddings.Embed(embedding_pb2.EmbedRequest(texts=texts, model=model))
        return np.stack([_vector(one) for one in answer.embeddings])

    async def embed_kept(self, texts: Sequence[str], collection: str) -> Vectors:
        request = embedding_pb2.EmbedRequest(texts=texts, collection=collection)
        with _translated():
            answer = await self._embeddings.Embed(request, timeout=_EMBED_SECONDS)
        return np.stack([_vector(one) for one in answer.embeddings])

    async def find(self, collection: str, question: str, k: int, filter: Filter | None) -> list[Found]:
        request = point_pb2.QueryPointsRequest(
            collection=collection, text=question, mode="hybrid", k=k, filter=_filter(filter)
        )
        with _translated():
            answer = await self._points.QueryPoints(request)
        return [
            Found(
                _point(collection, one.point),
                one.dense_score if one.HasField("dense_score") else None,
                one.lexical_score if one.HasField("lexical_score") else None,
            )
            for one in answer.points
        ]

    async def points(self, collection: str, ids: Sequence[str]) -> list[Point]:
        request = point_pb2.GetPointsRequest(collection=collection, ids=ids)
        with _translated():
            answer = await self._points.GetPoints(request)
        return [_point(collection, one) for one in answer.points]

    async def passages(self, collection: str, ids: Sequence[str]) -> list[Embedded]:
        request = point_pb2.GetPointsRequest(collection=collection, ids=ids, with_vector=True)
        with _translated():
            answer = await self._points.GetPoints(request)
        return _embedded(answer.points)

    async def matching(self, collection: str, filter: Filter, limit: int) -> list[str]:
        request = point_pb2.ScrollPointsRequest(
            collection=collection, filter=_filter(filter), limit=limit, batch_size=1000, with_payload=False
        )
        return [one.id async for message in self._scrolled(request) for one in message.points]

    async def scroll(self, collection: str) -> AsyncGenerator[Sequence[Embedded], None]:
        token = ""
        while True:
            request = point_pb2.ScrollPointsRequest(
                collection=collection, limit=_SCROLLED, batch_size=_BATCH, page_token=token, with_vector=True
            )
            count = 0
            async with aclosing(self._scrolled(request)) as messages:
                async for message in messages:
                    token = message.next_page_token
                    count += 1
                    yield _embedded(message.points)
            if count < _SCROLLED // _BATCH:
                return

    async def _scrolled(
        self, request: point_pb2.ScrollPointsRequest
    ) -> AsyncGenerator[point_pb2.ScrollPointsResponse, None]:
        stream = self._points.ScrollPoints(request)
        try:
            with _translated():
                async for message in stream:
                    yield message
        finally:
            stream.cancel()


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
    return Change(change.seq, point.id, _text(point), _vector(point.vector) if point.HasField("vector") else None)


def _text(point: point_pb2.Point) -> Text | None:
    """None: there is nothing in it that could mention anything."""
    chunk = point.chunk
    if point.HasField("chunk"):
        return Text(chunk.document, chunk.title, chunk.text, chunk.index, tuple(chunk.heading_path), chunk.before)
    return Text("", "", point.text, 0, ()) if point.text else None


def _embedded(points: Iterable[point_pb2.Point]) -> list[Embedded]:
    found = ((point, _text(point)) for point in points)
    return [Embedded(point.id, text, _vector(point.vector)) for point, text in found if text is not None]


def _filter(filter: Filter | None) -> filter_pb2.Filter | None:
    return None if filter is None else filter_pb2.Filter.FromString(filter)


def _vector(vector: point_pb2.Vector) -> Vector:
    if vector.packed:
        return np.frombuffer(vector.packed, "<f4").astype(np.float32)
    return np.asarray(vector.values, np.float32)


def _point(collection: str, point: point_pb2.Point) -> Point:
    chunk = point.chunk
    return Point(
        collection=collection,
        id=point.id,
        text=chunk.text or point.text,
        document=chunk.document,
        title=chunk.title,
        heading_path=tuple(chunk.heading_path),
        index=chunk.index,
        start=chunk.start,
        end=chunk.end if point.HasField("chunk") else len(point.text),
        payload=point.payload if point.HasField("payload") else None,
    )
