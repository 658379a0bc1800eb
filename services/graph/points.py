"""Passages as the vector service has them."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NewType, Protocol

from services.graph.feed import Text
from services.graph.model import Cursor
from services.graph.passages.passage import Vector, Vectors

Filter = NewType("Filter", bytes)
"""A condition on payloads, as the vector service reads it; to everybody else it is bytes."""


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    name: str
    incarnation: str
    model: str
    """That embeds its passages, and questions to it."""
    dimension: int
    graph: bool
    """Whether it asks to be followed."""


@dataclass(frozen=True, slots=True)
class Point:
    """A passage as a collection holds it."""

    collection: str
    id: str
    text: str
    document: str
    title: str
    heading_path: Sequence[str]
    index: int
    start: int
    end: int
    payload: Any = None


class Embedded(NamedTuple):
    """A passage with its vector, for those who keep an index of their own."""

    id: str
    text: Text
    vector: Vector


@dataclass(frozen=True, slots=True)
class Found:
    """A point that hybrid search found; an arm's score is None where that arm did not find it."""

    point: Point
    dense: float | None
    lexical: float | None


class Points(Protocol):
    """What the vector service is asked for, for the tenant of the current call.

    Raises CollectionNotFound, PeerUnavailable, and what vector raises.
    """

    async def collection(self, name: str) -> CollectionInfo: ...

    async def head(self, name: str) -> Cursor:
        """Where the collection's change feed ends now."""

    async def embed(self, texts: Sequence[str], model: str) -> Vectors:
        """One vector a text."""

    async def embed_kept(self, texts: Sequence[str], collection: str) -> Vectors:
        """One vector a text, by the collection's model; kept there, so that nothing is embedded twice."""

    async def find(self, collection: str, question: str, k: int, filter: Filter | None) -> list[Found]:
        """Hybrid search, best first."""

    async def points(self, collection: str, ids: Sequence[str]) -> list[Point]:
        """Those of the points that there are."""

    async def passages(self, collection: str, ids: Sequence[str]) -> list[Embedded]:
        """Those of the points that there are and have a text, with their vectors."""

    async def matching(self, collection: str, filter: Filter, limit: int) -> list[str]:
        """Ids of points that fit the filter, at most `limit`, in their order."""

    def scroll(self, collection: str) -> AsyncGenerator[Sequence[Embedded], None]:
        """All points that have a text, some at a time."""
