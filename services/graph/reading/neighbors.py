"""The entities one relation away."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from services.graph.model import Entity, Evidence, Relation, RelationKey
from services.graph.reading.along import Along, Step
from services.graph.store import Reader
from services.runtime.errors import EntityNotFound


class Neighbor(NamedTuple):
    relation: Relation
    entity: Entity
    """At its other end."""
    mentions: Sequence[Evidence]


@dataclass(frozen=True, slots=True)
class Page:
    neighbors: Sequence[Neighbor]
    last: Step | None
    """What the next page is behind; None on the last one."""


async def the_entity(store: Reader, tenant: str, graph: str, key: str) -> Entity:
    """The entity of this key, or the one it is part of. Raises EntityNotFound."""
    found = await store.resolve(tenant, graph, [key])
    if key not in found:
        raise EntityNotFound(
            f"the graph {graph} has no entity with the key {key!r}; SearchEntities finds keys by names"
        )
    return found[key]


async def list_neighbors(
    store: Reader, tenant: str, graph: str, key: str, along: Along, after: Step | None, size: int, *, mentions: int
) -> Page:
    """By weight, heaviest first; `mentions`: how many of each relation, 0: none.

    Raises EntityNotFound, StoreUnavailable, DeadlineExceeded.
    """
    begin = await the_entity(store, tenant, graph, key)
    steps = await store.neighbors(tenant, graph, begin.key, along, after, size + 1)
    last = steps[size - 1] if len(steps) > size else None
    steps = steps[:size]
    keys = [step.relation for step in steps]
    relations = {
        RelationKey(one.source, one.target, one.type): one for one in await store.relations(tenant, graph, keys)
    }
    ends = list(dict.fromkeys(step.end for step in steps))
    entities = {one.key: one for one in await store.entities(tenant, [graph], ends)}
    evidence = await store.evidence_of_relations(tenant, graph, keys, mentions) if mentions else {}
    neighbors = [
        Neighbor(relations[step.relation], entities[step.end], evidence.get(step.relation, ()))
        for step in steps
        # What went away between two reads is not told.
        if step.relation in relations and step.end in entities
    ]
    return Page(neighbors, last)
