"""Which way through the graph: relations as they are followed, and what is let through."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from services.graph.model import RelationKey, Value


class Direction(StrEnum):
    OUT = "out"
    """From source to target."""
    IN = "in"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Along:
    """Which relations are followed, and which entities are met. What is empty lets everything through."""

    direction: Direction = Direction.BOTH
    relation_types: Sequence[str] = ()
    entity_types: Sequence[str] = ()
    properties: Mapping[str, Value] = field(default_factory=dict)
    """Values that an entity's properties must have."""
    min_weight: float | None = None

    @property
    def passes_over(self) -> bool:
        """Whether there may be relations in this direction that are not followed."""
        return bool(self.relation_types or self.entity_types or self.properties) or self.min_weight is not None

    def reversed(self) -> "Along":
        """The same ways, followed from their other ends."""
        other = {Direction.OUT: Direction.IN, Direction.IN: Direction.OUT}
        return replace(self, direction=other.get(self.direction, self.direction))


class Step(NamedTuple):
    """A relation as it is followed from one of its ends."""

    origin: str
    """Key of the entity it is followed from."""
    relation: RelationKey
    weight: float

    @property
    def end(self) -> str:
        """Key of the entity it leads to."""
        return self.relation.target if self.relation.source == self.origin else self.relation.source

    @property
    def leads_away(self) -> bool:
        """Whether it is followed from its source to its target."""
        return self.relation.source == self.origin
