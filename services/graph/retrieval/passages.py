"""What retrieval asks of the service that keeps passages and makes embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Point:
    """A passage as the vector service keeps it."""

    collection: str
    id: str
    vector: Vector | None
    text: str
    document: str
    title: str
    heading_path: tuple[str, ...]
    index: int
    start: int
    end: int
    payload: Any
    """The document's metadata as it came; passed on unread. None: none."""


@dataclass(frozen=True, slots=True)
class Found:
    """A passage found by hybrid search."""

    point: Point
    score: float
    """Reciprocal rank fusion; comparable within one answer."""
    dense: float | None
    """Likeness to the question, where the dense arm found it."""
    lexical: float | None
    """BM25, where the lexical arm found it."""


class Passages(Protocol):
    """Acts for the tenant of the current call. Raises the errors of the peer: CollectionNotFound, PeerUnavailable, …"""

    async def model_of(self, collection: str) -> str:
        """The embedding model of a collection."""

    async def embed(self, texts: Sequence[str], model: str) -> list[Vector]:
        """One vector a text."""

    async def find(self, collection: str, question: str, k: int) -> list[Found]:
        """Hybrid search, best first, with vectors."""

    async def points(self, collection: str, ids: Sequence[str]) -> list[Point]:
        """Those of the points that there are, with vectors."""
