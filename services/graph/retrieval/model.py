"""What Retrieve is asked, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from services.graph.points import Filter, Point

Mode = Literal["passages", "entities", "both"]


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be found, and over what."""

    tenant: str
    collections: Sequence[str]
    graphs: Sequence[str]
    """Whose links may be used."""
    filter: Filter | None = None
    """Passages must fit it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How much is wanted of the answer."""

    k: int
    mode: Mode = "passages"
    hops: int = 2


class Span(NamedTuple):
    """Part of a passage: code points of its document's text."""

    passage: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path: `question`, `passage` or `name`."""

    kind: str
    text: str
    id: str
    spans: Sequence[Span] = ()
    """What carried it: of a passage the sentence, of a name its places in the passages beside it."""


@dataclass(frozen=True, slots=True)
class Hit:
    point: Point
    score: float
    path: Sequence[Step]
    part: str
    """What put it into the answer: `anchor`, `path`, `walk`, `question`, `hybrid`."""
    scores: Mapping[str, float]
    """Parts of its score."""


@dataclass(frozen=True, slots=True)
class FoundEntity:
    """An entity that the question is about."""

    key: str
    name: str
    mention_count: int
    score: float
    """As a share of the best one's."""
    named: bool
    """Whether the question names it."""


@dataclass(slots=True)
class Detail:
    """How the answer came about."""

    passages: int = 0
    """Among which it was looked for."""
    paths: int = 0
    """How many were weighed."""
    phrases: list[str] = field(default_factory=list)
    """Of the question, that the graphs know."""
    milliseconds: dict[str, float] = field(default_factory=dict)
    """By stage; of stages that ran in several indexes the sum."""


@dataclass(frozen=True, slots=True)
class Answer:
    hits: Sequence[Hit]
    entities: Sequence[FoundEntity]
    degraded: str
    """Empty when everything worked."""
    detail: Detail
