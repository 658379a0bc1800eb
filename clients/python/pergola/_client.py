"""The short way in: one synchronous object for the usual things."""

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import grpc

from pergola import _address, _channels, _documents, _passages, _status
from pergola._errors import (
    AlreadyExists,
    NotFound,
    NotReachable,
    Unavailable,
    make,
    translated,
)
from pergola.chat.v1 import chat_pb2, chat_pb2_grpc
from pergola.graph.v1 import retrieval_pb2, retrieval_pb2_grpc
from pergola.vector.v1 import (
    collection_pb2,
    collection_pb2_grpc,
    document_pb2,
    document_pb2_grpc,
    job_pb2,
    job_pb2_grpc,
    point_pb2,
    point_pb2_grpc,
)

Document = document_pb2.Document
"""A document to ingest: `Document(id="guide.md", text="# Guide …")`; see document.proto for the other fields."""
Job = job_pb2.Job
"""A piece of long work; see job.proto."""

T = TypeVar("T")

ENDED: Final = frozenset({"completed", "failed", "cancelled"})
"""States in which a job stays."""
_PAGE: Final = 200
_PASSING: Final = frozenset({"STORE_UNAVAILABLE", "PEER_UNAVAILABLE", "DRAINING", "UNAVAILABLE"})
"""Reasons that may be gone a moment later. The last one: Envoy's own answer, which has no better one."""
_REPEATS: Final = 5
_PAUSE_SECONDS: Final = 0.2


