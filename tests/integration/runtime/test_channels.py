"""Calls between services: what goes along, what is tried again, and who is asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from pergola.cache.v1 import cache_pb2, cache_pb2_grpc
from pergola.vector.v1 import collection_pb2, collection_pb2_grpc
from services.runtime import call
from services.runtime.channels import connect
from services.runtime.errors import (
    Aborted,
    DeadlineExceeded,
    Draining,
    Internal,
    PeerUnavailable,
    PergolaError,
    StoreUnavailable,
    UpstreamError,
    from_rpc,
)
from services.runtime.settings import Secret, ServiceSettings, SettingsError
from services.runtime.start import Servicer, serving
from tests.bounds import AFTER_CANCEL, RECOVERY
from tests.integration.runtime import callers, echo
from tests.integration.runtime.echo import Log, failure


class Cache(cast("type[Any]", cache_pb2_grpc.CacheServiceServicer)):  # type: ignore[misc]
    """Fails with the errors it is given, one a call, then answers."""

    def __init__(self) -> None:
        self.errors: list[PergolaError] = []
        self.calls: list[call.Call] = []

    async def Get(self, request: Any, _context: Any) -> Any:
        self.calls.append(call.current())
        if self.errors:
            raise self.errors.pop(0)
        return cache_pb2.GetResponse(entry=cache_pb2.Entry(key=request.key))

    async def Set(self, _request: Any, _context: Any) -> Any:
        self.calls.append(call.current())
        if self.errors:
            raise self.errors.pop(0)
        return cache_pb2.SetResponse()


class Collections(cast("type[Any]", collection_pb2_grpc.CollectionServiceServicer)):  # type: ignore[misc]
    def __init__(self) -> None:
        self.calls = 0

    async def CreateCollection(self, _request: Any, _context: Any) -> Any:
        self.calls += 1
        raise StoreUnavailable("not now")


def get(key: str = "k") -> Any:
    return cache_pb2.GetRequest(namespace="n", key=key)


def put() -> Any:
    return cache_pb2.SetRequest(namespace="n", key="k", value=cache_pb2.Value(text="v"))


@asynccontextmanager
async def peer(servicer: Cache | Collections, **settings: Any) -> AsyncIterator[str]:
    if isinstance(servicer, Cache):
        one = Servicer("pergola.cache.v1.CacheService", servicer, cache_pb2_grpc.add_CacheServiceServicer_to_server)
    else:
        name = "pergola.vector.v1.CollectionService"
        one = Servicer(name, servicer, collection_pb2_grpc.add_CollectionServiceServicer_to_server)
    async with serving("peer", ServiceSettings(drain_seconds=1, **settings), echo.assemble(one), sink=Log()) as running:
        yield running.address


@pytest.fixture
async def cache() -> AsyncIterator[tuple[Cache, Any]]:
    servicer = Cache()
    async with peer(servicer) as address, connect("cache", ServiceSettings(cache_address=address)) as channel:
        yield servicer, cache_pb2_grpc.CacheServiceStub(channel)


# What goes along


async def test_tenant_request_id_trace_and_time_go_along(tmp_path: Path) -> None:
    file = callers.write(tmp_path / "callers.json")
    servicer, front = Cache(), echo.Echo()
    async with peer(servicer, callers_file=file) as address:
        settings = ServiceSettings(
            drain_seconds=1,
            callers_file=file,
            cache_address=address,
            service_key=Secret(callers.KEYS["service"]),
        )

        @asynccontextmanager
        async def assemble(_settings: Any, runtime: Any) -> Any:
            stub = cache_pb2_grpc.CacheServiceStub(runtime.connect("cache"))

            async def ask(_text: str) -> None:
                await asyncio.sleep(0.05)
                await stub.Get(get())

            front.hook = ask
            yield [echo.servicer(front)]

        async with (
            serving("front", settings, assemble, sink=Log()) as running,
            grpc.aio.insecure_channel(running.address) as channel,
        ):
            traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            metadata = (
                *callers.bearer("two", tenant="globex"),
                ("x-request-id", "r-17"),
                ("traceparent", traceparent),
                ("tracestate", "a=b"),
                ("x-pergola-face", "api"),
            )
            await echo.pb_grpc.EchoServiceStub(channel).Read(
                echo.pb.EchoRequest(text="a"), metadata=metadata, timeout=5
            )
    outer, inner = front.calls[0], servicer.calls[0]
    assert (inner.tenant, inner.caller, inner.request_id) == ("globex", "service", "r-17")
    assert (inner.traceparent, inner.tracestate) == (traceparent, "a=b")
    assert inner.face == "grpc"
    assert outer.deadline is not None
    assert inner.deadline is not None
    assert inner.deadline <= outer.deadline


async def test_a_worker_acts_for_its_tenant(tmp_path: Path) -> None:
    file = callers.write(tmp_path / "callers.json")
    servicer = Cache()
    async with peer(servicer, callers_file=file) as address:
        key = Secret(callers.KEYS["service"])
        settings = ServiceSettings(callers_file=file, cache_address=address, service_key=key)
        async with connect("cache", settings) as channel:
            stub = cache_pb2_grpc.CacheServiceStub(channel)
            with call.acting_as("globex", request_id="job-1"):
                await stub.Get(get())
    assert (servicer.calls[0].tenant, servicer.calls[0].request_id) == ("globex", "job-1")


async def test_nothing_is_called_without_time(cache: tuple[Cache, Any]) -> None:
    with call.acting_as("default", deadline=0.0), pytest.raises(DeadlineExceeded):
        await cache[1].Get(get())
    assert cache[0].calls == []


async def test_our_own_wrong_credentials_are_not_the_callers_fault(tmp_path: Path) -> None:
    file = callers.write(tmp_path / "callers.json")
    async with peer(Cache(), callers_file=file) as address:
        settings = ServiceSettings(callers_file=file, cache_address=address, service_key=Secret("wrong"))
        async with connect("cache", settings) as channel:
            error = await failure(cache_pb2_grpc.CacheServiceStub(channel).Get(get()))
    assert isinstance(from_rpc(error, "cache"), Internal)


async def test_callers_without_own_credentials_are_refused_at_the_start(tmp_path: Path) -> None:
    file = callers.write(tmp_path / "callers.json")
    with pytest.raises(SettingsError, match="service_key"):
        connect("cache", ServiceSettings(callers_file=file, cache_address="127.0.0.1:1"))
    with pytest.raises(SettingsError, match="PERGOLA_CACHE_ADDRESS"):
        connect("cache", ServiceSettings())


async def test_a_proxy_in_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    servicer = Cache()
    async with peer(servicer) as address, connect("cache", ServiceSettings(cache_address=address)) as channel:
        assert (await cache_pb2_grpc.CacheServiceStub(channel).Get(get())).entry.key == "k"


# What is tried again


@pytest.mark.parametrize("error", [StoreUnavailable("not now"), Draining("bye")])
async def test_what_may_be_repeated_is_tried_once_more(cache: tuple[Cache, Any], error: PergolaError) -> None:
    servicer, stub = cache
    servicer.errors = [error]
    assert (await stub.Get(get())).entry.key == "k"
    assert len(servicer.calls) == 2
    servicer.errors = [error]
    await stub.Set(put())
    assert len(servicer.calls) == 4


async def test_once_more_and_no_more(cache: tuple[Cache, Any]) -> None:
    servicer, stub = cache
    servicer.errors = [StoreUnavailable("one"), StoreUnavailable("two"), StoreUnavailable("three")]
    error = await failure(stub.Get(get()))
    assert error.details() == "two"
    assert len(servicer.calls) == 2


@pytest.mark.parametrize("error", [UpstreamError("costs money"), PeerUnavailable("was tried"), Aborted("conflict")])
async def test_what_would_not_help_is_not_tried_again(cache: tuple[Cache, Any], error: PergolaError) -> None:
    servicer, stub = cache
    servicer.errors = [error]
    assert (await failure(stub.Get(get()))).details() == error.message
    assert len(servicer.calls) == 1


async def test_what_may_not_be_repeated_is_not_tried_again() -> None:
    servicer = Collections()
    async with peer(servicer) as address, connect("vector", ServiceSettings(vector_address=address)) as channel:
        stub = collection_pb2_grpc.CollectionServiceStub(channel)
        await failure(
            stub.CreateCollection(
                collection_pb2.CreateCollectionRequest(collection=collection_pb2.Collection(name="a"))
            )
        )
    assert servicer.calls == 1


async def test_a_peer_that_stays_down_is_not_flooded(cache: tuple[Cache, Any]) -> None:
    servicer, stub = cache
    servicer.errors = [StoreUnavailable("down") for _ in range(1000)]
    for _ in range(50):
        await failure(stub.Get(get()))
    # Ten tokens, one spent a failure, none left for a retry from the fifth on.
    assert len(servicer.calls) <= 50 + 5


async def test_a_peer_that_is_not_there_is_unavailable() -> None:
    async with peer(Cache()) as address:
        pass
    async with connect("cache", ServiceSettings(cache_address=address)) as channel:
        error = await failure(cache_pb2_grpc.CacheServiceStub(channel).Get(get(), timeout=5))
    rebuilt = from_rpc(error, "cache")
    assert isinstance(rebuilt, PeerUnavailable)
    assert "127.0.0.1" not in rebuilt.message


# Who is asked


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_replicas_take_turns_and_a_dead_one_is_passed_over(host: str) -> None:
    first, second = Cache(), Cache()
    async with peer(first) as one:
        async with peer(second) as two:
            addresses = ",".join(f"{host}:{address.rpartition(':')[2]}" for address in (one, two))
            channel = connect("cache", ServiceSettings(cache_address=addresses))
            stub = cache_pb2_grpc.CacheServiceStub(channel)
            async with asyncio.timeout(RECOVERY):
                while not (first.calls and second.calls):
                    await stub.Get(get())
        async with asyncio.timeout(RECOVERY):
            good = 0
            while good < 20:
                try:
                    await stub.Get(get())
                    good += 1
                except grpc.aio.AioRpcError as error:
                    # The call that finds the broken connection may be the one that pays for it.
                    assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017
                    good = 0
        await channel.close()


# Streams end with the call that opened them


async def test_a_forgotten_stream_is_cancelled_with_its_call() -> None:
    back = echo.Echo()
    async with echo.run(back) as behind:
        settings = ServiceSettings(cache_address=behind.address)
        channel = connect("cache", settings)
        stub = echo.pb_grpc.EchoServiceStub(channel)
        with call.acting_as("default"):
            stream = stub.Watch(echo.pb.EchoRequest(text=""))
            assert (await stream.read()).text == "watching"
        assert await asyncio.wait_for(back.events.get(), AFTER_CANCEL) == "started"
        assert await asyncio.wait_for(back.events.get(), AFTER_CANCEL) == "cancelled"
        assert await asyncio.wait_for(back.events.get(), AFTER_CANCEL) == "closed"
        assert stream.cancelled()
        await channel.close()
