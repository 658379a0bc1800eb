"""What the vector service speaks of: collections, points, documents, jobs. Data alone; see the modules beside."""

from datetime import datetime
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Distance = Literal["cosine", "inner_product", "l2"]
Storage = Literal["halfvec", "vector"]
Mode = Literal["dense", "lexical", "hybrid"]
JobStatus = Literal["queued", "running", "completed", "failed", "cancelled"]
Format = Literal["text", "markdown"]
ChunkMode = Literal["structure", "sentences", "tokens"]
Neighbors = Literal["auto", "on", "off"]
"""Whose passages see what stands before them: those of conversations; all; none."""

ENDED: Final[frozenset[JobStatus]] = frozenset({"completed", "failed", "cancelled"})

INDEX_LIMIT: Final[dict[Storage, int]] = {"halfvec": 4000, "vector": 2000}
"""Dimensions that pgvector can index by storage type."""

Vector = NDArray[np.float32]
"""One vector: `dimension` numbers."""


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the catalogue."""

    id: int
    tenant: str
    name: str
    incarnation: str
    dimension: int
    distance: Distance
    storage: Storage
    embedding_model: str
    graph: bool
    language: str = ""
    """Whose stems words are found by; empty: no stemming."""
    k1: float
    b: float
    created: datetime
    chunk_mode: ChunkMode | None = None
    """None, here and in the next two: as the settings say."""
    chunk_tokens: int | None = None
    chunk_overlap: int | None = None
    neighbors: Neighbors | None = None
    """None: as the settings say."""

    @property
    def indexed(self) -> bool:
        """Whether pgvector can index vectors of this dimension; if not, every search is exact."""
        return self.dimension <= INDEX_LIMIT[self.storage]


class Chunking(msgspec.Struct, frozen=True, kw_only=True):
    """How documents are cut; lengths in tokens of the embedding model."""

    mode: ChunkMode
    tokens: int
    overlap: int

    def of(self, collection: Collection) -> "Chunking":
        """What holds for a collection, of which these are the defaults."""
        tokens = self.tokens if collection.chunk_tokens is None else collection.chunk_tokens
        overlap = min(self.overlap, tokens // 2) if collection.chunk_overlap is None else collection.chunk_overlap
        return Chunking(mode=collection.chunk_mode or self.mode, tokens=tokens, overlap=overlap)


class Counts(msgspec.Struct, frozen=True):
    """How much a collection holds, and where its feed ends."""

    points: int = 0
    documents: int = 0
    seq: int = 0


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Where a point stands in its document; offsets in code points of the document's text. `page` 0: it has none."""

    document: str
    title: str
    text: str
    index: int
    heading_path: tuple[str, ...]
    start: int
    end: int
    page: int = 0
    before: str = ""
    """What stands before it, where it was embedded and indexed with that."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A point as it is stored. `payload` is a JSON object."""

    id: str
    payload: dict[str, Any]
    chunk: Chunk | None
    text: str = ""
    """What a point without a chunk was upserted with."""
    vector: Vector | None = None


class Words(msgspec.Struct, frozen=True):
    """What a point is found by: its words, normalised, with how often each occurs."""

    counts: dict[str, int]
    length: int
    """Occurrences in total."""
    order: tuple[str, ...] = ()
    """What a phrase is looked for in: words or stems, and single characters of paired scripts, as they follow."""


class Parts(msgspec.Struct, frozen=True):
    """Why a point stands where it does: its ranks in the arms, from 1, and what each adds to a fused score."""

    dense_rank: int | None
    lexical_rank: int | None
    dense: float | None = None
    lexical: float | None = None


class ScoredPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A point that was found; higher scores are better."""

    point: Point
    score: float
    dense_score: float | None
    lexical_score: float | None
    parts: Parts | None = None
    """Where they were asked for."""


class NewDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document as it was accepted: every default filled in."""

    id: str
    title: str
    format: Format
    text: str
    metadata: dict[str, Any]


class NewFile(msgspec.Struct, frozen=True, kw_only=True):
    """An uploaded file as it was accepted: its bytes are stored. `title` empty: the file's own."""

    upload_id: str
    id: str
    title: str
    media_type: str
    size: int
    sha256: bytes
    metadata: dict[str, Any]


class StoredDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document whose chunks are points. `text`: the part that was asked for."""

    id: str
    title: str
    format: str
    metadata: dict[str, Any]
    chunks: int
    length: int
    """Of the whole text, in code points."""
    created: datetime
    updated: datetime
    text: str | None = None


class Progress(msgspec.Struct, frozen=True):
    """How far a job is, in documents and stored chunks."""

    total: int
    done: int = 0
    failed: int = 0
    unchanged: int = 0
    chunks: int = 0


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Something to tell about a job; `cursor` is the event that first shows it."""

    kind: Literal["failure", "warning"]
    document: str
    reason: str
    message: str
    cursor: int = 0
    position: int | None = None
    """Of the document in the job, when it failed."""
    retried_by: str = ""
    """Id of the job that tries it again."""


class JobState(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a job that changes; stored with each event."""

    status: JobStatus
    progress: Progress
    attempt: int
    error_reason: str | None = None
    error_message: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    waiting_for: tuple[str, ...] = ()
    """Consumers that have yet to acknowledge the last change; the rest is done."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job at one moment."""

    id: str
    kind: str
    collection: str
    created: datetime
    state: JobState
    failures: tuple[Note, ...] = ()
    warnings: tuple[str, ...] = ()
    wait_for: tuple[str, ...] = ()
    retry_of: str = ""


class Cursor(msgspec.Struct, frozen=True):
    """A place in the change feed of one incarnation of a collection."""

    incarnation: str
    seq: int


class Consumer(msgspec.Struct, frozen=True, kw_only=True):
    """Who follows a collection, and how far it is."""

    name: str
    cursor: Cursor
    lag: int
    """In changes."""
    silent: float
    """Seconds since it last acknowledged something."""


class Change(msgspec.Struct, frozen=True):
    """One change: the point as it is now, or None when it is gone."""

    seq: int
    id: str
    point: Point | None
