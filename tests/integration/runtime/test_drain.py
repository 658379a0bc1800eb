"""The end of a process: no request is lost, no feed holds it up, and a dead worker is told."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.errors import Draining, from_rpc
from services.runtime.settings import ServiceSettings
from services.runtime.start import serving
from tests.integration.runtime.conftest import Door
from tests.integration.runtime.echo import Echo, Log, failure, pb, pb_grpc, run, servicer

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def test_no_request_is_lost_while_two_replicas_take_turns() -> None:
    """Callers that follow the health check lose nothing when their server drains under load."""
    first, second = Echo(), Echo()
    async with run(first) as one, run(second) as two, AsyncExitStack() as stack:
        a = await stack.enter_async_context(grpc.aio.insecure_channel(one.address))
        b = await stack.enter_async_context(grpc.aio.insecure_channel(two.address))
        stubs = {one.address: pb_grpc.EchoServiceStub(a), two.address: pb_grpc.EchoServiceStub(b)}
        target, stop, done = one.address, asyncio.Event(), 0

        async def follow() -> None:
            nonlocal target
            async for answer in health_pb2_grpc.HealthStub(a).Watch(health_pb2.HealthCheckRequest()):
                if answer.status == NOT_SERVING:
                    target = two.address
                    return

        async def load() -> None:
            nonlocal done
            while not stop.is_set():
                await stubs[target].Read(pb.EchoRequest(text="a"))
                done += 1

        following = asyncio.ensure_future(follow())
        loading = [asyncio.ensure_future(load()) for _ in range(8)]
        await first.reached(1)
        await one.drain(notice=0.3, grace=5)
        await second.reached(len(second.calls) + 20)
        stop.set()
        await asyncio.gather(*loading, following)
        assert done == len(first.calls) + len(second.calls)


async def test_a_running_call_is_finished_and_a_feed_is_told() -> None:
    echo, go = Echo(), asyncio.Event()
    async with run(echo) as running, grpc.aio.insecure_channel(running.address) as channel:
        stub = pb_grpc.EchoServiceStub(channel)

        async def hold(text: str) -> None:
            if text == "held":
                await go.wait()

        echo.hook = hold
        feed = stub.Watch(pb.EchoRequest(text=""))
        assert (await feed.read()).text == "watching"
        held = asyncio.ensure_future(_text(stub.Read(pb.EchoRequest(text="held"))))
        await echo.reached(2)
        draining = asyncio.ensure_future(running.drain(notice=0, grace=10))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await feed.read()
        assert isinstance(from_rpc(caught.value, "echo"), Draining)
        assert not draining.done()
        go.set()
        assert await held == "held"
        await asyncio.wait_for(draining, 5)


async def _text(call: Any) -> str:
    return str((await call).text)


async def test_who_waits_to_the_end_of_the_grace_is_told_why(door: Door) -> None:
    waiting = asyncio.ensure_future(failure(door.stub.Read(pb.EchoRequest(text="wait"))))
    await door.echo.reached(1)
    await door.running.drain(notice=0, grace=0.6)
    assert isinstance(from_rpc(await waiting, "echo"), Draining)


async def test_a_feed_outlives_its_connections_age() -> None:
    echo = Echo()
    async with (
        run(echo, max_connection_age_seconds=0.3) as running,
        grpc.aio.insecure_channel(running.address) as channel,
    ):
        stub = pb_grpc.EchoServiceStub(channel)
        feed = stub.Watch(pb.EchoRequest(text=""))
        assert (await feed.read()).text == "watching"
        # The server asks the client to leave; the client finds a new connection for its next call.
        await asyncio.wait_for(channel.wait_for_state_change(grpc.ChannelConnectivity.READY), 10)
        assert (await stub.Read(pb.EchoRequest(text="a"))).text == "a"
        assert not feed.done()
        feed.cancel()


async def test_health_follows_the_life_of_the_process(door: Door) -> None:
    async with grpc.aio.insecure_channel(door.running.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watched = stub.Watch(health_pb2.HealthCheckRequest(service="pergola.testing.v1.EchoService"))
        assert (await watched.read()).status == SERVING
        unknown = stub.Watch(health_pb2.HealthCheckRequest(service="nobody"))
        assert (await unknown.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="nobody"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        draining = asyncio.ensure_future(door.running.drain(notice=0.2, grace=5))
        assert (await watched.read()).status == NOT_SERVING
        await draining
        watched.cancel()
        unknown.cancel()


async def test_a_background_task_that_dies_takes_the_service_out(caplog: pytest.LogCaptureFixture) -> None:
    fail = asyncio.Event()

    async def worker() -> None:
        await fail.wait()
        raise RuntimeError("out of cheese")

    @asynccontextmanager
    async def assemble(_settings: Any, runtime: Any) -> Any:
        runtime.spawn(worker(), "cheese")
        yield [servicer(Echo())]

    async with (
        serving("echo", ServiceSettings(drain_seconds=1), assemble, sink=Log()) as running,
        grpc.aio.insecure_channel(running.address) as channel,
    ):
        fail.set()
        assert isinstance(await running.runtime.failed, RuntimeError)
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert answer.status == NOT_SERVING
    assert "the background task cheese died" in caplog.text


async def test_background_tasks_end_with_the_service() -> None:
    cancelled = asyncio.Event()

    async def worker() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    @asynccontextmanager
    async def assemble(_settings: Any, runtime: Any) -> Any:
        runtime.spawn(worker(), "worker")
        yield [servicer(Echo())]

    async with serving("echo", ServiceSettings(drain_seconds=1), assemble, sink=Log()):
        await asyncio.sleep(0)
    assert cancelled.is_set()
