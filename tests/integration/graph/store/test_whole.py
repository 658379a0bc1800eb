"""A whole graph in pages, and its counts, as every store must tell them."""

from services.graph.model import NewEntity, Relation, Stats
from services.graph.store import GraphStore
from tests.support.knowledge import GRAPH, fill

ODD = ["🦄", "ﬀ ", "｡", "ｶ", "á", "z/z", "0", "~", "\u200b", "ÿ", "𐍈"]
"""Keys whose order differs between stores: by code points, by UTF-16, by bytes."""


async def keys(store: GraphStore, tenant: str, graph: str, size: int) -> list[str]:
    found: list[str] = []
    after = ""
    while True:
        page, after = await store.page(tenant, graph, after, size)
        assert len(page) <= size
        found += [one.key for one in page]
        if not after:
            return found


async def test_pages_hold_everything_once(store: GraphStore, tenant: str) -> None:
    await fill(store, tenant)
    whole = await keys(store, tenant, GRAPH, 100)
    assert len(whole) == 6
    for size in (1, 2, 5):
        assert await keys(store, tenant, GRAPH, size) == whole


async def test_pages_hold_keys_of_every_script_once(store: GraphStore, tenant: str) -> None:
    await fill(store, tenant, f"{GRAPH}-2")
    written = [NewEntity(key, f"name {number}") for number, key in enumerate(ODD)]
    assert not (await store.upsert_entities(tenant, GRAPH, written)).refused
    for size in (1, 3, 100):
        assert sorted(await keys(store, tenant, GRAPH, size)) == sorted(ODD)


async def test_mentions_and_relations_in_pages(store: GraphStore, tenant: str) -> None:
    await fill(store, tenant)
    every = await keys(store, tenant, GRAPH, 100)
    whole = await store.mentioned(tenant, GRAPH, every, ("", ""), 100)
    assert sorted((key, one.chunk) for key, _, one in whole) == [
        ("ada lovelace", 0),
        ("ada lovelace", 1),
        ("charles babbage", 0),
        ("charles babbage", 1),
        ("london", 0),
    ]
    paged = [whole[0]]
    while page := await store.mentioned(tenant, GRAPH, every, paged[-1][:2], 2):
        paged += page
    assert paged == whole
    relations = await store.related(tenant, GRAPH, every, None, 100)
    assert len(relations) == 9
    told: list[Relation] = []
    while some := await store.related(tenant, GRAPH, every, told[-1] if told else None, 2):
        told += some
    assert told == relations


async def test_counts(store: GraphStore, tenant: str) -> None:
    assert await store.stats(tenant, GRAPH) == Stats()
    await fill(store, tenant)
    assert await store.stats(tenant, GRAPH) == Stats(
        entity_types={"person": 2, "machine": 2, "": 2},
        relation_types={"knows": 1, "wrote_to": 1, "designed": 1, "described": 1, "inspired_by": 1, "part_of": 1}
        | {"mentioned_with": 3},
        passage_count=2,
        mention_count=5,
    )
