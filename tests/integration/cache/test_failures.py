"""Redis frozen, killed, restarted, or cut off in the middle: honest errors in time, and recovery without a restart."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable

import grpc
import pytest

from tests import bounds
from tests.stacks import Stores
from tests.support.cache import Replica, reason, redis_client, replica
from tests.support.steady import steady, undisturbed
from tests.support.tcp_proxy import tcp_proxy

CALLS: list[Callable[[Replica, str, float], Awaitable[object]]] = [
    lambda cache, key, timeout: cache.get(key, timeout),
    lambda cache, key, timeout: cache.set(key, "x", timeout),
    lambda cache, key, timeout: cache.delete(key, timeout),
]
NAMES = ["get", "set", "delete"]


@pytest.fixture
def key() -> str:
    return uuid.uuid4().hex


async def unavailable(call: Awaitable[object]) -> str:
    """Returns everything the caller is told."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert reason(caught.value) == "STORE_UNAVAILABLE"
    assert "redis" in (caught.value.details() or "").lower()
    assert "127.0.0.1" not in (caught.value.details() or ""), "no driver's text, no address"
    return f"{caught.value.details()} {caught.value.trailing_metadata()}"


async def recovered(cache: Replica, key: str) -> None:
    """Returns when a write and a read go through again."""
    deadline = time.monotonic() + bounds.RECOVERY
    while True:
        try:
            await cache.set(key, "back")
            assert await cache.get(key) == "back"
            assert await cache.get_many(key) == {key: "back"}
        except grpc.aio.AioRpcError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        else:
            return


@pytest.mark.parametrize("call", CALLS, ids=NAMES)
async def test_a_frozen_redis_is_said_before_the_deadline(
    stores: Stores, key: str, call: Callable[[Replica, str, float], Awaitable[object]]
) -> None:
    async with replica(stores, "failures") as cache:

        async def ask() -> None:
            # It has a tenth of the time for saying so.
            began = time.monotonic()
            await unavailable(call(cache, key, 1.0))
            assert time.monotonic() - began < 1.0

        await cache.get("warm")
        with stores.frozen("redis-values"):
            await undisturbed(ask)
        await recovered(cache, key)


async def test_a_frozen_redis_does_not_keep_callers_longer_than_the_limit(stores: Stores, key: str) -> None:
    async with replica(stores, "failures", redis_timeout_seconds="0.3") as cache:
        with stores.frozen("redis-values"):
            began = steady()
            calls = [unavailable(call(cache, f"{key}{number}", 30.0)) for call in CALLS for number in range(50)]
            await asyncio.gather(*calls, unavailable(cache.get_many(key)), unavailable(cache.set_many({key: "x"})))
            assert steady() - began < 0.3 + bounds.AFTER_CANCEL
        await recovered(cache, key)


async def test_what_is_in_memory_is_served_while_redis_is_frozen(stores: Stores, key: str) -> None:
    async with replica(stores, "failures", staleness_bound_seconds="30") as cache:
        await cache.set(key, "kept")
        with stores.frozen("redis-values"):
            assert await cache.get(key) == "kept"


async def test_a_write_given_up_before_it_was_sent_is_never_sent(stores: Stores, key: str) -> None:
    target = stores.environ("cache")["PERGOLA_REDIS_VALUES_URL"].removeprefix("redis://").removesuffix("/0")
    async with (
        tcp_proxy(target) as proxy,
        replica(stores, "failures", redis_values_url=f"redis://{proxy.address}/0", redis_timeout_seconds="20") as cache,
    ):
        proxy.hold_replies(to=lambda sent: b"first" in sent)
        first = asyncio.ensure_future(cache.set(f"{key}-first", "first"))
        await asyncio.wait_for(proxy.held(), bounds.RECOVERY)  # it has the lane
        await undisturbed(lambda: unavailable(cache.set(key, "late", 0.3)))
        proxy.release()
        await first
        await recovered(cache, f"{key}-other")
        assert b"late" not in proxy.sent


async def test_a_killed_redis_fails_at_once_and_comes_back(stores: Stores, key: str) -> None:
    async with replica(stores, "failures") as cache:
        await cache.set(key, "x")
        stores.kill("redis-values")
        try:
            for call in CALLS:
                await unavailable(call(cache, f"{key}-other", 5.0))
        finally:
            stores.restart("redis-values")
        # Nobody had to notice, wait or reconnect: the first calls work.
        await cache.set(key, "again")
        assert await cache.get_many(key, "missing") == {key: "again"}


async def test_a_service_started_before_redis_works_once_redis_is_there(stores: Stores, key: str) -> None:
    stores.kill("redis-values")
    try:
        async with replica(stores, "failures") as cache:
            await unavailable(cache.get(key))
            stores.restart("redis-values")
            await recovered(cache, key)
    finally:
        stores.restart("redis-values")


async def test_a_restart_between_two_calls_costs_nobody_an_error(stores: Stores, key: str) -> None:
    async with replica(stores, "failures", staleness_bound_seconds="0") as cache:
        await asyncio.gather(*(cache.get_many(f"{key}{number}") for number in range(20)))  # all lanes have been used
        await cache.set(key, "x")
        stores.restart("redis-values")
        answers = await asyncio.gather(*(cache.get(f"{key}{number}") for number in range(50)), cache.set(key, "x"))
        assert answers == [None] * 51


async def test_connections_cut_in_the_middle_are_replaced(stores: Stores, key: str) -> None:
    target = stores.environ("cache")["PERGOLA_REDIS_VALUES_URL"].removeprefix("redis://").removesuffix("/0")
    async with (
        tcp_proxy(target) as proxy,
        replica(stores, "failures", redis_values_url=f"redis://{proxy.address}/0") as cache,
    ):
        for number in range(20):
            await cache.set(key, str(number))
            proxy.drop()
            assert await cache.get(key) == str(number)
            proxy.drop()
            assert await cache.get_many(key, f"{key}-missing") == {key: str(number)}


async def test_emptied_script_caches_are_filled_again(stores: Stores, key: str) -> None:
    async with replica(stores, "failures", staleness_bound_seconds="0") as cache, redis_client(stores) as redis:
        await cache.set_many({key: "1", f"{key}b": "2"})
        for _ in range(3):
            await redis.script_flush()
            assert await cache.get(key) == "1"
            await redis.script_flush()
            await cache.set_many({key: "1", f"{key}b": "2"})


async def test_a_full_redis_that_may_not_evict_is_said(stores: Stores, key: str) -> None:
    async with replica(stores, "failures") as cache, redis_client(stores) as redis:
        before = await redis.config_get("maxmemory*")
        await redis.config_set("maxmemory-policy", "noeviction")
        await redis.config_set("maxmemory", "1")
        try:
            await unavailable(cache.set(key, "x"))
            await unavailable(cache.set_many({key: "x", f"{key}b": "y"}))
            assert await cache.get(key) is None, "reads go on"
        finally:
            for name in ("maxmemory-policy", "maxmemory"):
                await redis.config_set(name, str(before[name]))
        await recovered(cache, key)


async def test_wrong_credentials_are_unavailable_without_a_word_about_them(stores: Stores, key: str) -> None:
    async with replica(stores, "failures", redis_password="not-the-password") as cache:
        for call in (cache.get(key), cache.set(key, "x")):
            told = (await unavailable(call)).lower()
            assert not any(word in told for word in ("password", "auth"))
