"""What points have to be like: a tree of conditions over payload, id and words. Data alone, already checked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeAlias, TypeVar

Scalar: TypeAlias = str | int | float | bool
Path: TypeAlias = tuple[str, ...]
"""Names from the payload down. Arrays on the way are entered; the elements of an array are the field's values."""

B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Bounds(Generic[B]):
    """At least one is given."""

    gt: B | None = None
    gte: B | None = None
    lt: B | None = None
    lte: B | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """A value is one of `values`; with `negated`, a value is none of them."""

    key: Path
    values: Sequence[Scalar]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Numbers:
    """A number within bounds; with `whole`, a whole one."""

    key: Path
    bounds: Bounds[float] | Bounds[int]
    whole: bool


@dataclass(frozen=True, slots=True)
class Times:
    """A text that is a time within bounds, which carry zones."""

    key: Path
    bounds: Bounds[datetime]


@dataclass(frozen=True, slots=True)
class Prefix:
    key: Path
    text: str


@dataclass(frozen=True, slots=True)
class IsNull:
    """A value is null, or (not `holds`) none is."""

    key: Path
    holds: bool


@dataclass(frozen=True, slots=True)
class IsEmpty:
    """There is no value but null, or (not `holds`) there is one."""

    key: Path
    holds: bool


@dataclass(frozen=True, slots=True)
class ValuesCount:
    key: Path
    bounds: Bounds[int]


@dataclass(frozen=True, slots=True)
class HasId:
    ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class HasWords:
    """All words of this text, which has one at least."""

    text: str


@dataclass(frozen=True, slots=True)
class HasPhrase:
    """The words of this text one after the other; it has one at least."""

    text: str


@dataclass(frozen=True, slots=True)
class HasPrefix:
    """A word that begins like this: one folded word, not of a script that is cut into pairs."""

    word: str
    field: str
    """Where it stands in its request: only the store can tell that too many words begin so."""


@dataclass(frozen=True, slots=True)
class Nested:
    """One element of the field fits the filter."""

    key: Path
    filter: "Filter"


Condition: TypeAlias = (
    "Match | Numbers | Times | Prefix | IsNull | IsEmpty | ValuesCount | HasId | HasWords | HasPhrase | HasPrefix"
    " | Nested | Filter"
)


@dataclass(frozen=True, slots=True)
class Filter:
    """All of `must`, one of `should` (if there are any), none of `must_not`, `min_count` of `min_should`."""

    must: Sequence[Condition] = ()
    should: Sequence[Condition] = ()
    must_not: Sequence[Condition] = ()
    min_should: Sequence[Condition] = ()
    min_count: int = 0

    def each(self) -> "Iterator[Condition]":
        """Every condition, those of inner filters too."""
        for part in (self.must, self.should, self.must_not, self.min_should):
            for one in part:
                yield one
                inner = one.filter if isinstance(one, Nested) else one
                if isinstance(inner, Filter):
                    yield from inner.each()


@dataclass(frozen=True, slots=True)
class Order:
    """By a field of the payload; a missing one counts as null."""

    key: Path
    descending: bool
