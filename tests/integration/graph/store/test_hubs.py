"""Ways through entities with more relations than are read at once."""

import pytest

from services.graph.model import NewRelation
from services.graph.reading import paths
from services.graph.reading.along import Along, Direction
from services.graph.reading.paths import find_paths
from services.graph.reading.traversal import Bounds, Visit, traverse
from services.graph.store import GraphStore

_LEAVES = 1200
GRAPH = "hubs"


async def _fill(store: GraphStore, tenant: str) -> None:
    """start → hub → leaves, near; hub and other hub → middle; end → other hub → its leaves."""
    relations = [
        NewRelation(hub, f"{hub} leaf {number}", "has", 1.0 + number % 7)
        for hub in ("hub", "other hub")
        for number in range(_LEAVES)
    ]
    relations += [
        NewRelation("start", "hub", "in", 1.0),
        NewRelation("hub", "near", "is", 2.0),
        NewRelation("hub", "middle", "has", 1.0, {"since": 1815}),
        NewRelation("other hub", "middle", "has", 1.0),
        NewRelation("end", "other hub", "in", 1.0),
    ]
    for begin in range(0, len(relations), 1000):
        stored = await store.upsert_relations(tenant, GRAPH, relations[begin : begin + 1000])
        assert list(stored.refused) == []


async def _ways(
    store: GraphStore, tenant: str, source: str, target: str, along: Along | None = None
) -> list[list[str]]:
    found = await find_paths(store, tenant, GRAPH, source, target, along or Along(), max_depth=6, limit=9)
    assert not found.truncated
    return [[one.key for one in way.entities] for way in found.paths]


async def test_ways_lead_through_hubs(store: GraphStore, tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await _fill(store, tenant)
    assert await _ways(store, tenant, "start", "near") == [["start", "hub", "near"]]
    assert await _ways(store, tenant, "hub leaf 5", "hub leaf 7") == [["hub leaf 5", "hub", "hub leaf 7"]]
    both = ["start", "hub", "middle", "other hub", "end"]
    assert await _ways(store, tenant, "start", "end") == [both]
    assert await _ways(store, tenant, "start", "end", Along(relation_types=["in", "has"])) == [both]
    assert await _ways(store, tenant, "start", "end", Along(Direction.OUT)) == []
    # What is met on the way is told whole.
    found = await find_paths(store, tenant, GRAPH, "start", "middle", Along(), max_depth=6, limit=9)
    assert found.paths[0].relations[-1].properties == {"since": 1815}
    monkeypatch.setattr(paths, "MOST_STEPS", _LEAVES)
    given_up = await find_paths(store, tenant, GRAPH, "start", "end", Along(), max_depth=6, limit=9)
    assert (list(given_up.paths), given_up.truncated) == ([], True)


async def test_a_traversal_follows_the_heaviest_of_very_many(store: GraphStore, tenant: str) -> None:
    await _fill(store, tenant)
    events = [one async for one in traverse(store, tenant, GRAPH, ["start"], Along(), Bounds(2, 500, 100))]
    visits = [one for one in events if isinstance(one, Visit)]
    assert [one.entity.key for one in visits[:2]] == ["start", "hub"]
    assert len(visits) == 102
    assert {one.relation.weight for one in visits[2:] if one.relation is not None} == {7.0}
    assert events[-1] == (102, True, [])
