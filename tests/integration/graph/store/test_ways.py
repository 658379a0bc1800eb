"""Relations as every store must follow them."""

import pytest

from services.graph.model import Evidence, NewRelation, RelationKey
from services.graph.reading.along import Along, Direction, Step
from services.graph.store import GraphStore
from tests.support.knowledge import GRAPH, fill

ADA, CHARLES, ENGINE = "ada lovelace", "charles babbage", "engine"
BY_HAND = ("knows", "wrote_to", "designed", "described", "inspired_by", "part_of")


def told(steps: list[Step]) -> list[tuple[str, str, str]]:
    return [(step.origin, step.relation.type, step.end) for step in steps]


async def steps(store: GraphStore, tenant: str, keys: list[str], along: Along, **more: object) -> list[Step]:
    bounds: dict[str, object] = {"each": 100, "most": 1000} | more
    return await store.steps(tenant, GRAPH, keys, along, **bounds)  # type: ignore[arg-type]


async def test_steps_lead_both_ways_the_heaviest_first(store: GraphStore, tenant: str) -> None:
    await fill(store, tenant)
    by_hand = Along(relation_types=BY_HAND)
    assert told(await steps(store, tenant, [ENGINE], by_hand)) == [
        (ENGINE, "designed", CHARLES),
        (ENGINE, "described", ADA),
        # To itself: once.
        (ENGINE, "part_of", ENGINE),
        (ENGINE, "inspired_by", "m-1"),
    ]
    out = Along(Direction.OUT, BY_HAND)
    assert told(await steps(store, tenant, [ENGINE], out)) == [
        (ENGINE, "part_of", ENGINE),
        (ENGINE, "inspired_by", "m-1"),
    ]
    into = Along(Direction.IN, BY_HAND)
    assert told(await steps(store, tenant, [ENGINE], into))[-1] == (ENGINE, "part_of", ENGINE)
    assert len(await steps(store, tenant, [ENGINE], into)) == 3


async def test_what_passages_say_is_a_relation_too(store: GraphStore, tenant: str) -> None:
    await fill(store, tenant)
    derived = await steps(store, tenant, [ADA], Along(relation_types=["mentioned_with"]))
    assert [(step.end, step.weight) for step in derived] == [(CHARLES, 2.0), ("london", 1.0)]


@pytest.mark.parametrize(
    ("along", "ends"),
    [
        (Along(relation_types=["knows"]), [CHARLES]),
        (Along(entity_types=["machine"]), [ENGINE]),
        (Along(relation_types=BY_HAND, properties={"born": 1791}), [CHARLES, CHARLES]),
        (Along(relation_types=BY_HAND, properties={"born": 1791.0, "tags": ["a", "b"]}), [CHARLES, CHARLES]),
        (Along(relation_types=BY_HAND, properties={"tags": ["a"]}), []),
        (Along(relation_types=BY_HAND, properties={"built": False}), [ENGINE]),
        (Along(relation_types=BY_HAND, properties={"nothing": 1}), []),
        (Along(relation_types=BY_HAND, min_weight=3.5), [ENGINE]),
        (Along(relation_types=BY_HAND, min_weight=3.0), [ENGINE, CHARLES]),
        (Along(Direction.IN, relation_types=BY_HAND), []),
    ],
)
async def test_filters(store: GraphStore, tenant: str, along: Along, ends: list[str]) -> None:
    await fill(store, tenant)
    assert [step.end for step in await steps(store, tenant, [ADA], along)] == ends


async def test_some_are_met_whatever_the_filter_says(store: GraphStore, tenant: str) -> None:
    await fill(store, tenant)
    along = Along(relation_types=BY_HAND, entity_types=["nothing"])
    assert await steps(store, tenant, [ADA], along) == []
    assert [step.end for step in await store.edges(tenant, GRAPH, [ADA], along, most=9, always=[ENGINE])] == [ENGINE]


@pytest.mark.parametrize(
    "along", [Along(), Along(Direction.OUT), Along(Direction.IN), Along(relation_types=BY_HAND, min_weight=3.0)]
)
async def test_edges_are_the_steps_in_any_order(store: GraphStore, tenant: str, along: Along) -> None:
    await fill(store, tenant)
    keys = [ADA, CHARLES, ENGINE, "nobody"]
    expected = await steps(store, tenant, keys, along)
    found = await store.edges(tenant, GRAPH, keys, along, most=1000)
    assert sorted(found) == sorted(expected)
    assert len(await store.edges(tenant, GRAPH, keys, along, most=3)) == min(3, len(expected))


async def test_steps_are_bounded(store: GraphStore, tenant: str) -> None:
    await fill(store, tenant)
    along = Along(Direction.OUT, BY_HAND)
    both = await steps(store, tenant, [ADA, ENGINE], along, each=1)
    assert sorted(told(both)) == [(ADA, "described", ENGINE), (ENGINE, "part_of", ENGINE)]
    assert len(await steps(store, tenant, [ADA, CHARLES, ENGINE], along, most=2)) == 2


async def test_pages_of_neighbours_leave_nothing_out_and_tell_nothing_twice(store: GraphStore, tenant: str) -> None:
    await fill(store, tenant)
    for along in (Along(), Along(Direction.OUT), Along(Direction.IN), Along(relation_types=BY_HAND)):
        for key in (ADA, CHARLES, ENGINE):
            whole = await store.neighbors(tenant, GRAPH, key, along, None, 100)
            paged: list[Step] = []
            while page := await store.neighbors(tenant, GRAPH, key, along, paged[-1] if paged else None, 1):
                paged += page
            assert paged == whole
            assert len(set(paged)) == len(paged)


async def test_two_that_relate_each_other_alike_are_both_told_over_pages(store: GraphStore, tenant: str) -> None:
    relations = [NewRelation("x", "y", "likes", 1.0), NewRelation("y", "x", "likes", 1.0)]
    await store.upsert_relations(tenant, GRAPH, relations)
    paged: list[Step] = []
    while page := await store.neighbors(tenant, GRAPH, "x", Along(), paged[-1] if paged else None, 1):
        paged += page
    assert [step.relation for step in paged] == [RelationKey("x", "y", "likes"), RelationKey("y", "x", "likes")]


async def test_relations_are_read_whole(store: GraphStore, tenant: str) -> None:
    await fill(store, tenant)
    knows = RelationKey(ADA, CHARLES, "knows")
    (one,) = await store.relations(tenant, GRAPH, [knows, RelationKey(CHARLES, ADA, "knows")])
    assert (one.source, one.target, one.type, one.weight) == (ADA, CHARLES, "knows", 3.0)
    assert one.properties == {"since": 1833}


async def test_relations_know_who_says_them(store: GraphStore, tenant: str) -> None:
    await fill(store, tenant)
    knows, together = RelationKey(ADA, CHARLES, "knows"), RelationKey(ADA, CHARLES, "mentioned_with")
    found = await store.evidence_of_relations(
        tenant, GRAPH, [knows, together, RelationKey(ADA, ENGINE, "described")], 9
    )
    assert found[knows] == [Evidence("d", 0, "met")]
    assert found[together] == [
        Evidence("d", 0, "Ada Lovelace met Charles Babbage in London."),
        Evidence("d", 1, "Again, it was Ada Lovelace who praised Charles Babbage."),
    ]
    assert RelationKey(ADA, ENGINE, "described") not in found
    assert len((await store.evidence_of_relations(tenant, GRAPH, [together], 1))[together]) == 1
