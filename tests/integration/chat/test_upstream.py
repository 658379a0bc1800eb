"""A provider that fails, in every way it can, seen through StreamChat, Chat and /v1's RPC."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio

from pergola.chat.v1 import chat_pb2
from tests import bounds
from tests.fakes.provider import FakeProvider
from tests.fakes.script import Script
from tests.support import chat
from tests.support.cache import reason
from tests.support.chat import ChatDoor, Neighbours, question
from tests.support.steady import steady, undisturbed


@pytest_asyncio.fixture(scope="module")
async def impatient(provider: FakeProvider) -> AsyncIterator[ChatDoor]:
    """A service that waits for its provider a second at most."""
    settings = {f"provider_{name}_seconds": "0.5" for name in ("connect", "first_byte", "idle")}
    closed = {"id": "closed", "base_url": "http://127.0.0.1:9/v1"}
    models = json.dumps([*json.loads(chat.fake_models(provider)), closed])
    async with (
        Neighbours().serving() as neighbours,  # type: ignore[abstract]  # it answers only what chat asks
        chat.chat_service(chat.neighbours_at(neighbours.address), models, **settings) as running,
    ):
        yield running


BEFORE = [
    ("status-429", "UPSTREAM_RATE_LIMITED"),
    ("status-500", "UPSTREAM_ERROR"),
    ("status-503", "UPSTREAM_ERROR"),
    ("status-401", "UPSTREAM_AUTHENTICATION"),
    ("status-400", "UPSTREAM_REJECTED"),
    ("status-302", "UPSTREAM_BAD_RESPONSE"),
    ("status-504", "UPSTREAM_TIMEOUT"),
    ("hang-0", "UPSTREAM_TIMEOUT"),
    ("closed", "UPSTREAM_ERROR"),
]


def name(model: str) -> str:
    return model if model == "closed" else f"fake/{model}"


@pytest.mark.parametrize(("model", "expected"), BEFORE)
@pytest.mark.parametrize("rpc", ["StreamChat", "Chat", "completion", "completion-stream"])
async def test_a_failure_before_the_answer_is_the_status(
    impatient: ChatDoor, model: str, expected: str, rpc: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await _ask(impatient, rpc, name(model))
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    assert reason(error.value) == expected
    assert "secret" not in str(error.value)
    if model == "status-429":
        assert dict(error.value.trailing_metadata() or ())["retry-after"] == "7"


async def _ask(door: ChatDoor, rpc: str, model: str) -> None:
    if rpc == "StreamChat":
        await door.stream(model)
    elif rpc == "Chat":
        await door.chat.Chat(chat_pb2.ChatRequest(input=question("Hello?", model=model)))
    else:
        await door.complete(model, stream=rpc == "completion-stream")


DURING = [
    ("cut-2", "UPSTREAM_STREAM_CUT"),
    ("close-2", "UPSTREAM_STREAM_CUT"),
    ("hang-2", "UPSTREAM_TIMEOUT"),
    ("malformed-2", "UPSTREAM_BAD_RESPONSE"),
    ("error-2", "UPSTREAM_ERROR"),
]


@pytest.mark.parametrize(("model", "expected"), DURING)
async def test_a_failure_in_the_middle_is_an_event_and_the_status(
    impatient: ChatDoor, model: str, expected: str
) -> None:
    events: list[Any] = []
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await _collect(impatient.chat.StreamChat(_stream_request(f"fake/{model}")), events)
    assert "".join(event.content for event in events) == "Hello, "
    told = events[-1].error
    assert (told.code, told.status, told.reason) == (502, "UNAVAILABLE", expected)
    assert told.request_id
    assert reason(error.value) == expected


@pytest.mark.parametrize(("model", "expected"), DURING)
async def test_a_failure_in_the_middle_is_told_in_openais_stream(
    impatient: ChatDoor, model: str, expected: str
) -> None:
    pieces: list[Any] = []
    with pytest.raises(grpc.aio.AioRpcError):
        await _collect(impatient.completion(f"fake/{model}", stream=True), pieces)
    received = b"".join(piece.body.data for piece in pieces)
    events = received.decode().removesuffix("\n\n").split("\n\n")
    assert all(event.startswith("data: {") for event in events)
    assert json.loads(events[-1][6:])["error"]["code"] == expected.lower()
    assert "[DONE]" not in received.decode()
    deltas = [json.loads(event[6:])["choices"][0]["delta"].get("content", "") for event in events[:-1]]
    assert "".join(deltas) == "Hello, "


@pytest.mark.parametrize(
    ("model", "expected"), [("cut-2", "UPSTREAM_STREAM_CUT"), ("malformed-2", "UPSTREAM_BAD_RESPONSE")]
)
async def test_a_whole_answer_that_breaks_off_is_an_error(impatient: ChatDoor, model: str, expected: str) -> None:
    for rpc in ("Chat", "completion"):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await _ask(impatient, rpc, f"fake/{model}")
        assert reason(error.value) == expected


async def test_a_provider_that_answers_no_stream_is_an_error(impatient: ChatDoor, provider: FakeProvider) -> None:
    provider.script("html", Script(body="<html>login</html>", content_type="text/html"))
    for rpc in ("StreamChat", "completion", "completion-stream"):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await _ask(impatient, rpc, "fake/html")
        assert reason(error.value) == "UPSTREAM_BAD_RESPONSE"


@pytest.mark.parametrize("model", ["hang-0", "hang-2"])
@pytest.mark.parametrize("rpc", ["StreamChat", "Chat", "completion", "completion-stream"])
async def test_a_caller_that_leaves_ends_the_providers_request(
    door: ChatDoor, provider: FakeProvider, model: str, rpc: str
) -> None:
    behaviour = Script(first_byte_delay=-1) if model == "hang-0" else Script(hang_after=2)
    own = provider.script(f"leave-{rpc}-{model}", behaviour)
    asked = asyncio.ensure_future(_ask(door, rpc, f"fake/{own}"))
    seen = await provider.request(own)
    assert not seen.disconnected.done()
    asked.cancel()
    await seen.wait_disconnected(bounds.AFTER_CANCEL)


async def test_the_deadline_ends_the_stream_with_an_event(door: ChatDoor, provider: FakeProvider) -> None:
    provider.script("slowly", Script(chunks=["word "] * 1000, chunk_delay=0.02))

    async def ask() -> None:
        began = steady()
        events: list[Any] = []
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await _collect(door.chat.StreamChat(_stream_request("fake/slowly"), timeout=1.0), events)
        assert steady() - began < 1.0 + bounds.AFTER_DEADLINE
        assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert len(events) > 2
        assert events[-1].error.status == "DEADLINE_EXCEEDED"

    await undisturbed(ask)
    seen = await provider.request("slowly")
    await seen.wait_disconnected(bounds.AFTER_CANCEL)


async def test_a_slow_reader_holds_the_provider_back(door: ChatDoor, provider: FakeProvider) -> None:
    """A stream nobody reads must stop at the provider, not pile up here."""
    provider.script("flood", Script(chunks=["x" * 4096] * 20_000))
    call = door.completion("fake/flood", stream=True)
    await call.read()
    seen = await provider.request("flood")
    with pytest.raises(TimeoutError):
        await seen.wait_ended(1.0)
    call.cancel()
    await seen.wait_disconnected(bounds.AFTER_CANCEL)


async def test_many_failures_leave_no_connection_behind(impatient: ChatDoor, provider: FakeProvider) -> None:
    for _ in range(20):
        with pytest.raises(grpc.aio.AioRpcError):
            await impatient.stream("fake/cut-1")
    events = await impatient.stream("fake/after-all")
    assert events[-1].done.finish_reason == "stop"


def _stream_request(model: str) -> chat_pb2.StreamChatRequest:
    return chat_pb2.StreamChatRequest(input=question("Hello?", model=model))


async def _collect(call: Any, into: list[Any]) -> None:
    """Keeps what came before the error."""
    async for message in call:
        into.append(message)  # noqa: PERF401


async def test_callers_that_leave_leave_nothing_behind(door: ChatDoor, provider: FakeProvider) -> None:
    provider.script("leaving", Script(hang_after=2))
    for _ in range(5):
        calls = [door.chat.StreamChat(_stream_request("fake/leaving")) for _ in range(40)]
        await asyncio.gather(*(call.read() for call in calls))
        for call in calls:
            call.cancel()
    last = await provider.request("leaving", 200)
    await last.wait_disconnected(bounds.AFTER_CANCEL)
    for seen in provider.requests("leaving"):
        await seen.wait_disconnected(bounds.AFTER_CANCEL)
    await chat.idle(door, bounds.AFTER_CANCEL)


async def test_more_calls_than_connections_wait_their_turn(provider: FakeProvider, neighbours: Neighbours) -> None:
    provider.script("few", Script(first_byte_delay=0.05))
    addresses = chat.neighbours_at(neighbours.address)
    async with chat.chat_service(addresses, chat.fake_models(provider), provider_connections="2") as door:
        answers = await asyncio.gather(*(door.stream("fake/few") for _ in range(8)))
    assert all(events[-1].done.finish_reason == "stop" for events in answers)


async def test_a_call_that_gets_no_connection_says_so(provider: FakeProvider, neighbours: Neighbours) -> None:
    provider.script("taken", Script(hang_after=1))
    addresses = chat.neighbours_at(neighbours.address)
    settings = {"provider_connections": "1", "provider_connect_seconds": "0.3"}
    async with chat.chat_service(addresses, chat.fake_models(provider), **settings) as door:
        holding = door.chat.StreamChat(_stream_request("fake/taken"))
        await holding.read()
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await door.stream("fake/any")
        assert reason(error.value) == "UPSTREAM_TIMEOUT"
        assert "no connection" in (error.value.details() or "")
        holding.cancel()
