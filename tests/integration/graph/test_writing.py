"""What followers write: exactly once, and nothing left behind."""

import asyncio
from contextlib import aclosing

import pytest

from services.graph.extraction.names import names_of
from services.graph.model import Claim, Cursor, FenceLost, Passage
from services.graph.store import GraphStore
from tests.stacks import Stores
from tests.support import graph
from tests.support.graph_dump import dump


def passage(point: str, text: str, title: str = "", document: str = "d", index: int = 0) -> Passage:
    return Passage(point, document, title, index, names_of(text, title))


async def claimed(store: GraphStore, tenant: str, graph: str = "docs") -> Claim:
    claim = await store.claim(tenant, graph, "me", 30)
    assert claim is not None
    return claim


async def test_mentions_come_and_go_with_their_passages(store: GraphStore, tenant: str) -> None:
    claim = await claimed(store, tenant)
    await store.begin(claim, Cursor("i", 0), 30)
    a = passage("a", "Ada Lovelace met CHARLES BABBAGE in London.", "Ada Lovelace")
    b = passage("b", "Charles Babbage was born in London.", "Babbage", index=1)
    await store.apply(claim, Cursor("i", 0), Cursor("i", 1), [b], [], 30)
    alone = await dump(store, tenant)
    await store.apply(claim, Cursor("i", 1), Cursor("i", 2), [a], [], 30)
    entities = await store.entities(tenant, ["docs"], ["charles babbage"])
    assert [(one.name, one.mention_count) for one in entities] == [("Charles Babbage", 2)]
    assert await store.sizes(tenant, ["docs", "none"]) == {"docs": 2}
    await store.apply(claim, Cursor("i", 2), Cursor("i", 3), [], ["a"], 30)
    assert await dump(store, tenant) == alone
    await store.apply(claim, Cursor("i", 3), Cursor("i", 4), [], ["b"], 30)
    assert await dump(store, tenant) == [["docs", 0]]


async def test_an_old_fence_writes_nothing(store: GraphStore, tenant: str) -> None:
    old = await claimed(store, tenant)
    await store.begin(old, Cursor("i", 0), 30)
    assert await store.claim(tenant, "docs", "other", 30) is None
    await store.release(old)
    new = await store.claim(tenant, "docs", "other", 30)
    assert new is not None
    assert new.cursor == Cursor("i", 0)
    with pytest.raises(FenceLost):
        await store.apply(old, Cursor("i", 0), Cursor("i", 1), [passage("a", "Ada")], [], 30)
    with pytest.raises(FenceLost):
        await store.apply(new, Cursor("i", 7), Cursor("i", 8), [passage("a", "Ada")], [], 30)
    assert await dump(store, tenant) == [["docs", 0]]


async def test_processes_that_meet_a_tenant_first_at_once_make_its_database_once(stores: Stores, tenant: str) -> None:
    async with (
        graph.graph_store(stores, [tenant]) as one,
        graph.graph_store(stores, [tenant]) as two,
        graph.graph_store(stores, [tenant]) as three,
    ):

        async def use(store: GraphStore, name: str) -> object:
            async with store.query(tenant, "RETURN 1", {}, 20) as rows, aclosing(rows.batches()) as batches:
                seen = [list(row) async for batch in batches for row in batch]
            return seen, await store.claim(tenant, name, name, 30) is not None

        used = await asyncio.gather(*(use(store, f"g{n}") for n, store in enumerate((one, two, three, one, two))))
        assert used == [([[1]], True)] * 5
        assert [name for owner, name in await one.followed() if owner == tenant] == [f"g{n}" for n in range(5)]


async def test_two_that_write_overlapping_names_lose_nothing(stores: Stores, tenant: str) -> None:
    """Two graphs of one tenant share no entity; two claims of one graph can't both write."""
    async with graph.graph_store(stores) as one, graph.graph_store(stores) as two:
        claims = [await claimed(store, tenant, name) for store, name in ((one, "left"), (two, "right"))]

        async def fill(store: GraphStore, claim: Claim) -> None:
            await store.begin(claim, Cursor("i", 0), 30)
            for n in range(20):
                some = [passage(f"p{n}", f"It was Ada Lovelace in London, item N{n % 3}.")]
                await store.apply(claim, Cursor("i", n), Cursor("i", n + 1), some, [], 30)

        await asyncio.gather(fill(one, claims[0]), fill(two, claims[1]))
        for name in ("left", "right"):
            assert [found.mention_count for found in await one.entities(tenant, [name], ["ada lovelace"])] == [20]
            assert (await two.sizes(tenant, [name]))[name] == 20
