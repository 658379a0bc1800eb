"""Values through the real service and the real Valkey: kinds, names, times to live, limits."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf import duration_pb2, json_format, struct_pb2

from pergola.cache.v1 import cache_pb2 as pb
from tests import bounds
from tests.stacks import Stores
from tests.support.cache import Replica, reason, redis_client, replica


@pytest_asyncio.fixture(scope="module")
async def cache(stores: Stores) -> AsyncIterator[Replica]:
    async with replica(stores, "values", max_value_bytes="100000", max_message_bytes="1000000") as running:
        yield running


@pytest.fixture
def key() -> str:
    return uuid.uuid4().hex


def json_value(content: Any) -> pb.Value:
    return pb.Value(json=json_format.ParseDict(content, struct_pb2.Value()))


VALUES = [
    pb.Value(data=bytes(range(256)) * 3),
    pb.Value(data=b""),
    pb.Value(text="Wörter, 言葉, \x00 and \r\n$5\r\n"),
    pb.Value(text=""),
    json_value({"a": [1, 2.5, None, True, {"b": "c"}], "": {}}),
    json_value(None),
    json_value(2**53 - 1),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.WhichOneof("kind"))
@pytest.mark.parametrize("level", ["memory", "redis"])
async def test_a_value_comes_back_in_its_kind(
    cache: Replica, stores: Stores, key: str, value: pb.Value, level: str
) -> None:
    await cache.stub.Set(pb.SetRequest(namespace="values", key=key, value=value))
    async with replica(stores, "values") as other:
        reader = cache if level == "memory" else other
        reply = await reader.stub.Get(pb.GetRequest(namespace="values", key=key))
    assert reply.entry.key == key
    assert reply.entry.value == value


@pytest.mark.parametrize("name", ["k", "a:b", "a\x00b", "a b/ü\r\n*3\r\n", "x" * 1024])
async def test_any_text_is_a_key(cache: Replica, name: str) -> None:
    await cache.set(name, name[::-1])
    assert await cache.get(name) == name[::-1]
    assert await cache.get_many(name) == {name: name[::-1]}
    assert await cache.delete(name)
    assert await cache.get(name) is None
    assert not await cache.delete(name)


async def test_a_missing_key_is_no_error(cache: Replica, key: str) -> None:
    assert not (await cache.stub.Get(pb.GetRequest(namespace="values", key=key))).HasField("entry")


async def test_namespaces_are_apart(cache: Replica, key: str) -> None:
    await cache.set(key, "here")
    reply = await cache.stub.Get(pb.GetRequest(namespace="values-2", key=key))
    assert not reply.HasField("entry")


async def test_many_values_come_in_the_order_of_their_keys(cache: Replica, key: str, stores: Stores) -> None:
    await cache.set_many({f"{key}{number}": str(number) for number in range(1000)})
    asked = [f"{key}{number}" for number in (7, 1003, 5, 7, 999, 0)]
    async with replica(stores, "values") as fresh:
        await fresh.get(asked[2])  # one of them from memory, the others from Redis
        reply = await fresh.stub.GetMany(pb.GetManyRequest(namespace="values", keys=asked))
    assert [entry.key for entry in reply.entries] == [asked[index] for index in (0, 2, 3, 4, 5)]
    assert [entry.value.text for entry in reply.entries] == ["7", "5", "7", "999", "0"]
    assert all(3590 < entry.ttl.seconds < 3600 for entry in reply.entries), "an hour unless the writer says otherwise"


async def test_the_last_of_a_repeated_key_counts(cache: Replica, key: str, stores: Stores) -> None:
    entries = [pb.SetManyEntry(key=key, value=pb.Value(text=text)) for text in ("first", "second", "last")]
    await cache.stub.SetMany(pb.SetManyRequest(namespace="values", entries=entries))
    async with replica(stores, "values") as fresh:
        assert [await cache.get(key), await fresh.get(key)] == ["last", "last"]


@pytest.mark.parametrize("milliseconds", [1, 250, 1500, 366 * 86_400_000])
async def test_a_time_to_live_is_told_to_the_millisecond(
    cache: Replica, stores: Stores, key: str, milliseconds: int
) -> None:
    seconds, rest = divmod(milliseconds, 1000)
    ttl = duration_pb2.Duration(seconds=seconds, nanos=rest * 1_000_000)
    await cache.set(key, "x", ttl=ttl)
    async with replica(stores, "values") as fresh:
        for reader in (cache, fresh):
            reply = await reader.stub.Get(pb.GetRequest(namespace="values", key=key))
            if reply.HasField("entry"):
                left = reply.entry.ttl.ToMilliseconds()
                assert 0 < left <= milliseconds
                assert left > milliseconds - 5000


async def test_nothing_outlives_its_time(cache: Replica, key: str) -> None:
    """Read all the time, so that memory, which would hold it for a second, is what answers at the end."""
    clock = asyncio.get_running_loop().time
    began = clock()
    await cache.set(key, "x", ttl=duration_pb2.Duration(nanos=300_000_000))
    last = began
    while await cache.get(key) is not None:
        last = clock()
        assert last < began + bounds.RECOVERY
    # The last answer was asked for before that moment, however slow the machine; the next one found nothing.
    assert clock() - began >= 0.29, "it was gone too early"
    reply = await cache.stub.GetMany(pb.GetManyRequest(namespace="values", keys=[key]))
    assert not reply.entries


async def test_fractions_of_a_millisecond_are_rounded_up(cache: Replica, key: str) -> None:
    await cache.set(key, "x", ttl=duration_pb2.Duration(seconds=5, nanos=1))
    reply = await cache.stub.Get(pb.GetRequest(namespace="values", key=key))
    assert 4900 < reply.entry.ttl.ToMilliseconds() <= 5001
    assert reply.entry.ttl.nanos % 1_000_000 == 0


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_a_value_beyond_the_limit_is_refused_and_nothing_of_its_call_is_stored(cache: Replica, key: str) -> None:
    await cache.set(key, "x" * 100_000)
    error = await refused(cache.set(key, "x" * 100_001))
    assert (error.code(), reason(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "VALUE_TOO_LARGE")
    assert "100001" in (error.details() or "")
    error = await refused(cache.set_many({f"{key}a": "small", f"{key}b": "x" * 100_001}))
    assert reason(error) == "VALUE_TOO_LARGE"
    assert await cache.get(f"{key}a") is None


async def test_more_than_an_answer_holds_is_refused(cache: Replica, stores: Stores, key: str) -> None:
    for number in range(9):
        await cache.set(f"{key}{number}", "x" * 90_000)
    async with replica(stores, "values", max_message_bytes="1000000", max_value_bytes="100000") as fresh:
        for reader in (cache, fresh):
            error = await refused(reader.get_many(*(f"{key}{number}" for number in range(9))))
            assert reason(error) == "PAYLOAD_TOO_LARGE"
            assert len(await reader.get_many(*(f"{key}{number}" for number in range(7)))) == 7


async def test_large_single_values_come_even_when_together_they_exceed_a_batch(stores: Stores, key: str) -> None:
    texts = {f"{key}{number}": str(number) * 3_000_000 for number in range(8)}
    async with replica(stores, "values") as cache, replica(stores, "values") as fresh:
        for name, text in texts.items():
            await cache.set(name, text)
        answers = [
            await asyncio.wait_for(answer, bounds.RECOVERY)
            for answer in [asyncio.ensure_future(_get_large(fresh, name)) for name in texts]
        ]
    assert answers == list(texts.values())


async def _get_large(cache: Replica, key: str) -> str:
    options = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(cache.address, options) as channel:
        found = await Replica(cache.address, channel, cache.namespace).get(key)
    return found or ""


async def test_large_integers_are_refused_by_name(cache: Replica, key: str) -> None:
    request = pb.SetRequest(namespace="values", key=key, value=json_value({"id": 2**53 + 1}))
    error = await refused(cache.stub.Set(request))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "value.json.id" in (error.details() or "")


@pytest.mark.parametrize(
    "request_",
    [
        pb.GetRequest(namespace="Upper", key="k"),
        pb.GetRequest(namespace="", key="k"),
        pb.GetRequest(namespace="n", key=""),
        pb.GetRequest(namespace="n", key="ü" * 513),
    ],
)
async def test_names_have_rules(cache: Replica, request_: pb.GetRequest) -> None:
    error = await refused(cache.stub.Get(request_))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_foreign_entry_in_redis_is_a_missing_one(cache: Replica, stores: Stores, key: str) -> None:
    async with redis_client(stores) as redis:
        await redis.set(f"pergola:cache:default:values:{key}", "?not ours")
    assert await cache.get(key) is None
    await cache.set(key, "ours")
    assert await cache.get(key) == "ours"
