"""Shortest ways against a search that tries everything."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.graph.model import RelationKey
from services.graph.reading import paths
from services.graph.reading.along import Along, Direction
from services.graph.reading.paths import shortest_ways
from tests.unit.graph.reading.memory import Memory

KEYS = "abcdefgh"
relation = st.builds(RelationKey, st.sampled_from(KEYS), st.sampled_from(KEYS), st.sampled_from(["x", "y"]))
graphs = st.dictionaries(relation, st.integers(1, 5).map(float), max_size=24)


def every_shortest(
    weights: dict[RelationKey, float], source: str, target: str, direction: Direction, most: int
) -> list[tuple[RelationKey, ...]]:
    """Level by level, every way at once."""
    ways: list[tuple[tuple[RelationKey, ...], str]] = [((), source)]
    for _ in range(most):
        longer: list[tuple[tuple[RelationKey, ...], str]] = []
        for way, at in ways:
            for one in weights:
                if one.source == one.target:
                    # Leads nowhere, so it is on no shortest way.
                    continue
                if direction is not Direction.IN and one.source == at:
                    longer.append(((*way, one), one.target))
                if direction is not Direction.OUT and one.target == at:
                    longer.append(((*way, one), one.source))
        if found := [way for way, at in longer if at == target]:
            return found
        ways = longer
    return []


@given(graphs, st.sampled_from(list(Direction)), st.integers(1, 4), st.integers(1, 6))
async def test_all_shortest_ways_are_found_and_the_heaviest_come_first(
    weights: dict[RelationKey, float], direction: Direction, most: int, limit: int
) -> None:
    expected = every_shortest(weights, "a", "h", direction, most)
    along = Along(direction=direction)
    found = await shortest_ways(Memory(weights).reader(), "t", "g", "a", "h", along, most, limit)
    assert found.truncated == (len(expected) > limit)
    assert {tuple(way) for way in found.ways} <= set(expected)
    told = [sum(weights[one] for one in way) for way in found.ways]
    assert told == sorted((sum(weights[one] for one in way) for way in expected), reverse=True)[:limit]


async def test_an_entity_is_no_step_away_from_itself() -> None:
    found = await shortest_ways(Memory({}).reader(), "t", "g", "a", "a", Along(), 3, 5)
    assert (list(found.ways), found.truncated) == ([[]], False)


async def test_what_is_filtered_out_is_not_passed_through_but_the_ends_are_met() -> None:
    weights = {RelationKey("a", "b", "x"): 1.0, RelationKey("b", "c", "x"): 1.0, RelationKey("a", "d", "x"): 1.0}
    weights |= {RelationKey("d", "e", "x"): 1.0, RelationKey("e", "c", "x"): 1.0}
    memory = Memory(weights, {"b": "bad", "c": "bad", "a": "bad"})
    found = await shortest_ways(memory.reader(), "t", "g", "a", "c", Along(entity_types=["t"]), 5, 5)
    assert [[one.target for one in way] for way in found.ways] == [["d", "e", "c"]]


@pytest.mark.parametrize("direction", [Direction.OUT, Direction.BOTH])
async def test_the_way_through_a_hub_is_found_from_its_other_side(
    direction: Direction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of both hubs has a thousand relations; of these no more are read than it takes to see that they are many."""
    monkeypatch.setattr(paths, "_FEW", 10)
    weights = {RelationKey(hub, f"{hub}{n}", "x"): 1.0 for hub in ("hub", "other") for n in range(1000)}
    way = [RelationKey("a", "hub", "x"), RelationKey("hub", "b", "x"), RelationKey("b", "c", "x")]
    memory = Memory(weights | dict.fromkeys(way, 1.0) | {RelationKey("a", "other", "x"): 1.0})
    found = await shortest_ways(memory.reader(), "t", "g", "a", "c", Along(direction), 6, 5)
    assert [list(one) for one in found.ways] == [way]
    assert memory.told < 40


async def test_a_search_that_meets_too_much_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """No way is told then: it may not be a shortest one. And no more is read than was allowed."""
    monkeypatch.setattr(paths, "MOST_STEPS", 50)
    numbers = count()
    weights = {RelationKey("a", f"n{next(numbers)}", "x"): 1.0 for _ in range(200)}
    weights |= {RelationKey(f"n{n}", "h", "x"): 1.0 for n in range(200)}
    memory = Memory(weights)
    found = await shortest_ways(memory.reader(), "t", "g", "a", "h", Along(), 6, 5)
    assert (list(found.ways), found.truncated) == ([], True)
    # Of either side.
    assert memory.told <= 2 * 51
    # What is left is found: few of them may be of the kind that is followed.
    memory = Memory(weights | {RelationKey("a", "h", "y"): 1.0})
    found = await shortest_ways(memory.reader(), "t", "g", "a", "h", Along(relation_types=["y"]), 6, 5)
    assert ([list(way) for way in found.ways], found.truncated) == ([[RelationKey("a", "h", "y")]], False)


@given(graphs, st.sampled_from(list(Direction)), st.integers(1, 4))
async def test_what_is_read_in_parts_is_read_whole(
    weights: dict[RelationKey, float], direction: Direction, most: int
) -> None:
    expected = every_shortest(weights, "a", "h", direction, most)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "_FEW", 1)
        patch.setattr(paths, "_MORE", 2)
        found = await shortest_ways(Memory(weights).reader(), "t", "g", "a", "h", Along(direction=direction), most, 999)
    assert sorted(tuple(way) for way in found.ways) == sorted(expected)
