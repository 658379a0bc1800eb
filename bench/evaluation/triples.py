"""Triples that a model read out of the corpus, given to the graph as relations that passages mention."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench._harness.cli import BenchmarkError
from bench.evaluation.suite import Suite
from bench.retrieval.questions import DataSet
from pergola.graph.v1 import entity_pb2, graph_pb2_grpc, retrieval_pb2, writing_pb2

_AT_ONCE: Final = 500
_SECONDS: Final = 300.0
_LAST: Final = "Last Entity Of The Evaluation"
_TEXT: Final = 256
_NO_LETTER: Final = re.compile(r"[^a-z0-9]+")

Triple = tuple[str, str, str]


def load(folder: Path, data: DataSet) -> dict[Triple, list[int]]:
    """Subject, predicate, object → places of the documents that say so. Empty when the folder has no such file.

    What is no triple of three texts is left out. Raises ValueError when the file is of another corpus.
    """
    files = sorted(folder.glob("openie_*.json"))
    if not files:
        return {}
    documents = json.loads(files[0].read_text(encoding="utf-8"))["docs"]
    if [(one["title"], one["text"]) for one in documents] != [(one.title, one.text) for one in data.corpus]:
        raise ValueError(f"{files[0].name} is not of this corpus")
    found: dict[Triple, list[int]] = {}
    for place, one in enumerate(documents):
        for triple in one["extracted_triples"]:
            if len(triple) == 3 and all(isinstance(part, str) and 0 < len(part) <= _TEXT for part in triple):
                places = found.setdefault((triple[0], triple[1], triple[2]), [])
                places += [place] if place not in places else []
    return found


def give(suite: Suite, graph: str, triples: dict[Triple, list[int]]) -> int:
    """Upserts the triples as relations; returns how many were refused, once Retrieve knows all others.

    Raises BenchmarkError when it never does.
    """
    stub = graph_pb2_grpc.GraphServiceStub(suite.channel)
    refused = 0
    for batch in _batches(triples):
        answer = stub.UpsertRelations(
            writing_pb2.UpsertRelationsRequest(graph=graph, relations=batch), timeout=_SECONDS
        )
        refused += len(answer.failures)
    # What is given is heard in the order it was given: when the last is known, all are.
    mention = entity_pb2.Mention(document="0", chunk=0, text=_LAST)
    last = entity_pb2.NewEntity(name=_LAST, mentions=[mention])
    stub.UpsertEntities(writing_pb2.UpsertEntitiesRequest(graph=graph, entities=[last]), timeout=_SECONDS)
    ask = retrieval_pb2.RetrieveRequest(collections=[graph], question=_LAST, k=1, detail=True)
    until = time.monotonic() + _SECONDS
    while _LAST.lower() not in suite.retrieval.Retrieve(ask, timeout=_SECONDS).detail.phrases:
        if time.monotonic() > until:
            raise BenchmarkError("what was given to the graph never reached Retrieve")
        time.sleep(1)
    return refused


def _batches(triples: dict[Triple, list[int]]) -> Iterator[list[entity_pb2.NewRelation]]:
    """Relations, each source, type and target once a batch."""
    together: dict[Triple, list[int]] = {}
    for (source, predicate, target), places in triples.items():
        key = (source, _type(predicate), target)
        together[key] = sorted({*together.get(key, []), *places})
    every = [
        entity_pb2.NewRelation(
            source=source,
            type=kind,
            target=target,
            mentions=[entity_pb2.Mention(document=str(place), chunk=0) for place in places],
        )
        for (source, kind, target), places in together.items()
    ]
    for first in range(0, len(every), _AT_ONCE):
        yield every[first : first + _AT_ONCE]


def _type(predicate: str) -> str:
    """A predicate as a relation's type."""
    name = _NO_LETTER.sub("_", predicate.lower()).strip("_")
    return name[:60] if name[:1].isalpha() else f"r_{name}"[:60]
