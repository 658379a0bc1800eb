"""A graph in memory, as far as ways through it are read."""
# ruff: noqa: ARG002 - the signatures are the store's

from collections.abc import Mapping, Sequence
from typing import Any, cast

from services.graph.model import Entity, Relation, RelationKey
from services.graph.reading.along import Along, Direction, Step
from services.graph.store import Reader


class Memory:
    """Relations with their weights; each end is an entity of type `t`. Counts what it was asked for."""

    def __init__(self, weights: Mapping[RelationKey, float], types: Mapping[str, str] | None = None) -> None:
        self.weights = weights
        self.types = types or {}
        self.keys = {key for one in weights for key in (one.source, one.target)} | set(self.types)
        self.told = 0

    def reader(self) -> Reader:
        return cast(Reader, self)

    async def entities(self, tenant: str, graphs: Sequence[str], keys: Sequence[str]) -> list[Entity]:
        return [self._entity(key) for key in keys if key in self.keys]

    async def resolve(self, tenant: str, graph: str, keys: Sequence[str]) -> Mapping[str, Entity]:
        return {key: self._entity(key) for key in keys if key in self.keys}

    async def relations(self, tenant: str, graph: str, wanted: Sequence[RelationKey]) -> list[Relation]:
        return [Relation(graph, *one, weight=self.weights[one]) for one in wanted if one in self.weights]

    async def steps(
        self, tenant: str, graph: str, keys: Sequence[str], along: Along, *, each: int, most: int
    ) -> list[Step]:
        return self._told([step for one in self._all(keys, along) for step in one[:each]][:most])

    async def edges(
        self, tenant: str, graph: str, keys: Sequence[str], along: Along, *, most: int, always: Any = ()
    ) -> list[Step]:
        return self._told([step for one in self._all(keys, along, always) for step in one][:most])

    def _told(self, found: list[Step]) -> list[Step]:
        self.told += len(found)
        return found

    def _all(self, keys: Sequence[str], along: Along, always: Sequence[str] = ()) -> list[list[Step]]:
        """The relations of each key and direction."""
        directions = [one for one in (Direction.OUT, Direction.IN) if along.direction in (one, Direction.BOTH)]
        return [self._steps(key, direction, along, always) for key in keys for direction in directions]

    def _steps(self, key: str, direction: Direction, along: Along, always: Sequence[str]) -> list[Step]:
        steps = [
            Step(key, one, weight)
            for one, weight in self.weights.items()
            if key == (one.source if direction is Direction.OUT else one.target)
            and not (along.direction is Direction.BOTH and direction is Direction.IN and one.source == one.target)
            and (not along.relation_types or one.type in along.relation_types)
        ]
        return sorted(
            (
                step
                for step in steps
                if step.end in always or not along.entity_types or self.types.get(step.end, "t") in along.entity_types
            ),
            key=lambda step: (-step.weight, step.end, step.relation.type),
        )

    def _entity(self, key: str) -> Entity:
        return Entity("g", key, key, 0, type=self.types.get(key, "t"))
