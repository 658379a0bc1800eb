"""Entities by key and by name, as every store must find them."""

from datetime import UTC, datetime

from services.graph.model import Evidence, Merge
from services.graph.store import GraphStore
from tests.support.knowledge import GRAPH, fill


async def found(
    store: GraphStore, tenant: str, form: str, *, longer: bool = False, limit: int = 10
) -> list[tuple[str, bool]]:
    named = await store.named(tenant, GRAPH, form, [], limit, longer=longer)
    return [(one.entity.key, one.whole) for one in named]


async def test_an_entity_is_read_as_it_was_written(store: GraphStore, tenant: str) -> None:
    await fill(store, tenant)
    one = (await store.resolve(tenant, GRAPH, ["ada lovelace", "nobody"]))["ada lovelace"]
    assert (one.key, one.name, one.type, one.manual) == ("ada lovelace", "Ada Lovelace", "person", True)
    assert list(one.aliases) == ["Ada King", "The Enchantress"]
    assert one.properties == {"born": 1815}
    assert one.mention_count == 2
    charles = (await store.resolve(tenant, GRAPH, ["charles babbage"]))["charles babbage"]
    assert charles.properties == {"born": 1791, "tags": ["a", "b"]}
    assert not (await store.resolve(tenant, GRAPH, ["alone"]))["alone"].properties


async def test_a_merged_key_means_what_it_is_part_of(store: GraphStore, tenant: str) -> None:
    await fill(store, tenant)
    merge = Merge("m", GRAPH, "ada lovelace", ["alone"], datetime.now(UTC))
    await store.merge(tenant, GRAPH, merge)
    assert {key: one.key for key, one in (await store.resolve(tenant, GRAPH, ["alone", "engine"])).items()} == {
        "alone": "ada lovelace",
        "engine": "engine",
    }
    assert await found(store, tenant, "alone") == [("ada lovelace", True)]


async def test_names_are_found_whole_by_beginning_and_by_alias(store: GraphStore, tenant: str) -> None:
    await fill(store, tenant)
    assert await found(store, tenant, "ada lovelace") == [("ada lovelace", True)]
    assert await found(store, tenant, "enchantress") == []
    assert await found(store, tenant, "the enchantress") == [("ada lovelace", True)]
    # A name whose key is another one.
    assert await found(store, tenant, "lodz mill") == [("m-1", True)]
    assert await found(store, tenant, "the") == []
    # Most mentioned first, each once although two of its names begin so.
    assert await found(store, tenant, "a", longer=True) == [("ada lovelace", False), ("alone", False)]
    assert await found(store, tenant, "the", longer=True) == [("ada lovelace", False), ("engine", False)]
    assert await found(store, tenant, "a", longer=True, limit=1) == [("ada lovelace", False)]


async def test_types_narrow_every_search(store: GraphStore, tenant: str) -> None:
    await fill(store, tenant)
    assert not await store.named(tenant, GRAPH, "ada lovelace", ["machine"], 5, longer=True)
    assert [one.entity.key for one in await store.named(tenant, GRAPH, "the", ["machine"], 5, longer=True)] == [
        "engine"
    ]
    assert {one.key for one in await store.foremost(tenant, GRAPH, ["machine"], 5)} == {"engine", "m-1"}
    assert [one.key for one in await store.foremost(tenant, GRAPH, [], 2)] == ["ada lovelace", "charles babbage"]
    assert await store.similar(tenant, GRAPH, ["lovel"], (3, 30), ["machine"], 5) == []


async def test_names_that_hold_a_piece_are_candidates(store: GraphStore, tenant: str) -> None:
    await fill(store, tenant)
    assert await store.similar(tenant, GRAPH, ["lovel", "xyz"], (3, 30), [], 5) == [("ada lovelace", "ada lovelace")]
    assert await store.similar(tenant, GRAPH, ["chant"], (3, 30), [], 5) == [("ada lovelace", "the enchantress")]
    assert await store.similar(tenant, GRAPH, ["lovel"], (3, 5), [], 5) == []


async def test_mentions_come_in_the_order_of_the_document(store: GraphStore, tenant: str) -> None:
    await fill(store, tenant)
    evidence = await store.evidence_of_entities(tenant, GRAPH, ["ada lovelace", "london", "alone"], 10)
    assert evidence["ada lovelace"] == [Evidence("d", 0, "Ada Lovelace"), Evidence("d", 1, "Ada Lovelace")]
    assert evidence["london"] == [Evidence("d", 0, "London")]
    assert "alone" not in evidence
    assert len((await store.evidence_of_entities(tenant, GRAPH, ["ada lovelace"], 1))["ada lovelace"]) == 1


async def test_another_graph_and_another_tenant_are_empty(store: GraphStore, tenant: str) -> None:
    await fill(store, tenant)
    for who, graph in ((tenant, "kno"), (tenant, "known-2"), (f"{tenant}-b", GRAPH), ("nobody-ever", GRAPH)):
        assert await store.resolve(who, graph, ["ada lovelace"]) == {}
        assert await store.named(who, graph, "a", [], 5, longer=True) == []
        assert await store.similar(who, graph, ["lovel"], (1, 99), [], 5) == []
        assert await store.foremost(who, graph, [], 5) == []
