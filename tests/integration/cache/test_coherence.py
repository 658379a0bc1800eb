"""What one replica sees of another's writes, and of its own."""

import asyncio
import uuid

import pytest
from google.protobuf import duration_pb2

from pergola.cache.v1 import cache_pb2
from tests import bounds
from tests.stacks import Stores
from tests.support.cache import redis_client, replica
from tests.support.tcp_proxy import tcp_proxy

LONG = "30"
"""A bound that no test outlasts: what memory holds stays."""


@pytest.fixture
def key() -> str:
    return uuid.uuid4().hex


async def test_own_writes_are_seen_at_once(stores: Stores, key: str) -> None:
    async with replica(stores, "coherence", staleness_bound_seconds=LONG) as cache:
        for number in range(200):
            await cache.set(key, str(number))
            assert await cache.get(key) == str(number)
            assert await cache.get_many(key) == {key: str(number)}
        assert await cache.delete(key)
        assert await cache.get(key) is None


async def test_a_foreign_write_is_seen_after_the_bound_at_the_latest(stores: Stores, key: str) -> None:
    bound = 0.5
    clock = asyncio.get_running_loop().time
    async with (
        replica(stores, "coherence", staleness_bound_seconds=str(bound)) as reader,
        replica(stores, "coherence") as writer,
    ):
        await writer.set(key, "0")
        for number in range(1, 4):
            assert await reader.get(key) == str(number - 1)  # now it is in the reader's memory
            await writer.set(key, str(number))
            written = clock()
            while True:
                asked = clock()
                if await reader.get(key) == str(number):
                    break
                # Asked for later than the bound allows, an old answer would be a broken promise.
                assert asked <= written + bound
        await writer.delete(key)
        deleted = clock()
        while True:
            asked = clock()
            if await reader.get(key) is None:
                break
            assert asked <= deleted + bound


async def test_memory_answers_within_the_bound(stores: Stores, key: str) -> None:
    """The counterpart: memory is really used, or the tests above would prove nothing."""
    async with replica(stores, "coherence", staleness_bound_seconds=LONG) as reader:
        async with replica(stores, "coherence") as writer:
            await writer.set(key, "old")
            assert await reader.get(key) == "old"
            await writer.set(key, "new")
        assert await reader.get(key) == "old"


async def test_without_memory_every_read_is_fresh(stores: Stores, key: str) -> None:
    async with (
        replica(stores, "coherence", staleness_bound_seconds="0") as reader,
        replica(stores, "coherence") as writer,
    ):
        for number in range(20):
            await writer.set(key, str(number))
            assert await reader.get(key) == str(number)


def target(stores: Stores) -> str:
    """host:port of Redis."""
    return stores.environ("cache")["PERGOLA_REDIS_VALUES_URL"].removeprefix("redis://").removesuffix("/0")


@pytest.mark.parametrize("write", ["set", "delete", "set_many"])
async def test_a_read_that_a_write_overtook_leaves_nothing_in_memory(stores: Stores, key: str, write: str) -> None:
    """The reply to a read, with the old value, is held back until a write of the same key is done."""
    async with (
        tcp_proxy(target(stores)) as proxy,
        replica(
            stores,
            "coherence",
            redis_values_url=f"redis://{proxy.address}/0",
            staleness_bound_seconds=LONG,
        ) as cache,
        replica(stores, "coherence") as other,
    ):
        await other.set(key, "old")
        await cache.get("warm")  # connected, scripts loaded
        proxy.hold_replies(to=lambda sent: b"EVALSHA" in sent and key.encode() in sent)
        reading = asyncio.ensure_future(cache.get(key))
        await asyncio.wait_for(proxy.held(), bounds.RECOVERY)
        if write == "set":
            await cache.set(key, "new")
        elif write == "delete":
            assert await cache.delete(key)
        else:
            await cache.set_many({key: "new"})
        proxy.release()
        assert await reading == "old", "the read and the write overlapped: the old value is a right answer"
        assert await cache.get(key) == (None if write == "delete" else "new")


async def test_a_read_that_began_while_a_write_was_under_way_leaves_nothing_either(stores: Stores, key: str) -> None:
    async with (
        tcp_proxy(target(stores)) as proxy,
        replica(
            stores,
            "coherence",
            redis_values_url=f"redis://{proxy.address}/0",
            staleness_bound_seconds=LONG,
        ) as cache,
        replica(stores, "coherence") as other,
    ):
        await cache.set(key, "old")
        proxy.hold_replies(to=lambda sent: b"mine" in sent)
        writing = asyncio.ensure_future(cache.set(key, "mine"))
        await asyncio.wait_for(proxy.held(), bounds.RECOVERY)
        assert await cache.get(key) == "mine", "Redis has it, although its answer has not come yet"
        await other.set(key, "theirs")
        assert await cache.get(key) == "theirs", "memory held nothing while the write was open"
        proxy.release()
        await writing


async def test_of_two_overlapping_reads_the_later_decides(stores: Stores, key: str) -> None:
    async with (
        tcp_proxy(target(stores)) as proxy,
        replica(
            stores,
            "coherence",
            redis_values_url=f"redis://{proxy.address}/0",
            staleness_bound_seconds=LONG,
        ) as cache,
        replica(stores, "coherence") as other,
    ):
        await other.set(key, "old")
        await asyncio.gather(*(cache.get_many(f"warm{number}") for number in range(4)))
        proxy.hold_replies(to=lambda sent: b"EVALSHA" in sent and key.encode() in sent)
        early = asyncio.ensure_future(cache.get(key))
        await asyncio.wait_for(proxy.held(), bounds.RECOVERY)
        await other.set(key, "new")
        proxy.hold_replies(to=lambda _sent: False)
        late = await cache.get(key)
        proxy.release()
        assert [await early, late] == ["old", "new"]
        assert await cache.get(key) == "new", "memory went back to a value that Redis no longer has"


async def test_writes_of_one_process_keep_their_order(stores: Stores, key: str) -> None:
    async with replica(stores, "coherence") as cache, replica(stores, "coherence") as other:
        for _ in range(20):
            await asyncio.gather(*(cache.stub.Set(_set(key, number)) for number in range(50)))
            assert await other.get(key) is not None
            assert await cache.get(key) == await _in_redis(stores, key)


def _set(key: str, number: int) -> cache_pb2.SetRequest:
    ttl = duration_pb2.Duration(seconds=60)
    return cache_pb2.SetRequest(namespace="coherence", key=key, value=cache_pb2.Value(text=str(number)), ttl=ttl)


async def _in_redis(stores: Stores, key: str) -> str:
    async with redis_client(stores) as redis:
        stored = await redis.get(f"pergola:cache:default:coherence:{key}")
    assert isinstance(stored, bytes)
    return stored[1:].decode()
