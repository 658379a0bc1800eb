"""Breadth first: who is met, how far away, and where it ends."""

from hypothesis import given
from hypothesis import strategies as st

from services.graph.model import RelationKey
from services.graph.reading.along import Along
from services.graph.reading.traversal import Bounds, Summary, Visit, traverse
from tests.unit.graph.reading.memory import Memory
from tests.unit.graph.reading.test_paths import graphs


async def walk(
    memory: Memory, keys: list[str], bounds: Bounds, along: Along | None = None
) -> tuple[list[Visit], Summary]:
    events = [event async for event in traverse(memory.reader(), "t", "g", keys, along or Along(), bounds)]
    *visits, summary = events
    assert isinstance(summary, Summary)
    assert all(isinstance(visit, Visit) for visit in visits)
    return [visit for visit in visits if isinstance(visit, Visit)], summary


def distances(weights: dict[RelationKey, float], start: str, most: int) -> dict[str, int]:
    found = {start: 0}
    for depth in range(1, most + 1):
        for one in weights:
            for here, there in ((one.source, one.target), (one.target, one.source)):
                if found.get(here) == depth - 1:
                    found.setdefault(there, depth)
    return found


@given(graphs, st.integers(1, 4))
async def test_everyone_is_met_once_at_the_right_distance(weights: dict[RelationKey, float], depth: int) -> None:
    memory = Memory(weights, {"a": "t"})
    visits, summary = await walk(memory, ["a"], Bounds(depth, 1000, 1000))
    assert {visit.entity.key: visit.depth for visit in visits} == distances(weights, "a", depth)
    assert len({visit.entity.key for visit in visits}) == len(visits) == summary.entity_count
    assert [visit.depth for visit in visits] == sorted(visit.depth for visit in visits)
    assert not summary.truncated
    for visit in visits:
        if visit.relation is None:
            assert visit.depth == 0
        else:
            assert visit.entity.key in (visit.relation.source, visit.relation.target)


@given(graphs, st.integers(1, 5), st.integers(1, 3))
async def test_limits_hold_and_are_told(weights: dict[RelationKey, float], limit: int, fan_out: int) -> None:
    memory = Memory(weights, {"a": "t"})
    everyone, _ = await walk(memory, ["a"], Bounds(3, 1000, 1000))
    visits, summary = await walk(memory, ["a"], Bounds(3, limit, fan_out))
    assert len(visits) <= limit
    if not summary.truncated:
        assert {visit.entity.key for visit in visits} == {visit.entity.key for visit in everyone}


async def test_the_heaviest_relations_are_followed_first() -> None:
    weights = {RelationKey("a", key, "x"): weight for key, weight in (("b", 1.0), ("c", 9.0), ("d", 5.0))}
    visits, summary = await walk(Memory(weights), ["a", "nobody"], Bounds(2, 10, 2))
    assert [visit.entity.key for visit in visits] == ["a", "c", "d"]
    assert (summary.truncated, list(summary.missing)) == (True, ["nobody"])
