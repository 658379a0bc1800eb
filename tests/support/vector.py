"""The vector service in this process, on the real PostgreSQL, with shorthands for its calls."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from pergola.vector.v1 import (
    change_pb2,
    change_pb2_grpc,
    collection_pb2,
    collection_pb2_grpc,
    document_pb2,
    document_pb2_grpc,
    embedding_pb2_grpc,
    job_pb2,
    job_pb2_grpc,
    point_pb2,
    point_pb2_grpc,
)
from services.runtime.settings import load
from services.runtime.start import serving
from services.vector.assemble import assemble
from services.vector.settings import VectorSettings
from services.vector.stores.database.connections import Database

_numbers = itertools.count(1)


class Vector:
    """A caller of the service: stubs, and the few steps every test takes."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Mapping[str, str] | None = None) -> None:
        self.metadata = tuple((metadata or {}).items())
        self.collections: Any = collection_pb2_grpc.CollectionServiceStub(channel)
        self.points: Any = point_pb2_grpc.PointServiceStub(channel)
        self.documents: Any = document_pb2_grpc.DocumentServiceStub(channel)
        self.jobs: Any = job_pb2_grpc.JobServiceStub(channel)
        self.embeddings: Any = embedding_pb2_grpc.EmbeddingServiceStub(channel)
        self.changes: Any = change_pb2_grpc.ChangeServiceStub(channel)

    async def create(self, name: str = "", **fields: Any) -> str:
        """Makes a collection, by default one with a name of its own; returns the name."""
        name = name or f"c{next(_numbers)}"
        asked = collection_pb2.Collection(name=name, **fields)
        await self.collections.CreateCollection(
            collection_pb2.CreateCollectionRequest(collection=asked), metadata=self.metadata
        )
        return name

    async def accept(self, collection: str, *documents: document_pb2.Document | str, **fields: Any) -> str:
        """Hands in documents; returns the job's id."""
        whole = [document_pb2.Document(text=one) if isinstance(one, str) else one for one in documents]
        request = document_pb2.IngestDocumentsRequest(collection=collection, documents=whole, **fields)
        reply = await self.documents.IngestDocuments(request, metadata=self.metadata)
        return str(reply.job.id)

    async def ended(self, job: str) -> job_pb2.Job:
        """The job as it is when it has ended, by following it."""
        last = job_pb2.Job()
        async for event in self.jobs.WatchJob(job_pb2.WatchJobRequest(id=job), timeout=120, metadata=self.metadata):
            if event.HasField("job"):
                last = event.job.job
        return last

    async def ingest(self, collection: str, *documents: document_pb2.Document | str) -> job_pb2.Job:
        """Hands in documents and waits until they are searchable."""
        return await self.ended(await self.accept(collection, *documents))

    async def query(self, collection: str, **fields: Any) -> list[point_pb2.ScoredPoint]:
        reply = await self.points.QueryPoints(
            point_pb2.QueryPointsRequest(collection=collection, **fields), metadata=self.metadata
        )
        return list(reply.points)

    async def get(self, collection: str) -> collection_pb2.Collection:
        reply = await self.collections.GetCollection(
            collection_pb2.GetCollectionRequest(collection=collection), metadata=self.metadata
        )
        found: collection_pb2.Collection = reply.collection
        return found

    async def delete(self, collection: str) -> None:
        await self.collections.DeleteCollection(
            collection_pb2.DeleteCollectionRequest(collection=collection), metadata=self.metadata
        )

    def watch(self, collection: str, consumer: str = "test", **fields: Any) -> Any:
        """A call of WatchChanges. Cancel it."""
        request = change_pb2.WatchChangesRequest(collection=collection, consumer=consumer, **fields)
        return self.changes.WatchChanges(request, timeout=120, metadata=self.metadata)

    async def changes_until(self, collection: str, seq: int, **fields: Any) -> list[change_pb2.Change]:
        """The changes that a watch brings, up to number `seq`."""
        found: list[change_pb2.Change] = []
        call = self.watch(collection, **fields)
        async for event in call:
            found.extend(event.changes.items)
            if found and found[-1].seq >= seq:
                break
        call.cancel()
        return found


@contextlib.asynccontextmanager
async def vector_service(environ: Mapping[str, str], **settings: str) -> AsyncIterator[str]:
    """Runs the service; yields its address. `settings` in lower case, over those in `environ`."""
    whole = (
        dict(environ)
        | {"PERGOLA_LOG_LEVEL": "warning", "PERGOLA_VECTOR_DRAIN_SECONDS": "1"}
        | {f"PERGOLA_VECTOR_{name.upper()}": value for name, value in settings.items()}
    )
    for name in ("PERGOLA_VECTOR_LISTEN", "PERGOLA_VECTOR_METRICS_LISTEN"):
        whole.pop(name, None)
    if "cache_address" not in settings:
        whole.pop("PERGOLA_CACHE_ADDRESS", None)
    async with serving("vector", load(VectorSettings, "vector", whole), assemble) as running:
        yield running.address


@contextlib.asynccontextmanager
async def database_of(environ: Mapping[str, str]) -> AsyncIterator[Database]:
    """The service's own way into its database."""
    prefix = "PERGOLA_VECTOR_POSTGRES_"

    def login(kind: str) -> tuple[str, str]:
        return environ[f"{prefix}{kind}_USER"], Path(environ[f"{prefix}{kind}_PASSWORD_FILE"]).read_text().strip()

    database = Database(
        environ[f"{prefix}URL"], app=login("APP"), owner=login("OWNER"), connections=12, statement_seconds=30
    )
    await database.open()
    try:
        yield database
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def caller(address: str, metadata: Mapping[str, str] | None = None) -> AsyncIterator[Vector]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield Vector(channel, metadata)


def status(error: grpc.RpcError) -> tuple[str, str]:
    """Code and reason of a failed call."""
    return error.code().name, _details(error, error_details_pb2.ErrorInfo).reason


def violations(error: grpc.RpcError) -> list[str]:
    """The fields that a failed call complains about."""
    return [one.field for one in _details(error, error_details_pb2.BadRequest).field_violations]


def _details(error: grpc.RpcError, kind: Any) -> Any:
    trailing: Any = error.trailing_metadata() or ()
    packed = next((value for key, value in trailing if key == "grpc-status-details-bin"), b"")
    found = kind()
    for detail in status_pb2.Status.FromString(packed).details:
        if detail.Is(kind.DESCRIPTOR):
            detail.Unpack(found)
    return found
