"""/ws/chat through the real Envoy and the real edge."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from pergola.chat.v1 import chat_pb2
from services.runtime.errors import RoleRequired, UpstreamError
from tests import bounds
from tests.end_to_end.gateway.conftest import ORIGIN
from tests.end_to_end.gateway.envoys import Gateway
from tests.end_to_end.gateway.sockets import (
    PATIENCE,
    QUESTION,
    closed,
    connection,
    echo,
    frame,
    silence,
)
from tests.end_to_end.gateway.upstream import Book


async def test_a_conversation(http: aiohttp.ClientSession, book: Book) -> None:
    echo(book)
    headers = {"authorization": "Bearer abc", "x-request-id": "ws-1", "origin": ORIGIN, "x-pergola-tenant": "other"}
    async with http.ws_connect("/ws/chat", headers=headers, protocols=["pergola.v1"]) as socket:
        assert socket.protocol == "pergola.v1"
        for turn in (1, 2):
            await socket.send_json(QUESTION)
            assert await frame(socket) == {"type": "chunk", "turn": turn, "content": "why?"}
            told = await frame(socket)
            assert (told["type"], told["turn"], told["finish_reason"]) == ("done", turn, "stop")
            assert told["cached"] is False
        await socket.close()
    assert len(book.seen) == 1
    arrived = book.last.metadata
    assert (arrived["authorization"], arrived["x-request-id"]) == ("Bearer abc", "ws-1")
    assert "x-pergola-tenant" not in arrived


async def test_every_event_has_its_frame(http: aiohttp.ClientSession, book: Book) -> None:
    async def converse(requests: Any) -> AsyncIterator[chat_pb2.ConverseResponse]:
        async for _ in requests:
            cited = chat_pb2.Citation(number=1, document="d", path=["question", "passage"])
            yield chat_pb2.ConverseResponse(turn=1, citations=chat_pb2.Citations(items=[cited]))
            yield chat_pb2.ConverseResponse(turn=1, heartbeat=chat_pb2.Heartbeat())
            error = chat_pb2.ChatError(code=502, status="UNAVAILABLE", reason="UPSTREAM_ERROR", message="it failed")
            yield chat_pb2.ConverseResponse(turn=1, error=error)

    book.stream("Converse", converse)
    async with http.ws_connect("/ws/chat") as socket:
        await socket.send_json(QUESTION)
        cited = await frame(socket)
        assert (cited["type"], cited["items"][0]["number"], cited["items"][0]["path"]) == (
            "citations", 1, ["question", "passage"],
        )  # fmt: skip
        assert await frame(socket) == {"type": "heartbeat", "turn": 1}
        failed = await frame(socket)
        assert (failed["type"], failed["turn"], failed["code"], failed["reason"]) == ("error", 1, 502, "UPSTREAM_ERROR")
        # An error in a turn ends the turn, not the conversation.
        await socket.send_json(QUESTION)
        assert (await frame(socket))["type"] == "citations"


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ("{", "not JSON"),
        ("[1]", "a frame is a JSON object"),
        ('{"messages": []}', "type is"),
        ('{"type": "query"}', "query"),
        ('{"type": "message", "mesages": []}', "mesages"),
        ('{"type": "message", "messages": "x"}', "messages"),
        ('{"type": "message", "messages": []}', "messages"),
        ('{"type": "message", "messages": [{"role": "nobody", "content": ""}]}', "role"),
        ('{"type": "cancel", "turn": 1}', "turn"),
        ('{"type": "message", "retrieval": ' * 500 + "1" + "}" * 500, ""),
    ],
)
async def test_a_frame_that_is_refused_costs_an_error_frame(
    http: aiohttp.ClientSession, book: Book, sent: str, words: str
) -> None:
    echo(book)
    async with http.ws_connect("/ws/chat", headers={"x-request-id": "ws-2"}) as socket:
        await socket.send_str(sent)
        told = await frame(socket)
        assert (told["type"], told["turn"], told["code"]) == ("error", 0, 400)
        assert (told["status"], told["reason"], told["request_id"]) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT", "ws-2")
        assert words in told["message"]
        await socket.send_json(QUESTION)
        assert (await frame(socket))["type"] == "chunk"


async def test_cancel_reaches_chat(http: aiohttp.ClientSession, book: Book) -> None:
    async def converse(requests: Any) -> AsyncIterator[chat_pb2.ConverseResponse]:
        async for request in requests:
            if request.WhichOneof("event") == "cancel":
                yield chat_pb2.ConverseResponse(turn=1, done=chat_pb2.Done(finish_reason="cancelled"))

    book.stream("Converse", converse)
    async with http.ws_connect("/ws/chat") as socket:
        await socket.send_json(QUESTION)
        await socket.send_json({"type": "cancel"})
        assert (await frame(socket))["finish_reason"] == "cancelled"


async def test_close_codes(http: aiohttp.ClientSession, book: Book) -> None:
    async def code_of(send: Any) -> int | None:
        async with http.ws_connect("/ws/chat", max_msg_size=0) as socket:
            await send(socket)
            return await closed(socket)

    echo(book)
    assert await code_of(lambda socket: socket.send_bytes(b"{}")) == 1003
    assert await code_of(lambda socket: socket.send_frame(b"\xff\xfe", WSMsgType.TEXT)) == 1007
    assert await code_of(lambda socket: socket.send_str("x" * 5_000_000)) == 1009

    async def refuse(_: Any) -> AsyncIterator[chat_pb2.ConverseResponse]:
        raise RoleRequired("this needs the role writer")
        yield

    async def fail(_: Any) -> AsyncIterator[chat_pb2.ConverseResponse]:
        raise RuntimeError("secret text")
        yield

    async def provider(_: Any) -> AsyncIterator[chat_pb2.ConverseResponse]:
        raise UpstreamError("the provider failed")
        yield

    async def end(requests: Any) -> AsyncIterator[chat_pb2.ConverseResponse]:
        async for _ in requests:
            return
        yield chat_pb2.ConverseResponse()

    expected = ((refuse, 1008), (fail, 1011), (provider, 1011), (end, 1000))
    for handler, code in expected:
        book.stream("Converse", handler)
        assert await code_of(lambda socket: socket.send_json(QUESTION)) == code


async def test_an_error_that_ends_the_conversation_is_told_first(http: aiohttp.ClientSession, book: Book) -> None:
    async def refuse(_: Any) -> AsyncIterator[chat_pb2.ConverseResponse]:
        raise RoleRequired("this needs the role writer")
        yield

    book.stream("Converse", refuse)
    async with http.ws_connect("/ws/chat", headers={"x-request-id": "ws-3"}) as socket:
        told = await frame(socket)
        assert (told["type"], told["code"], told["reason"]) == ("error", 403, "ROLE_REQUIRED")
        assert (told["message"], told["request_id"]) == ("this needs the role writer", "ws-3")
        assert await closed(socket) == 1008


@pytest.mark.parametrize("origin", ["https://evil.com", "null"])
async def test_other_origins_are_refused(http: aiohttp.ClientSession, book: Book, origin: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
        await http.ws_connect("/ws/chat", headers={"origin": origin})
    assert raised.value.status == 403
    assert book.seen == []


async def test_without_an_upgrade(http: aiohttp.ClientSession) -> None:
    async with http.get("/ws/chat") as response:
        assert response.status == 426
        assert (await response.json())["error"]["reason"] == "UPGRADE_REQUIRED"
    async with http.post("/ws/chat", data=b"x") as response:
        assert response.status == 405


async def test_upgrades_elsewhere_are_refused(http: aiohttp.ClientSession, book: Book) -> None:
    for path in ("/api/chat", "/v1/models", "/api/collections"):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(path)
    assert book.seen == []


@pytest.mark.parametrize("politely", [True, False])
async def test_a_caller_that_goes_away_cancels_the_call(gateway: Gateway, book: Book, politely: bool) -> None:
    begun, cancelled = silence(book)
    async with aiohttp.ClientSession(gateway.url) as session:
        socket = await session.ws_connect("/ws/chat")
        await socket.send_json(QUESTION)
        async with asyncio.timeout(PATIENCE):
            await begun.wait()
        if politely:
            await socket.close()
        else:
            connection(socket).abort()
        async with asyncio.timeout(bounds.AFTER_CANCEL):
            await cancelled.wait()


async def test_pings_are_answered_and_sent(http: aiohttp.ClientSession, book: Book) -> None:
    silence(book)
    async with http.ws_connect("/ws/chat", autoping=False) as socket:
        await socket.ping(b"mine")
        assert (await socket.receive(PATIENCE)).data == b"mine"
        # The edge of this gateway pings after a second of silence.
        assert (await socket.receive(PATIENCE)).type is WSMsgType.PING
