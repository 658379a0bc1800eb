"""The follower: the graph equals what the collection holds, once, whoever dies."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest
import pytest_asyncio

from pergola.graph.v1 import reading_pb2
from pergola.vector.v1 import point_pb2
from services.graph.feed import Text
from services.graph.follower.collection import passage_of
from services.graph.model import Cursor
from services.graph.store import GraphStore
from services.runtime.errors import Aborted
from tests import bounds
from tests.stacks import Stores
from tests.support import graph
from tests.support.feed import ScriptedFeed, chunk
from tests.support.graph_dump import clear_all, dump
from tests.support.graph_process import graph_process

PEOPLE = ("Ada Lovelace", "Charles Babbage", "Mary Somerville", "Grace Hopper", "Alan Turing", "ADA LOVELACE")
PLACES = ("London", "New York", "Ockham Park", "Łódź", "東京")


@pytest_asyncio.fixture
async def feed(store: GraphStore) -> AsyncIterator[ScriptedFeed]:
    # What the tenant has is compared as a whole: nothing may be left of other tests.
    await clear_all(store, "default")
    async with ScriptedFeed("default").serving() as running:
        yield running


def document(seed: int) -> point_pb2.Chunk:
    chance = random.Random(seed)
    names = chance.sample(PEOPLE, 2) + chance.sample(PLACES, 2)
    text = f"On that day {names[0]} met {names[1]} in {names[2]}. Then “{names[3]}” was seen."
    return chunk(text, title=chance.choice((*PEOPLE, "")), document=f"d{seed % 7}", index=seed % 5)


async def scratch(store: GraphStore, tenant: str, name: str, points: Mapping[str, point_pb2.Chunk]) -> list[object]:
    """The dump of a graph that is built from nothing in another tenant."""
    claim = await store.claim(tenant, name, "scratch", 60)
    assert claim is not None
    while not await store.clear(claim, 60):
        pass
    passages = [
        passage_of(point, Text(one.document, one.title, one.text, one.index, one.heading_path))
        for point, one in sorted(points.items())
    ]
    await store.begin(claim, Cursor("i", 0), 60)
    await store.apply(claim, Cursor("i", 0), Cursor("i", 1), passages, [], 60)
    return await dump(store, tenant)


async def test_what_is_deleted_leaves_nothing_behind(
    stores: Stores, store: GraphStore, feed: ScriptedFeed, tenant: str
) -> None:
    a = {f"a{n}": document(n) for n in range(20)}
    b = {f"b{n}": document(100 + n) for n in range(20)}
    await feed.create("deleted", "one")
    async with graph.graph_service(stores, feed.address):
        await feed.write("deleted", a | b)
        await feed.followed("deleted")
        assert await dump(store, "default") != await scratch(store, tenant, "deleted", b)
        await feed.write("deleted", dict.fromkeys(a))
        await feed.followed("deleted")
        assert await dump(store, "default") == await scratch(store, tenant, "deleted", b)
        await feed.drop("deleted")
        await _empty(store)


ROUNDS = 20
WRITERS = 4
DEATHS = ("follower", "store", "follower", "both", "follower")
"""Who dies, round by round and over again."""


@pytest.mark.timeout(900)
async def test_exactly_once_while_followers_and_the_store_die(
    stores: Stores,
    store: GraphStore,
    feed: ScriptedFeed,
    tenant: str,
    rounds: int | None,
    seed: int | None,
    tell: Callable[[str], None],
) -> None:
    """Round by round: writers add, change and delete, the follower or the store is killed meanwhile, and then the graph
    is what one built from nothing is."""
    chance = random.Random(7 if seed is None else seed)
    held: dict[str, point_pb2.Chunk] = {}
    await feed.create("killed", "one")
    feed.batch = 17

    async def write(writer: int, seed: int) -> None:
        own = random.Random(seed)
        for _ in range(3):
            points = {f"w{writer}p{own.randrange(8)}" for _ in range(own.randint(1, 6))}
            some = {point: None if own.random() < 0.3 else document(own.randrange(10_000)) for point in points}
            for point, one in some.items():
                if one is None:
                    held.pop(point, None)
                else:
                    held[point] = one
            await feed.write("killed", some)
            await asyncio.sleep(own.uniform(0, 0.05))

    def follower() -> AbstractAsyncContextManager[None]:
        return graph_process(stores, feed.address, follow_lease_seconds=1, follow_batch_passages=5)

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(follower())
        for turn in range(rounds or ROUNDS):
            writing = asyncio.gather(*(write(writer, chance.getrandbits(64)) for writer in range(WRITERS)))
            await asyncio.sleep(chance.uniform(0, 0.15))
            dies = DEATHS[turn % len(DEATHS)]
            if dies != "store":
                await stack.aclose()
            if dies != "follower":
                await asyncio.to_thread(stores.kill, "graph-store")
                await asyncio.to_thread(stores.restart, "graph-store")
            if dies != "store":
                await stack.enter_async_context(follower())
            await writing
            await feed.followed("killed", 180)
            assert await dump(store, "default") == await scratch(store, tenant, "killed", held), turn
            tell(f"round {turn + 1}: {dies} died, {len(held)} passages are left")
    await feed.drop("killed")
    async with graph.graph_service(stores, feed.address, follow_lease_seconds=1):
        await _empty(store)


async def test_followers_share_collections_and_take_over_from_each_other(
    stores: Stores, store: GraphStore, feed: ScriptedFeed
) -> None:
    names = [f"shared{number}" for number in range(3)]
    points = {f"p{n}": document(n) for n in range(5)}
    for name in names:
        await feed.create(name, "one")
    async with graph.graph_service(stores, feed.address) as left:
        async with graph.graph_service(stores, feed.address):
            for name in names:
                await feed.write(name, points)
                await feed.followed(name)
        # What the one that stopped had is given back at once, not when its lease ends.
        more = {f"q{n}": document(10 + n) for n in range(5)}
        for name in names:
            await feed.write(name, more)
            await feed.followed(name, 20)
        assert {await _passages(left, name) for name in names} == {10}
        for name in names:
            await feed.drop(name)
        await _empty(store)


async def _passages(door: graph.GraphDoor, name: str) -> int:
    answer = await door.graph.GetStats(reading_pb2.GetStatsRequest(graph=name), timeout=20)
    return int(answer.passage_count)


async def test_a_collection_made_anew_is_followed_anew(
    stores: Stores, store: GraphStore, feed: ScriptedFeed, tenant: str
) -> None:
    old = {f"p{n}": document(n) for n in range(10)}
    new = {f"q{n}": document(50 + n) for n in range(10)}
    await feed.create("anew", "one")
    async with graph.graph_service(stores, feed.address):
        await feed.write("anew", old)
        await feed.followed("anew")
    # While nobody follows it becomes another one, whose feed is as long.
    await feed.create("anew", "two")
    await feed.write("anew", new)
    async with graph.graph_service(stores, feed.address):
        await feed.followed("anew")
        assert await dump(store, "default") == await scratch(store, tenant, "anew", new)
    # And it goes while nobody follows.
    await feed.drop("anew")
    async with graph.graph_service(stores, feed.address):
        await _empty(store)


async def test_a_frozen_store_is_followed_again_when_it_thaws(
    stores: Stores, store: GraphStore, feed: ScriptedFeed, tenant: str
) -> None:
    await feed.create("frozen", "one")
    points = {f"p{n}": document(n) for n in range(10)}
    async with graph.graph_service(stores, feed.address, store_timeout_seconds=1) as door:
        await feed.write("frozen", points)
        await feed.followed("frozen")
        with stores.frozen("graph-store"):
            more = {f"q{n}": document(20 + n) for n in range(10)}
            await feed.write("frozen", more)
            await asyncio.sleep(2)
        await feed.followed("frozen", bounds.RECOVERY + 30)
        assert await dump(store, "default") == await scratch(store, tenant, "frozen", points | more)
        assert await door.search("frozen", "lovelace") == []
        await feed.drop("frozen")
        await _empty(store)


async def _empty(store: GraphStore) -> None:
    async with asyncio.timeout(30):
        while True:
            # Reading what is being removed may meet the removal.
            with contextlib.suppress(Aborted):
                if not await dump(store, "default"):
                    return
            await asyncio.sleep(0.05)
