"""All shortest ways between two entities: breadth first from both ends at once, over batched reads.

A level is read whole before it is judged, so the first level that meets the other side holds every way of the shortest
length. It is read on the side that has less to read: an entity may have a hundred thousand relations, and the way
through it is found from its other neighbour. The heaviest ways are then taken by best-first search, whose estimate (the
heaviest rest of the way) is exact, so that it never builds more ways than are wanted.
"""

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final, NamedTuple

from services.graph.model import Entity, Relation, RelationKey
from services.graph.reading.along import Along, Step
from services.graph.reading.neighbors import the_entity
from services.graph.reading.traversal import parts
from services.graph.store import Reader

MOST_STEPS: Final = 200_000
"""Relations looked at by one search; beyond it no way is told, because it may not be the shortest."""
_ENTITIES_AT_ONCE: Final = 200
_FEW: Final = 1000
_MORE: Final = 8
"""Relations that are read at first, and how many times more when those were not all."""


@dataclass(frozen=True, slots=True)
class Ways:
    """Ways of the same length, the heaviest first."""

    ways: Sequence[Sequence[RelationKey]]
    truncated: bool
    """There are more, or the search was given up."""


@dataclass(slots=True)
class _Side:
    """What is known from one end."""

    frontier: list[str]
    along: Along
    seen: set[str]
    beyond: int = -1
    """The frontier has more relations than that."""
    steps: dict[str, list[Step]] = field(default_factory=dict)
    """By entity: the last steps of the shortest ways from this end to it."""

    def take(self, steps: Sequence[Step]) -> None:
        """Moves the frontier over all of its relations."""
        coming: defaultdict[str, list[Step]] = defaultdict(list)
        for step in steps:
            if step.end not in self.seen:
                coming[step.end].append(step)
        self.frontier, self.beyond = list(coming), -1
        self.seen.update(coming)
        self.steps.update(coming)


async def shortest_ways(
    store: Reader, tenant: str, graph: str, source: str, target: str, along: Along, max_depth: int, limit: int
) -> Ways:
    """The ways from `source` to `target`, keys of entities that there are; both may be met whatever `along` says of
    entities. A way is told by its relations, so two relations between the same two are two ways.

    Raises StoreUnavailable, DeadlineExceeded.
    """
    if source == target:
        return Ways([[]], truncated=False)
    near = _Side([source], along, {source})
    far = _Side([target], along.reversed(), {target})
    left = MOST_STEPS
    for _ in range(max_depth):
        read = await _level(store, tenant, graph, near, far, (source, target), left)
        if read is None:
            return Ways([], truncated=True)
        side, used = read
        left -= used
        other = far if side is near else near
        met = [key for key in side.frontier if key in other.seen]
        if met:
            return _heaviest(_onward(near, far, met), source, target, limit)
        if not side.frontier:
            break
    return Ways([], truncated=False)


async def _level(
    store: Reader, tenant: str, graph: str, near: _Side, far: _Side, ends: Sequence[str], left: int
) -> tuple[_Side, int] | None:
    """Goes one step further on the side that has fewer relations to read; the side, and how many they were. None: both
    have more than `left`.

    Nobody knows how many there are before: so few are read of either, and ever more until one side has no more.
    """
    most = min(_FEW, left)
    while True:
        for side in sorted((near, far), key=lambda one: len(one.frontier)):
            if most <= side.beyond:
                continue
            steps = await _steps(store, tenant, graph, side, ends, most)
            if steps is not None:
                side.take(steps)
                return side, len(steps)
            side.beyond = most
        if most == left:
            return None
        most = min(most * _MORE, left)


async def _steps(
    store: Reader, tenant: str, graph: str, side: _Side, ends: Sequence[str], most: int
) -> list[Step] | None:
    """The relations at a frontier; None when they are more than `most`."""
    found: list[Step] = []
    for batch in parts(side.frontier, _ENTITIES_AT_ONCE):
        found += await store.edges(tenant, graph, batch, side.along, most=most - len(found) + 1, always=ends)
        if len(found) > most:
            return None
    return found


def _onward(near: _Side, far: _Side, met: Sequence[str]) -> Mapping[str, list[Step]]:
    """The steps that shortest ways are made of, by the entity each begins at."""
    onward: defaultdict[str, list[Step]] = defaultdict(list)
    for side, forward in ((near, True), (far, False)):
        pending, known = list(met), set(met)
        while pending:
            key = pending.pop()
            for step in side.steps.get(key, ()):
                if forward:
                    onward[step.origin].append(step)
                else:
                    # Followed from the target's end: turned round.
                    onward[key].append(Step(key, step.relation, step.weight))
                if step.origin not in known:
                    known.add(step.origin)
                    pending.append(step.origin)
    return onward


def _heaviest(onward: Mapping[str, list[Step]], source: str, target: str, limit: int) -> Ways:
    rest = _rests(onward, source, target)
    order = count()
    heap: list[tuple[float, int, float, str, tuple[RelationKey, ...]]] = [(-rest[source], next(order), 0.0, source, ())]
    ways: list[Sequence[RelationKey]] = []
    while heap:
        _, _, weight, key, way = heapq.heappop(heap)
        if key == target:
            if len(ways) == limit:
                return Ways(ways, truncated=True)
            ways.append(way)
            continue
        for step in sorted(onward[key], key=lambda one: one.relation):
            through = weight + step.weight
            heapq.heappush(heap, (-(through + rest[step.end]), next(order), through, step.end, (*way, step.relation)))
    return Ways(ways, truncated=False)


def _rests(onward: Mapping[str, list[Step]], source: str, target: str) -> Mapping[str, float]:
    """By entity: the weight of the heaviest way from it to the target; as deep in calls as a way is long."""
    rest = {target: 0.0}

    def of(key: str) -> float:
        if key not in rest:
            rest[key] = max(step.weight + of(step.end) for step in onward[key])
        return rest[key]

    of(source)
    return rest


class EntityPath(NamedTuple):
    """A way with what stands along it."""

    entities: Sequence[Entity]
    """From source to target."""
    relations: Sequence[Relation]
    """One less."""


@dataclass(frozen=True, slots=True)
class Paths:
    paths: Sequence[EntityPath]
    truncated: bool


async def find_paths(
    store: Reader, tenant: str, graph: str, source: str, target: str, along: Along, *, max_depth: int, limit: int
) -> Paths:
    """The heaviest of the shortest ways, heaviest first.

    Raises EntityNotFound, StoreUnavailable, DeadlineExceeded.
    """
    begin = await the_entity(store, tenant, graph, source)
    end = await the_entity(store, tenant, graph, target)
    found = await shortest_ways(store, tenant, graph, begin.key, end.key, along, max_depth, limit)
    wanted = sorted({step for way in found.ways for step in way})
    relations = {
        RelationKey(one.source, one.target, one.type): one for one in await store.relations(tenant, graph, wanted)
    }
    keys = sorted({begin.key, end.key} | {key for step in wanted for key in (step.source, step.target)})
    entities = {one.key: one for one in await store.entities(tenant, [graph], keys)}
    paths: list[EntityPath] = []
    for way in found.ways:
        stops = [begin.key]
        for step in way:
            stops.append(step.target if step.source == stops[-1] else step.source)
        # A way of which a part went away between two reads is none any more.
        if all(key in entities for key in stops) and all(step in relations for step in way):
            paths.append(EntityPath([entities[key] for key in stops], [relations[step] for step in way]))
    return Paths(paths, found.truncated)
