"""Callers that go away in the middle: every reply still belongs to its question."""

import asyncio
import random
import uuid

import grpc
import pytest

from services.cache.stores.redis import RedisStore
from tests import bounds
from tests.stacks import Stores
from tests.support.cache import Replica, redis_client, redis_of, replica
from tests.support.tcp_proxy import tcp_proxy


@pytest.fixture
def prefix() -> str:
    return uuid.uuid4().hex


async def test_a_storm_of_cancelled_calls_shifts_no_reply(stores: Stores, prefix: str) -> None:
    """Each key holds its own name, so an answer tells whose it is. Half of the callers leave, at any moment."""
    source = random.Random(3)
    async with replica(stores, "cancel", staleness_bound_seconds="0") as cache:
        names = [f"{prefix}{number}" for number in range(300)]
        await cache.set_many({name: name for name in names})
        answered = 0

        async def caller(number: int) -> None:
            nonlocal answered
            name = names[number % len(names)]
            work = source.choice([_one, _many, _write])
            call = asyncio.ensure_future(work(cache, name))
            if source.random() < 0.5:
                await asyncio.sleep(source.random() * 0.02)
                call.cancel()
            try:
                assert await call == name
                answered += 1
            except asyncio.CancelledError:
                return

        for round_ in range(10):
            await asyncio.gather(*(caller(round_ * 300 + number) for number in range(300)))
        assert answered > 500
        # And when the storm is over, every key still is what it was.
        for name in names:
            assert await cache.get(name) == name


async def _one(cache: Replica, name: str) -> str | None:
    return await cache.get(name)


async def _many(cache: Replica, name: str) -> str | None:
    found = await cache.get_many(name, f"{name}-missing", name)
    assert set(found) <= {name}
    return found.get(name)


async def _write(cache: Replica, name: str) -> str | None:
    await cache.set(name, name)
    return name


async def test_leaving_while_the_reply_is_on_its_way_costs_no_connection(stores: Stores, prefix: str) -> None:
    """All callers of a batch leave while its reply is held back; the next callers use the same connections."""
    target = stores.environ("cache")["PERGOLA_REDIS_VALUES_URL"].removeprefix("redis://").removesuffix("/0")
    async with (
        tcp_proxy(target) as proxy,
        replica(
            stores,
            "cancel",
            redis_values_url=f"redis://{proxy.address}/0",
            redis_read_connections="1",
            staleness_bound_seconds="0",
        ) as cache,
    ):
        await cache.set(prefix, prefix)
        assert await cache.get(prefix) == prefix
        opened = proxy.connections
        for _ in range(10):
            proxy.hold_replies(to=lambda sent: b"EVALSHA" in sent)
            calls = [asyncio.ensure_future(cache.get(f"{prefix}-missing-{number}")) for number in range(20)]
            await asyncio.wait_for(proxy.held(), bounds.RECOVERY)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            proxy.release()
            assert await cache.get(prefix) == prefix
        assert proxy.connections == opened


async def test_short_deadlines_shift_no_reply(stores: Stores, prefix: str) -> None:
    source = random.Random(4)
    async with replica(stores, "cancel", staleness_bound_seconds="0") as cache:
        names = [f"{prefix}{number}" for number in range(50)]
        await cache.set_many({name: name for name in names})

        async def caller(number: int) -> None:
            name = names[number % len(names)]
            try:
                assert await cache.get(name, timeout=source.uniform(0.001, 0.05)) == name
            except grpc.aio.AioRpcError as error:
                if error.code() not in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE):
                    raise

        for _ in range(5):
            await asyncio.gather(*(caller(number) for number in range(200)))
        for name in names:
            assert await cache.get(name) == name


async def test_single_reads_of_one_turn_travel_together(stores: Stores, prefix: str) -> None:
    url, password = redis_of(stores)
    async with (
        redis_client(stores) as redis,
        RedisStore.open(url, password, timeout=5.0, read_connections=2) as store,
    ):
        names = [f"{prefix}{number}".encode() for number in range(500)]
        await store.set([(name, name) for name in names], 60_000).finish()
        before = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
        found = await asyncio.gather(*(store.read(name) for name in names))
        used = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] - before
    assert [stored and stored.data for stored in found] == names
    assert used == 2, "500 keys are two full batches"
