"""All shortest ways between two entities: breadth first from both ends at once, over batched reads.

A level is read whole before it is judged, always on the side whose frontier is smaller, so the first level that meets
the other side holds every way of the shortest length. The heaviest are then taken by best-first search, whose estimate
(the heaviest rest of the way) is exact, so that it never builds more ways than are wanted.
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
    steps: dict[str, list[Step]] = field(default_factory=dict)
    """By entity: the last steps of the shortest ways from this end to it."""


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
        side, other = (near, far) if len(near.frontier) <= len(far.frontier) else (far, near)
        used = await _level(store, tenant, graph, side, (source, target), left)
        left -= used
        if left < 0:
            return Ways([], truncated=True)
        met = [key for key in side.frontier if key in other.seen]
        if met:
            return _heaviest(_onward(near, far, met), source, target, limit)
        if not side.frontier:
            break
    return Ways([], truncated=False)


async def _level(store: Reader, tenant: str, graph: str, side: _Side, ends: Sequence[str], most: int) -> int:
    """Goes one step further on one side; returns how many relations that took, at most one more than `most`."""
    coming: defaultdict[str, list[Step]] = defaultdict(list)
    used = 0
    for batch in parts(side.frontier, _ENTITIES_AT_ONCE):
        room = most - used + 1
        steps = await store.steps(tenant, graph, batch, side.along, each=room, most=room, always=ends)
        used += len(steps)
        if used > most:
            break
        for step in steps:
            if step.end not in side.seen:
                coming[step.end].append(step)
    side.frontier = list(coming)
    side.seen.update(coming)
    side.steps.update(coming)
    return used


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