class Pergola:
    """A connection to Pergola. Close it, or use it in a `with` block. Safe for several threads.

    The parameters are those of `pergola.channel`, which see. Every method raises PergolaError; `timeout` bounds one
    call, `stream_timeout` one stream.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = _channels.UNARY_SECONDS,
        stream_timeout: float = _channels.STREAM_SECONDS,
        ca_file: str | None = None,
        channel: grpc.Channel | None = None,
    ) -> None:
        self._address = _address.find(url)
        self._ca_file = ca_file or os.environ.get("PERGOLA_CA_FILE")
        self.channel = channel or _channels.channel(
            self._address.url, api_key=api_key, timeout=timeout, stream_timeout=stream_timeout, ca_file=self._ca_file
        )
        """For generated stubs, for what this class has no method for."""
        self._collections = collection_pb2_grpc.CollectionServiceStub(self.channel)
        self._documents = document_pb2_grpc.DocumentServiceStub(self.channel)
        self._jobs = job_pb2_grpc.JobServiceStub(self.channel)
        self._points = point_pb2_grpc.PointServiceStub(self.channel)
        self._retrieval = retrieval_pb2_grpc.RetrievalServiceStub(self.channel)
        self._chat = chat_pb2_grpc.ChatServiceStub(self.channel)

    @property
    def url(self) -> str:
        """Where this client calls."""
        return self._address.url

    def close(self) -> None:
        self.channel.close()

    def __enter__(self) -> "Pergola":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- documents in ---

    def ingest(self, documents: Iterable[str | Document], *, collection: str = "docs") -> list[Job]:
        """Hands documents in, and returns the jobs that process them: one for each 1,000 documents or 8 MiB.

        A collection that does not exist is created, with `graph` on. A document with the id of an older one replaces
        it; an unchanged one costs nothing.
        """
        return list(self.ingest_batches(documents, collection=collection))

    def ingest_batches(self, documents: Iterable[str | Document], *, collection: str = "docs") -> Iterator[Job]:
        """`ingest` bit by bit: reads on from `documents` only as the jobs are taken."""
        for batch in _documents.batches(documents):
            # The id makes repetitions harmless.
            request = document_pb2.IngestDocumentsRequest(
                collection=collection, documents=batch, request_id=uuid.uuid4().hex
            )
            yield self._into(collection, self._documents.IngestDocuments, request).job

    def upload(
        self,
        path: str | os.PathLike[str],
        *,
        name: str = "",
        collection: str = "docs",
        title: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> Job:
        """Hands a file in as it is (PDF, DOCX, HTML, …; see docs/parsing.md), and returns the job that parses it.

        name: the document's id; empty: `path` as given. Creates the collection as `ingest` does. Raises OSError when
        the file can't be read.
        """
        file = _documents.File(path, name or os.fspath(path), collection, title, metadata or {}, uuid.uuid4().hex)
        job: Job = self._into(collection, lambda one: self._documents.UploadDocument(one.requests()), file).job
        return job

    def _into(self, collection: str, call: Callable[[Any], Any], request: object) -> Any:
        """Makes a call that needs the collection, which is created when it is missing."""
        try:
            return self._again(call, request)
        except NotFound as error:
            if error.reason != "COLLECTION_NOT_FOUND":
                raise
        self._create(collection)
        return self._again(call, request)

    def _create(self, collection: str) -> None:
        wanted = collection_pb2.Collection(name=collection, graph=True)
        request = collection_pb2.CreateCollectionRequest(collection=wanted, request_id=uuid.uuid4().hex)
        try:
            self._again(self._collections.CreateCollection, request)
        except AlreadyExists:
            # Somebody was quicker.
            return

    # --- jobs ---

    def watch(self, job: str | Job) -> Iterator[Job]:
        """The job after each of its events: first those that were, then those that come, until it has ended.

        A stream that breaks is taken up again where it was.
        """
        job_id = job if isinstance(job, str) else job.id
        cursor, failures = 0, 0
        while True:
            call = self._jobs.WatchJob(job_pb2.WatchJobRequest(id=job_id, after=cursor))
            try:
                with self._translated():
                    for message in call:
                        failures = 0
                        if message.WhichOneof("event") == "job":
                            cursor = message.job.cursor
                            yield message.job.job
                            if message.job.job.status in ENDED:
                                return
            except Unavailable:
                failures += 1
                if failures > _REPEATS:
                    raise
                time.sleep(_PAUSE_SECONDS * failures)
            finally:
                call.cancel()

    def wait(self, jobs: str | Job | Sequence[str | Job]) -> list[Job]:
        """Waits for jobs to end, and returns them as they are then: look at `status`, `error` and `failures`."""
        waited = [jobs] if isinstance(jobs, (str, Job)) else jobs
        return [list(self.watch(job))[-1] for job in waited]

    def jobs(self, *, collection: str = "", limit: int = 50) -> Iterator[Job]:
        """Jobs, newest first."""
        request = job_pb2.ListJobsRequest(collection=collection)
        for page in self._pages(self._jobs.ListJobs, request, limit):
            yield from page.jobs

    def cancel(self, job: str | Job) -> Job:
        """Ends a job that is queued or running, and returns it as it is then: what it has stored stays."""
        request = job_pb2.CancelJobRequest(id=job if isinstance(job, str) else job.id)
        cancelled: Job = self._again(self._jobs.CancelJob, request).job
        return cancelled

    def retry(self, job: str | Job, *, documents: Sequence[str] = ()) -> Job:
        """Tries again what failed in a job that has ended, and returns the new job that does; nothing is sent again.

        documents: only those of these ids; none: all that failed.
        """
        request = job_pb2.RetryJobRequest(
            id=job if isinstance(job, str) else job.id, documents=documents, request_id=uuid.uuid4().hex
        )
        made: Job = self._again(self._jobs.RetryJob, request).job
        return made

    def failures(self, job: str | Job, *, limit: int = 1000) -> Iterator[job_pb2.DocumentFailure]:
        """The documents that failed in a job, with the reasons; a Job itself holds the first 100."""
        request = job_pb2.ListFailedDocumentsRequest(id=job if isinstance(job, str) else job.id)
        for page in self._pages(self._jobs.ListFailedDocuments, request, limit):
            yield from page.failures

    def collections(self, *, limit: int = 1000) -> Iterator[collection_pb2.Collection]:
        """Collections, by name."""
        request = collection_pb2.ListCollectionsRequest()
        for page in self._pages(self._collections.ListCollections, request, limit):
            yield from page.collections

    # --- questions ---

    def ask(
        self,
        question: str,
        *,
        collections: Sequence[str] = ("docs",),
        mode: str = "graph",
        k: int | None = None,
        model: str = "",
        history: Sequence[chat_pb2.Message] = (),
    ) -> Iterator[chat_pb2.StreamChatResponse]:
        """The answer as it is made: events with `content`, then one with `citations`, then one with `done`.

        collections: where passages come from; none: the model answers by itself.
        mode: `graph` or `vector`. k: how many passages the model may see (default 8). model: empty: the service's own.
        history: earlier turns, oldest first. Leaving the loop early cancels the answer.
        """
        chat = chat_pb2.ChatInput(messages=[*history, chat_pb2.Message(role="user", content=question)], model=model)
        if collections:
            chat.retrieval.CopyFrom(chat_pb2.Retrieval(mode=mode, collections=collections, k=k))
        call = self._chat.StreamChat(chat_pb2.StreamChatRequest(input=chat))
        try:
            with self._translated():
                for event in call:
                    kind = event.WhichOneof("event")
                    if kind == "error":
                        raise _in_band(event.error)
                    if kind != "heartbeat":
                        yield event
        finally:
            call.cancel()

    def search(
        self, question: str, *, collection: str = "docs", mode: str = "hybrid", k: int | None = None
    ) -> _passages.Passages:
        """The passages that fit best. mode: `hybrid`, `dense`, `lexical`, or `graph`, which also follows shared names
        and tells the path. k: how many (default 10, with `graph` 8)."""
        if mode == "graph":
            retrieve = retrieval_pb2.RetrieveRequest(question=question, collections=[collection], k=k)
            return _passages.of_retrieval(self._again(self._retrieval.Retrieve, retrieve))
        query = point_pb2.QueryPointsRequest(collection=collection, text=question, mode=mode, k=k)
        return _passages.of_points(collection, self._again(self._points.QueryPoints, query))

    # --- the suite ---

    def status(self, *, timeout: float = 5.0) -> _status.Status:
        """What the gateway says of the parts behind it. Raises NotReachable when nothing answers."""
        return _status.ask(self._address, timeout, self._ca_file)

    def _pages(self, list_page: Callable[[Any], Any], request: Any, limit: int) -> Iterator[Any]:
        """Pages until `limit` items have come, or the last one."""
        while limit > 0:
            request.page_size = min(limit, _PAGE)
            page = self._again(list_page, request)
            yield page
            limit -= request.page_size
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with translated():
                yield
        except NotReachable as error:
            raise NotReachable(f"nothing answers at {self.url}", code=error.code) from None

    def _again(self, call: Callable[[Any], T], request: object) -> T:
        """Makes a call that may be repeated, and repeats it once when a part behind the gateway was not there.

        A model provider's failure is not repeated, it may have been paid for; nor an address where nothing answers.
        """
        try:
            with self._translated():
                return call(request)
        except NotReachable:
            raise
        except Unavailable as error:
            if error.reason not in _PASSING:
                raise
        time.sleep(_PAUSE_SECONDS)
        with self._translated():
            return call(request)


def _in_band(error: chat_pb2.ChatError) -> Exception:
    return make(
        error.message,
        code=error.status,
        reason=error.reason,
        request_id=error.request_id,
        retry_after=error.retry_after if error.HasField("retry_after") else None,
    )
