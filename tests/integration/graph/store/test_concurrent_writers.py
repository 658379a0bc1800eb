"""Sixteen writers of the same entities, from two processes' stores, while documents come and go."""

import asyncio
import random

from services.graph.model import Evidence, NewEntity, NewRelation
from services.graph.store import GraphStore
from tests.stacks import Stores
from tests.support import graph
from tests.support.followed import Followed
from tests.support.graph_dump import dump

WRITERS = 16
ROUNDS = 2
KEYS = [f"entity {number}" for number in range(12)]


async def test_overlapping_writers_lose_nothing_and_never_fail(stores: Stores, store: GraphStore, tenant: str) -> None:
    async with graph.graph_store(stores) as other:
        followed = await Followed.begin(store, tenant)
        await followed.change({f"p{n}": f"\nHere {KEYS[n].title()} met {KEYS[n + 1].title()}." for n in range(4)})

        async def write(writer: int) -> None:
            chance, at = random.Random(writer), (store, other)[writer % 2]
            for turn in range(ROUNDS):
                keys = chance.sample(KEYS, 8)
                mentions = [Evidence(f"p{chance.randrange(4)}", 0, "")] if turn % 2 else []
                batch = [NewEntity(key, properties={f"w{writer}t{turn}": writer}, mentions=mentions) for key in keys]
                stored = await at.upsert_entities(tenant, "docs", batch)
                assert stored.refused == []
                said[writer, turn] = keys
                relation = NewRelation(keys[0], keys[1], "knows", properties={f"w{writer}t{turn}": writer})
                await at.upsert_relations(tenant, "docs", [relation])

        async def follow() -> None:
            for turn in range(ROUNDS):
                await followed.change({f"q{turn}": f"\nThere {KEYS[turn].title()} met Ada Lovelace."})

        said: dict[tuple[int, int], list[str]] = {}
        await asyncio.gather(*(write(writer) for writer in range(WRITERS)), follow())
        found = {one.key: one for one in await store.entities(tenant, ["docs"], KEYS)}
        assert sorted(found) == sorted(KEYS)
        wanted: dict[str, set[str]] = {key: set() for key in KEYS}
        for (writer, turn), keys in said.items():
            for key in keys:
                wanted[key].add(f"w{writer}t{turn}")
        assert {key: set(one.properties) for key, one in found.items()} == wanted
        rows = await dump(store, tenant)
        assert len({repr(row) for row in rows}) == len(rows)
        stats = await store.stats(tenant, "docs")
        assert stats.mention_count == sum(one.mention_count for one in (await store.page(tenant, "docs", "", 1000))[0])
        # Saying it all once more, one after the other, changes nothing that can be seen.
        for (writer, turn), keys in said.items():
            await store.upsert_entities(tenant, "docs", [NewEntity(keys[0], properties={f"w{writer}t{turn}": writer})])
        assert {key: set(one.properties) for key, one in found.items()} == wanted
