"""Vector and graph services in this process, over real stores, with what tests do to them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import grpc

from pergola.graph.v1 import (
    cypher_pb2,
    cypher_pb2_grpc,
    graph_pb2_grpc,
    reading_pb2,
    retrieval_pb2,
    retrieval_pb2_grpc,
)
from pergola.vector.v1 import (
    change_pb2,
    change_pb2_grpc,
    collection_pb2,
    collection_pb2_grpc,
    document_pb2,
    document_pb2_grpc,
    job_pb2,
    job_pb2_grpc,
    point_pb2,
    point_pb2_grpc,
)
from services.graph.assemble import assemble as assemble_graph
from services.graph.settings import GraphSettings
from services.graph.store import GraphStore
from services.graph.stores.opening import open_store
from services.runtime.settings import load
from services.runtime.start import Running, serving
from services.vector.assemble import assemble as assemble_vector
from services.vector.settings import VectorSettings
from tests.stacks import Stores

LOCAL = [("grpc.enable_http_proxy", 0)]


def bare(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without listeners, peers and kept indexes: services of a test find free ports, are told of each
    other, and read what there is."""
    return {name: value for name, value in environ.items() if not name.endswith(("LISTEN", "_ADDRESS", "_INDEX_DIR"))}


def graph_environ(stores: Stores, vector: str, **more: object) -> dict[str, str]:
    """The environment of a graph service as the supervisor would make it, and some of the test's own by name."""
    own = {f"PERGOLA_GRAPH_{name.upper()}": str(value) for name, value in more.items()}
    environ = bare(stores.environ("graph")) | {
        "PERGOLA_GRAPH_LISTEN": "127.0.0.1:0",
        "PERGOLA_VECTOR_ADDRESS": vector,
        "PERGOLA_GRAPH_FOLLOW_POLL_SECONDS": "0.1",
    }
    return environ | own


def graph_settings(stores: Stores, vector: str = "127.0.0.1:1", **more: object) -> GraphSettings:
    return load(GraphSettings, "graph", graph_environ(stores, vector, **more))


def graph_store(stores: Stores, tenants: Collection[str] = ("default",)) -> AbstractAsyncContextManager[GraphStore]:
    """The store alone, as a process of the service has it when these are its tenants."""
    return open_store(graph_settings(stores), lambda: frozenset(tenants))


@asynccontextmanager
async def graph_service(stores: Stores, vector: str = "127.0.0.1:1", **more: object) -> AsyncIterator["GraphDoor"]:
    """A graph service; without `vector` it has no neighbour."""
    async with (
        serving("graph", graph_settings(stores, vector, **more), assemble_graph) as running,
        grpc.aio.insecure_channel(running.address, options=LOCAL) as channel,
    ):
        yield GraphDoor(running, channel)


@asynccontextmanager
async def vector_service(stores: Stores, environ: Mapping[str, str] | None = None) -> AsyncIterator["VectorDoor"]:
    """A vector service with a database of its own, or with the one of `environ`."""
    given = bare(environ if environ is not None else await stores.own_database("vector"))
    more = {"PERGOLA_VECTOR_LISTEN": "127.0.0.1:0", "PERGOLA_VECTOR_POLL_SECONDS": "0.2"}
    async with (
        serving("vector", load(VectorSettings, "vector", given | more), assemble_vector) as running,
        grpc.aio.insecure_channel(running.address, options=LOCAL) as channel,
    ):
        yield VectorDoor(running, channel)


