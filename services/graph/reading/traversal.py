"""Breadth first around some entities, a bounded number of relations at a time.

What is held is the keys that were met, at most `limit`; entities leave as soon as they are read.
"""

from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from services.graph.model import Entity, Relation, RelationKey
from services.graph.reading.along import Along, Step
from services.graph.store import Reader

T = TypeVar("T")

_RELATIONS_AT_ONCE: Final = 10_000
"""Relations of one direction asked of the store by one read; more only where a single entity may have more."""
_ENTITIES_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a traversal ends."""

    max_depth: int
    limit: int
    """Entities, those it begins at included."""
    fan_out: int
    """Relations followed from one entity, the heaviest first."""


class Visit(NamedTuple):
    """An entity that was met, by a shortest way."""

    entity: Entity
    depth: int
    relation: Relation | None
    """The one it was met by; None at depth 0."""


class Summary(NamedTuple):
    entity_count: int
    truncated: bool
    missing: Sequence[str]


async def traverse(
    store: Reader, tenant: str, graph: str, keys: Sequence[str], along: Along, bounds: Bounds
) -> AsyncGenerator[Visit | Summary, None]:
    """Each entity once, nearer ones first, of equals those by the heavier relations; then how it ended.

    Raises StoreUnavailable, DeadlineExceeded.
    """
    found = await store.resolve(tenant, graph, keys)
    frontier = list(dict.fromkeys(found[key].key for key in keys if key in found))
    missing = [key for key in keys if key not in found]
    begun = {entity.key: entity for entity in found.values()}
    truncated = len(frontier) > bounds.limit
    frontier = frontier[: bounds.limit]
    seen = set(frontier)
    sent = 0
    for key in frontier:
        yield Visit(begun[key], 0, None)
        sent += 1
    for depth in range(1, bounds.max_depth + 1):
        coming: list[str] = []
        each = bounds.fan_out + 1
        size = max(1, min(_ENTITIES_AT_ONCE, _RELATIONS_AT_ONCE // each))
        for batch in parts(frontier, size):
            steps = await store.steps(tenant, graph, batch, along, each=each, most=2 * each * size)
            fresh, cut = _fresh(batch, steps, seen, bounds, room=bounds.limit - len(seen))
            truncated = truncated or cut
            seen.update(fresh)
            coming += fresh
            for some in parts(list(fresh.items()), _ENTITIES_AT_ONCE):
                async for visit in _read(store, tenant, graph, some, depth):
                    yield visit
                    sent += 1
            if len(seen) >= bounds.limit and truncated:
                yield Summary(sent, truncated, missing)
                return
        frontier = coming
    yield Summary(sent, truncated, missing)


def _fresh(
    origins: Sequence[str], steps: Iterable[Step], seen: set[str], bounds: Bounds, *, room: int
) -> tuple[dict[str, RelationKey], bool]:
    """The entities not met before, with the relation that leads there; and whether anything was left out."""
    by_origin: defaultdict[str, list[Step]] = defaultdict(list)
    for step in steps:
        by_origin[step.origin].append(step)
    cut = False
    fresh: dict[str, RelationKey] = {}
    for origin in origins:
        ordered = by_origin[origin]
        cut = cut or len(ordered) > bounds.fan_out
        for step in ordered[: bounds.fan_out]:
            if step.end in seen or step.end in fresh:
                continue
            if len(fresh) == room:
                return fresh, True
            fresh[step.end] = step.relation
    return fresh, cut


async def _read(
    store: Reader, tenant: str, graph: str, some: Sequence[tuple[str, RelationKey]], depth: int
) -> AsyncGenerator[Visit, None]:
    entities = {one.key: one for one in await store.entities(tenant, [graph], [key for key, _ in some])}
    relations = {
        RelationKey(one.source, one.target, one.type): one
        for one in await store.relations(tenant, graph, [way for _, way in some])
    }
    for key, way in some:
        # What went away since it was met is not told.
        if key in entities and way in relations:
            yield Visit(entities[key], depth, relations[way])


def parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items, `size` at a time."""
    left = iter(items)
    while part := list(islice(left, size)):
        yield part
