"""From Markdown to searchable points through the real services, against the embedding model alone.

Each round has documents of its own, so that nothing is in the cache. Through the services: IngestDocuments until the
job has ended, with parsing, cutting, the cache service, PostgreSQL and the change feed. The model alone: in a process
of its own with as many threads as the service has, the passages that the services made of the documents before, all at
once. Passages a second of both.
"""

import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import grpc

from bench._harness.cli import BenchmarkError
from bench._harness.result import Bar, Result, Series
from bench._harness.rounds import alternate
from bench._points.data import Data
from bench._points.service import INGESTING, running
from local import settings
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

_DOCUMENTS: Final = 40
_SECTIONS: Final = 6
_LINES: Final = 12
"""Texts of forty words in a document, two a section."""
_PERGOLA: Final = "Pergola IngestDocuments"
_MODEL: Final = "the model alone"
_NEEDED: Final = 0.8


def measure(rounds: int, seconds: float) -> Result:  # noqa: ARG001 - a round takes as long as its documents do
    """Raises BenchmarkError when Pergola cannot be started."""
    texts = _Documents((rounds + 2) * _DOCUMENTS)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pergola-bench-")))
        service = stack.enter_context(running(folder / "pergola", 10_000, INGESTING))
        channel = stack.enter_context(grpc.insecure_channel(service.address))
        pergola = _Pergola(channel)
        model = stack.enter_context(_model())
        parts = iter(range(0, len(texts), _DOCUMENTS))
        pergola.ingest(texts, parts)
        contenders: Mapping[str, Callable[[], float]] = {
            _PERGOLA: functools.partial(pergola.ingest, texts, parts),
            _MODEL: lambda: model.embed(pergola.passages()),
        }
        rates = alternate(contenders, rounds)
    series = [Series(name, "passages", "per second", values) for name, values in rates.items()]
    medians = {one.contender: one.median for one in series}
    ratio = medians[_PERGOLA] / medians[_MODEL]
    return Result(
        name="ingest",
        ratio=ratio,
        what="Markdown to searchable points through the services against the embedding model alone, passages/s",
        series=series,
        settings={"documents a round": _DOCUMENTS, "threads of the model": os.cpu_count()},
        bars=[Bar("through the services", ratio, _NEEDED)],
    )


class _Documents:
    """Made-up Markdown, each document another one."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._data = Data(count * _LINES, seed=9)

    def __len__(self) -> int:
        return self._count

    def text(self, number: int) -> str:
        lines = [self._data.text(n) for n in range(number * _LINES, (number + 1) * _LINES)]
        size = _LINES // _SECTIONS
        sections = [
            f"## {' '.join(part[0].split()[:3])}\n\n" + " ".join(f"{one.capitalize()}." for one in part)
            for part in (lines[first : first + size] for first in range(0, _LINES, size))
        ]
        return f"# {' '.join(lines[0].split()[:4])}\n\n" + "\n\n".join(sections) + "\n"


class _Pergola:
    def __init__(self, channel: grpc.Channel) -> None:
        collections: Any = collection_pb2_grpc.CollectionServiceStub(channel)
        self._documents: Any = document_pb2_grpc.DocumentServiceStub(channel)
        self._jobs: Any = job_pb2_grpc.JobServiceStub(channel)
        self._points: Any = point_pb2_grpc.PointServiceStub(channel)
        self._newest: list[str] = []
        asked = collection_pb2.Collection(name="bench")
        collections.CreateCollection(collection_pb2.CreateCollectionRequest(collection=asked))

    def ingest(self, texts: _Documents, parts: Iterator[int]) -> float:
        """Passages a second."""
        first = next(parts)
        whole = [
            document_pb2.Document(id=f"{n}.md", text=texts.text(n), format="markdown")
            for n in range(first, first + _DOCUMENTS)
        ]
        began = time.perf_counter()
        request = document_pb2.IngestDocumentsRequest(collection="bench", documents=whole)
        job = self._documents.IngestDocuments(request, timeout=60).job
        for event in self._jobs.WatchJob(job_pb2.WatchJobRequest(id=job.id), timeout=900):
            if event.HasField("job"):
                job = event.job.job
        if job.status != "completed":
            raise BenchmarkError(f"the job ended {job.status}: {job.error.message}")
        rate = job.progress.chunks_done / (time.perf_counter() - began)
        self._newest = [one.id for one in whole]
        return float(rate)

    def passages(self) -> list[str]:
        """What was embedded of the documents that came last: title and headings, then the passage."""
        newest, found = set(self._newest), []
        for message in self._points.ScrollPoints(point_pb2.ScrollPointsRequest(collection="bench"), timeout=120):
            for chunk in (one.chunk for one in message.points):
                if chunk.document in newest:
                    header = " – ".join(dict.fromkeys([chunk.title, *chunk.heading_path]))
                    found.append(f"{header}\n{chunk.text}")
        return found


class _Model:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def embed(self, passages: list[str]) -> float:
        """Passages a second."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(passages) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkError("the process of the embedding model ended")
        return float(line)


@contextmanager
def _model() -> Iterator[_Model]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.ingest.alone", str(settings.CHECKOUT / "build" / "models")],
        cwd=settings.CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield _Model(process)
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()
