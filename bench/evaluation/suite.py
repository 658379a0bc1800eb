"""A suite of its own, in an empty folder, and the calls that a measurement makes."""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import grpc

from bench._harness.cli import BenchmarkError
from bench.retrieval.questions import Text
from local import settings
from local.errors import LocalError
from local.stack import Stack
from pergola.graph.v1 import retrieval_pb2, retrieval_pb2_grpc
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

_DOCUMENTS: Final = 500
_SECONDS: Final = 120.0
_POLL: Final = 0.2
_FOLLOWED: Final = 3 * 3600.0


class Suite:
    """Calls to a running suite, by its gateway."""

    def __init__(self, stack: Stack, channel: grpc.Channel) -> None:
        self.stack = stack
        self.collections = collection_pb2_grpc.CollectionServiceStub(channel)
        self.documents = document_pb2_grpc.DocumentServiceStub(channel)
        self.jobs = job_pb2_grpc.JobServiceStub(channel)
        self.points = point_pb2_grpc.PointServiceStub(channel)
        self.changes = change_pb2_grpc.ChangeServiceStub(channel)
        self.retrieval = retrieval_pb2_grpc.RetrievalServiceStub(channel)
        self.channel = channel

    def create(self, name: str, *, graph: bool = True, model: str = "", neighbors: str = "") -> None:
        made = collection_pb2.Collection(name=name, graph=graph, embedding_model=model, neighbors=neighbors)
        self.collections.CreateCollection(
            collection_pb2.CreateCollectionRequest(collection=made), timeout=_SECONDS, wait_for_ready=True
        )

    def ingest(self, name: str, corpus: Sequence[Text]) -> None:
        """As documents whose ids are their places; returns when all are searchable.

        Raises BenchmarkError when a document fails.
        """
        ids = []
        for first in range(0, len(corpus), _DOCUMENTS):
            documents = [
                document_pb2.Document(id=str(place), title=one.title, text=one.text)
                for place, one in enumerate(corpus[first : first + _DOCUMENTS], first)
            ]
            request = document_pb2.IngestDocumentsRequest(collection=name, documents=documents)
            ids.append(self.documents.IngestDocuments(request, timeout=_SECONDS).job.id)
        for id in ids:
            job = self.jobs.GetJob(job_pb2.GetJobRequest(id=id), timeout=_SECONDS).job
            while job.status in ("queued", "running"):
                time.sleep(_POLL)
                job = self.jobs.GetJob(job_pb2.GetJobRequest(id=id), timeout=_SECONDS).job
            if job.status != "completed" or job.failures:
                raise BenchmarkError(f"documents could not be ingested: {job.status} {list(job.failures)[:3]}")

    def upsert(self, name: str, texts: Sequence[str]) -> None:
        """As points without a title, whose ids are their places."""
        for first in range(0, len(texts), _DOCUMENTS):
            points = [
                point_pb2.NewPoint(id=str(place), text=one)
                for place, one in enumerate(texts[first : first + _DOCUMENTS], first)
            ]
            self.points.UpsertPoints(
                point_pb2.UpsertPointsRequest(collection=name, points=points), timeout=10 * _SECONDS
            )

    def followed(self, name: str) -> None:
        """Returns when the graph has everything. Raises BenchmarkError when it never does."""
        request = collection_pb2.GetCollectionRequest(collection=name)
        incarnation = self.collections.GetCollection(request, timeout=_SECONDS).collection.incarnation
        # A cursor behind the acknowledged one changes nothing, so this only asks how much is left.
        ask = change_pb2.AckChangesRequest(
            collection=name, consumer="graph", cursor=change_pb2.ChangeCursor(incarnation=incarnation, seq=0)
        )
        until = time.monotonic() + _FOLLOWED
        while self.changes.AckChanges(ask, timeout=_SECONDS).lag:
            if time.monotonic() > until:
                raise BenchmarkError(f"the graph did not follow {name} in time")
            time.sleep(_POLL)

    def dense(self, name: str, question: str, k: int) -> list[int]:
        """Places of the documents that QueryPoints finds by vectors alone."""
        request = point_pb2.QueryPointsRequest(collection=name, text=question, mode="dense", k=k, exact=True)
        found = self.points.QueryPoints(request, timeout=_SECONDS).points
        return _places((one.point.chunk.document, one.point.id) for one in found)

    def hybrid(self, name: str, question: str, k: int) -> list[int]:
        """Places of the documents that QueryPoints finds by vectors and words."""
        request = point_pb2.QueryPointsRequest(collection=name, text=question, mode="hybrid", k=k)
        found = self.points.QueryPoints(request, timeout=_SECONDS).points
        return _places((one.point.chunk.document, one.point.id) for one in found)

    def retrieve(self, name: str, question: str, k: int) -> list[int]:
        """Places of the documents that Retrieve finds. Raises BenchmarkError when it had to leave something out."""
        request = retrieval_pb2.RetrieveRequest(collections=[name], question=question, k=k)
        answer = self.retrieval.Retrieve(request, timeout=_SECONDS)
        if answer.degraded:
            raise BenchmarkError(f"Retrieve left something out: {answer.degraded}")
        return _places((one.document, one.id) for one in answer.passages)


def _places(found: Iterator[tuple[str, str]]) -> list[int]:
    """Each document once, where its best passage is; of points without a document the point."""
    return list(dict.fromkeys(int(document or point) for document, point in found))


@contextmanager
def running(environ: Mapping[str, str] | None = None) -> Iterator[Suite]:
    """A suite with nothing in it, stopped and removed at the end. `environ`: settings beside the defaults.

    Raises BenchmarkError when it can't be started.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pergola-bench-")))
        own = {name: value for name, value in os.environ.items() if not name.startswith("PERGOLA_")}
        kept = {"PERGOLA_MODELS_DIR": str(settings.CHECKOUT / "build" / "models")}
        parts = Stack(folder / "data", ports={"gateway": 0}, environ=own | kept | dict(environ or {}))
        try:
            parts.start()
        except LocalError as error:
            raise BenchmarkError(f"Pergola did not start: {error}") from None
        stack.callback(parts.stop)
        options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", 64 * 2**20)]
        channel = stack.enter_context(grpc.insecure_channel(parts.address("gateway"), options=options))
        yield Suite(parts, channel)
