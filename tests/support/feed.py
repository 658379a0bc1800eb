"""A vector service that says what a test wants, by gRPC: collections whose changes the test makes, with the vector
service's own rules for cursors, resets and acknowledgements."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

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
from services.runtime.errors import CollectionNotFound, CursorMismatch, Unimplemented
from services.runtime.settings import ServiceSettings
from services.runtime.start import Runtime, Servicer, serving
from tests.support.fake_embeddings import DIMENSION, embedding


@dataclass
class Collection:
    """A collection as its changes tell it."""

    incarnation: str
    changes: list[change_pb2.Change] = field(default_factory=list)
    acknowledged: int = 0
    gone: bool = False

    @property
    def head(self) -> change_pb2.ChangeCursor:
        return change_pb2.ChangeCursor(incarnation=self.incarnation, seq=len(self.changes))


class ScriptedFeed(
    change_pb2_grpc.ChangeServiceServicer,
    collection_pb2_grpc.CollectionServiceServicer,
    embedding_pb2_grpc.EmbeddingServiceServicer,
):
    """The change service of one tenant, with what else is asked of a collection that is followed."""

    def __init__(self, tenant: str = "default") -> None:
        self.tenant = tenant
        self.address = ""
        self.batch = 500
        self.collections: dict[str, Collection] = {}
        self._moved = asyncio.Condition()

    # What a test does.

    async def create(self, name: str, incarnation: str) -> None:
        async with self._moved:
            if name in self.collections:
                self.collections[name].gone = True
            self.collections[name] = Collection(incarnation)
            self._moved.notify_all()

    async def drop(self, name: str) -> None:
        async with self._moved:
            self.collections.pop(name).gone = True
            self._moved.notify_all()

    async def write(self, name: str, changes: Mapping[str, point_pb2.Chunk | None]) -> None:
        """Point → its chunk, or None when it is deleted."""
        async with self._moved:
            collection = self.collections[name]
            for point, chunk in changes.items():
                change = change_pb2.Change(seq=len(collection.changes) + 1)
                if chunk is None:
                    change.delete = point
                else:
                    change.upsert.CopyFrom(point_pb2.Point(id=point, chunk=chunk, vector=_vector(chunk.text)))
                collection.changes.append(change)
            self._moved.notify_all()

    async def followed(self, name: str, seconds: float = 60) -> None:
        """Returns when everything is acknowledged."""
        async with asyncio.timeout(seconds), self._moved:
            collection = self.collections[name]
            await self._moved.wait_for(lambda: collection.acknowledged == len(collection.changes))

    # What a follower asks.

    async def ListChangeSources(self, _request: Any, _context: Any) -> change_pb2.ListChangeSourcesResponse:
        return change_pb2.ListChangeSourcesResponse(
            sources=[
                change_pb2.ChangeSource(tenant=self.tenant, collection=name, head=one.head)
                for name, one in self.collections.items()
            ]
        )

    async def GetCollection(
        self, request: collection_pb2.GetCollectionRequest, _context: Any
    ) -> collection_pb2.GetCollectionResponse:
        found = self._find(request.collection)
        return collection_pb2.GetCollectionResponse(
            collection=collection_pb2.Collection(
                name=request.collection,
                incarnation=found.incarnation,
                dimension=DIMENSION,
                embedding_model="fake",
                graph=True,
                last_change=len(found.changes),
            )
        )

    async def Embed(self, request: embedding_pb2.EmbedRequest, _context: Any) -> embedding_pb2.EmbedResponse:
        return embedding_pb2.EmbedResponse(
            embeddings=[_vector(text) for text in request.texts], model="fake", dimension=DIMENSION
        )

    async def ScrollPoints(
        self, request: point_pb2.ScrollPointsRequest, _context: Any
    ) -> AsyncIterator[point_pb2.ScrollPointsResponse]:
        points: dict[str, point_pb2.Point] = {}
        for change in self._find(request.collection).changes:
            points.pop(change.delete or change.upsert.id, None)
            if change.HasField("upsert"):
                points[change.upsert.id] = change.upsert
        if points and not request.page_token:
            yield point_pb2.ScrollPointsResponse(points=points.values(), next_page_token="the end")

    async def WatchChanges(
        self, request: change_pb2.WatchChangesRequest, _context: Any
    ) -> AsyncIterator[change_pb2.WatchChangesResponse]:
        collection = self._find(request.collection)
        place = request.after.seq
        if request.after.incarnation != collection.incarnation or place > len(collection.changes):
            place = 0
            start = change_pb2.ChangeCursor(incarnation=collection.incarnation)
            yield change_pb2.WatchChangesResponse(reset=change_pb2.ChangeReset(cursor=start))
        while True:
            async with self._moved:
                while not collection.gone and place == len(collection.changes):
                    await self._moved.wait()
            if collection.gone:
                raise CollectionNotFound("it is gone")
            items = collection.changes[place : place + self.batch]
            place += len(items)
            cursor = change_pb2.ChangeCursor(incarnation=collection.incarnation, seq=place)
            yield change_pb2.WatchChangesResponse(changes=change_pb2.Changes(items=items, cursor=cursor))

    async def AckChanges(self, request: change_pb2.AckChangesRequest, _context: Any) -> change_pb2.AckChangesResponse:
        collection = self._find(request.collection)
        async with self._moved:
            if request.cursor.incarnation != collection.incarnation or request.cursor.seq > len(collection.changes):
                raise CursorMismatch("not of this feed")
            collection.acknowledged = max(collection.acknowledged, request.cursor.seq)
            self._moved.notify_all()
            return change_pb2.AckChangesResponse(lag=len(collection.changes) - collection.acknowledged)

    async def _uncalled(self, request: Any, context: Any) -> Any:  # noqa: ARG002 - the names are the stub's
        raise Unimplemented("followers do not call this")

    CreateCollection = UpdateCollection = ListCollections = DeleteCollection = ListConsumers = _uncalled

    def _find(self, name: str) -> Collection:
        if name not in self.collections:
            raise CollectionNotFound("there is none")
        return self.collections[name]

    # How it is served.

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["ScriptedFeed"]:
        @asynccontextmanager
        async def assemble(_settings: ServiceSettings, _runtime: Runtime[ServiceSettings]) -> AsyncIterator[Any]:
            yield [
                Servicer("pergola.vector.v1.ChangeService", self, change_pb2_grpc.add_ChangeServiceServicer_to_server),
                Servicer(
                    "pergola.vector.v1.EmbeddingService",
                    self,
                    embedding_pb2_grpc.add_EmbeddingServiceServicer_to_server,
                ),
                Servicer(
                    "pergola.vector.v1.PointService",
                    _Points(self),  # type: ignore[abstract]
                    point_pb2_grpc.add_PointServiceServicer_to_server,
                ),
                Servicer(
                    "pergola.vector.v1.CollectionService",
                    self,
                    collection_pb2_grpc.add_CollectionServiceServicer_to_server,
                ),
            ]

        async with serving("vector", ServiceSettings(drain_seconds=1), assemble) as running:
            self.address = running.address
            yield self


class _Points(point_pb2_grpc.PointServiceServicer):
    """The one call to points that an index makes."""

    def __init__(self, feed: ScriptedFeed) -> None:
        self._feed = feed

    async def ScrollPoints(
        self, request: point_pb2.ScrollPointsRequest, context: Any
    ) -> AsyncIterator[point_pb2.ScrollPointsResponse]:
        async for message in self._feed.ScrollPoints(request, context):
            yield message


def _vector(text: str) -> point_pb2.Vector:
    return point_pb2.Vector(packed=embedding(text).astype("<f4").tobytes())


def chunk(text: str, title: str = "", document: str = "d", index: int = 0) -> point_pb2.Chunk:
    return point_pb2.Chunk(document=document, title=title, text=text, index=index, end=len(text))
