"""Time and cancellation: a handler never works longer than somebody waits for it."""

import asyncio
from typing import Any

import grpc
import pytest

from services.runtime import call
from services.runtime.errors import DeadlineExceeded, from_rpc
from tests.bounds import AFTER_CANCEL, AFTER_DEADLINE
from tests.integration.runtime.conftest import Door
from tests.integration.runtime.echo import Echo, drained, failure, pb, pb_grpc, run
from tests.support.steady import steady, undisturbed


def text(value: str) -> Any:
    return pb.EchoRequest(text=value)


async def requests(*texts: str) -> Any:
    for one in texts:
        yield text(one)


@pytest.mark.parametrize("method", ["Read", "Stream", "Collect", "Converse"])
async def test_the_handler_is_cancelled_at_the_callers_deadline(door: Door, method: str) -> None:
    streams_in, streams_out = method in ("Collect", "Converse"), method in ("Stream", "Converse")
    begun = steady()
    opened = getattr(door.stub, method)(requests("wait") if streams_in else text("wait"), timeout=0.3)
    error = (await drained(opened))[1] if streams_out else await failure(opened)
    assert error is not None
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert steady() - begun < 0.3 + AFTER_DEADLINE
    assert await door.echo.events.get() == "started"
    assert await asyncio.wait_for(door.echo.events.get(), AFTER_CANCEL) == "cancelled"
    if streams_out:
        assert await asyncio.wait_for(door.echo.events.get(), AFTER_CANCEL) == "closed"


async def test_our_own_answer_arrives_before_the_callers_time_is_over(door: Door) -> None:
    async def ask() -> None:
        error = await failure(door.stub.Read(text("wait"), timeout=0.5))
        assert isinstance(from_rpc(error, "echo"), DeadlineExceeded)
        assert "x-request-id" in dict(error.trailing_metadata())

    await undisturbed(ask)


async def test_a_call_without_a_deadline_gets_the_settings() -> None:
    echo = Echo()
    async with (
        run(echo, unary_deadline_seconds=0.2, stream_deadline_seconds=0.3) as running,
        grpc.aio.insecure_channel(running.address) as channel,
    ):
        stub = pb_grpc.EchoServiceStub(channel)
        assert (await failure(stub.Read(text("wait")))).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        _, error = await drained(stub.Stream(text("wait"), metadata=(("x-pergola-face", "api"),)))
        assert error is not None
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_deadline_in_the_middle_of_a_stream_is_told_in_band(door: Door) -> None:
    metadata = (("x-pergola-face", "api"),)

    async def ask() -> None:
        texts, error = await drained(door.stub.Stream(text("wait"), metadata=metadata, timeout=0.3))
        assert texts == ["wait0", "wait1", "wait2", "error 504 DEADLINE_EXCEEDED"]
        assert error is not None

    await undisturbed(ask)


async def test_a_handler_that_swallows_its_cancellation_is_still_late(door: Door) -> None:
    error = await failure(door.stub.Read(text("stubborn"), timeout=0.3))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert door.log.lines[-1]["code"] == "DEADLINE_EXCEEDED"


async def test_a_feed_has_no_deadline_and_ends_with_its_caller(door: Door) -> None:
    stream = door.stub.Watch(text(""))
    assert (await stream.read()).text == "watching"
    assert door.echo.calls[-1].deadline is None
    assert await door.echo.events.get() == "started"
    stream.cancel()
    assert await asyncio.wait_for(door.echo.events.get(), AFTER_CANCEL) == "cancelled"
    assert await asyncio.wait_for(door.echo.events.get(), AFTER_CANCEL) == "closed"


@pytest.mark.parametrize("method", ["Read", "Stream", "Collect", "Converse"])
async def test_a_caller_that_goes_away_cancels_the_handler(door: Door, method: str) -> None:
    streams_in = method in ("Collect", "Converse")
    opened = getattr(door.stub, method)(requests("wait") if streams_in else text("wait"))
    if method in ("Stream", "Converse"):
        reading = asyncio.ensure_future(drained(opened))
    assert await asyncio.wait_for(door.echo.events.get(), AFTER_CANCEL) == "started"
    opened.cancel()
    assert await asyncio.wait_for(door.echo.events.get(), AFTER_CANCEL) == "cancelled"
    if method in ("Stream", "Converse"):
        assert await asyncio.wait_for(door.echo.events.get(), AFTER_CANCEL) == "closed"
        reading.cancel()
    await asyncio.sleep(0)
    assert door.log.lines[-1]["code"] == "CANCELLED"


async def test_a_stream_left_half_read_closes_its_generator(door: Door) -> None:
    """The handler waits in a write, not in its own code, when flow control holds it back."""

    async def flood(_text: str) -> None:
        await asyncio.sleep(0)

    door.echo.hook = flood
    stream = door.stub.Stream(text("a"))
    await stream.read()
    stream.cancel()
    assert await asyncio.wait_for(door.echo.events.get(), AFTER_CANCEL) == "closed"


async def test_remaining_time_is_known_inside_and_none_outside(door: Door) -> None:
    seen: list[float | None] = []

    async def look(_text: str) -> None:
        seen.append(call.remaining())

    door.echo.hook = look
    await door.stub.Read(text("a"), timeout=5)
    assert seen[0] is not None
    assert 4 < seen[0] < 5
    assert call.remaining() is None
    assert call.find() is None


async def test_a_finished_call_leaves_nothing_behind(door: Door) -> None:
    await door.stub.Read(text("a"))
    await failure(door.stub.Read(text("broken")))
    await drained(door.stub.Stream(text("a")))
    assert door.running.calls == 0
