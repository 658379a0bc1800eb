"""Passages, as both ways to search return them."""

from dataclasses import dataclass, field

from pergola.graph.v1 import retrieval_pb2
from pergola.vector.v1 import point_pb2


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage of a document."""

    collection: str
    id: str
    """Id of its point."""
    document: str
    """Id of its document; empty for a point that belongs to none."""
    title: str
    heading_path: list[str]
    """Headings above it, outermost first."""
    text: str
    start: int
    """First character in the document's text, from 0, in Unicode code points."""
    end: int
    """One past its last character."""
    score: float
    """Higher is better; comparable within one answer only."""
    path: list[str] = field(default_factory=list)
    """How it was found, from the question on; only with mode `graph`."""


@dataclass(frozen=True, slots=True)
class Passages:
    """What a search found."""

    items: list[Passage]
    """Best first."""
    degraded: str = ""
    """What was left out and why; empty when everything worked."""


def of_points(collection: str, found: point_pb2.QueryPointsResponse) -> Passages:
    return Passages([_of_point(collection, scored) for scored in found.points])


def of_retrieval(found: retrieval_pb2.RetrieveResponse) -> Passages:
    return Passages([_of_passage(passage) for passage in found.passages], found.degraded)


def _of_point(collection: str, scored: point_pb2.ScoredPoint) -> Passage:
    chunk = scored.point.chunk
    return Passage(
        collection=collection,
        id=scored.point.id,
        document=chunk.document,
        title=chunk.title,
        heading_path=list(chunk.heading_path),
        text=chunk.text,
        start=chunk.start,
        end=chunk.end,
        score=scored.score,
    )


def _of_passage(passage: retrieval_pb2.Passage) -> Passage:
    return Passage(
        collection=passage.collection,
        id=passage.id,
        document=passage.document,
        title=passage.title,
        heading_path=list(passage.heading_path),
        text=passage.text,
        start=passage.start,
        end=passage.end,
        score=passage.score,
        path=[step.text for step in passage.path],
    )