class _Acting:
    """Calls under a key, for a tenant."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Sequence[tuple[str, str]] = ()) -> None:
        self.channel = channel
        self.metadata = tuple(metadata)

    def stub(self, kind: Callable[[grpc.aio.Channel], Any]) -> Any:
        return _Stub(kind(self.channel), self.metadata)

    @staticmethod
    def credentials(key: str, tenant: str) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {key}"), *([("x-pergola-tenant", tenant)] if tenant else [])]


class _Stub:
    """A generated stub whose calls carry this metadata."""

    def __init__(self, inner: Any, metadata: tuple[tuple[str, str], ...]) -> None:
        self._inner = inner
        self._metadata = metadata

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return partial(getattr(self._inner, name), metadata=self._metadata)


class GraphDoor(_Acting):
    """A running graph service and stubs that talk to it."""

    def __init__(self, running: Running, channel: grpc.aio.Channel, metadata: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(channel, metadata)
        self.running = running
        self.graph = self.stub(graph_pb2_grpc.GraphServiceStub)
        self.cypher = self.stub(cypher_pb2_grpc.CypherServiceStub)
        self.retrieval = self.stub(retrieval_pb2_grpc.RetrievalServiceStub)

    def acting(self, key: str, tenant: str = "") -> "GraphDoor":
        """The same door for a caller with a key."""
        return GraphDoor(self.running, self.channel, self.credentials(key, tenant))

    async def search(self, graph: str, query: str, timeout: float = 20, **fields: Any) -> list[tuple[str, str, int]]:
        """Key, name and mentions of each entity."""
        request = reading_pb2.SearchEntitiesRequest(graph=graph, query=query, **fields)
        answer = await self.graph.SearchEntities(request, timeout=timeout)
        return [(one.key, one.name, one.mention_count) for one in answer.entities]

    def query(self, query: str, timeout: float = 20, **fields: Any) -> Any:
        return self.cypher.RunQuery(cypher_pb2.RunQueryRequest(query=query, **fields), timeout=timeout)

    async def rows(self, query: str, **fields: Any) -> list[list[Any]]:
        """All rows of a query, as JSON values."""
        found: list[list[Any]] = []
        async for message in self.query(query, **fields):
            found += [list(row) for row in message.rows.items]
        return found

    async def retrieve(self, question: str, collections: Sequence[str], **fields: Any) -> Any:
        timeout = fields.pop("timeout", 20)
        return await self.retrieval.Retrieve(
            retrieval_pb2.RetrieveRequest(question=question, collections=collections, **fields), timeout=timeout
        )


class VectorDoor(_Acting):
    """A running vector service and stubs that talk to it."""

    def __init__(self, running: Running, channel: grpc.aio.Channel, metadata: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(channel, metadata)
        self.running = running
        self.address = running.address
        self.collections = self.stub(collection_pb2_grpc.CollectionServiceStub)
        self.documents = self.stub(document_pb2_grpc.DocumentServiceStub)
        self.jobs = self.stub(job_pb2_grpc.JobServiceStub)
        self.points = self.stub(point_pb2_grpc.PointServiceStub)
        self.changes = self.stub(change_pb2_grpc.ChangeServiceStub)

    def acting(self, key: str, tenant: str = "") -> "VectorDoor":
        """The same door for a caller with a key."""
        return VectorDoor(self.running, self.channel, self.credentials(key, tenant))

    async def create(self, name: str, *, graph: bool = True, neighbors: str = "") -> None:
        collection = collection_pb2.Collection(name=name, graph=graph, neighbors=neighbors)
        await self.collections.CreateCollection(collection_pb2.CreateCollectionRequest(collection=collection))

    async def delete(self, name: str) -> None:
        await self.collections.DeleteCollection(collection_pb2.DeleteCollectionRequest(collection=name))

    async def ingest(self, collection: str, documents: Mapping[str, str]) -> None:
        """Title → text; returns when the documents are searchable."""
        await self.ingest_all(
            collection,
            [document_pb2.Document(id=title, title=title, text=text) for title, text in documents.items()],
        )

    async def ingest_all(self, collection: str, documents: Sequence[document_pb2.Document]) -> None:
        """The same for whole documents."""
        request = document_pb2.IngestDocumentsRequest(collection=collection, documents=documents)
        job = (await self.documents.IngestDocuments(request)).job
        async for message in self.jobs.WatchJob(job_pb2.WatchJobRequest(id=job.id)):
            job = message.job.job if message.HasField("job") else job
        assert job.status == "completed", job

    async def caught_up(self, collection: str, consumer: str = "graph") -> None:
        """Returns when the consumer has acknowledged everything the collection has."""
        async with asyncio.timeout(60):
            while await self._lag(collection, consumer):  # noqa: ASYNC110 - another service's state
                await asyncio.sleep(0.05)

    async def _lag(self, collection: str, consumer: str) -> int:
        sources = (await self.changes.ListChangeSources(change_pb2.ListChangeSourcesRequest())).sources
        head = next(source.head for source in sources if source.collection == collection)
        # A cursor behind the acknowledged one changes nothing, so this only asks.
        start = change_pb2.ChangeCursor(incarnation=head.incarnation, seq=0)
        request = change_pb2.AckChangesRequest(collection=collection, consumer=consumer, cursor=start)
        return int((await self.changes.AckChanges(request)).lag)

    async def hybrid(self, collection: str, question: str, k: int) -> list[str]:
        """Titles of what hybrid search finds."""
        request = point_pb2.QueryPointsRequest(collection=collection, text=question, mode="hybrid", k=k)
        return [one.point.chunk.title for one in (await self.points.QueryPoints(request)).points]
