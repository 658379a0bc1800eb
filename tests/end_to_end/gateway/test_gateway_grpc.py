"""gRPC, gRPC-Web and Connect through the real Envoy, down to their bytes."""

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from pergola.chat.v1 import chat_pb2, chat_pb2_grpc
from services.runtime.errors import JobNotFound, RateLimited
from tests import bounds
from tests.end_to_end.gateway.conftest import ORIGIN
from tests.end_to_end.gateway.envoys import Gateway
from tests.end_to_end.gateway.upstream import Book, answer, content

QUESTION = chat_pb2.ChatInput(messages=[chat_pb2.Message(role="user", content="why?")])
CHAT = "/pergola.chat.v1.ChatService/Chat"
STREAM = "/pergola.chat.v1.ChatService/StreamChat"
CONNECT = {"content-type": "application/proto", "connect-protocol-version": "1"}


def frame(message: Any, flags: int = 0) -> bytes:
    data: bytes = message.SerializeToString()
    return struct.pack(">BI", flags, len(data)) + data


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """(flags, payload) of each length-prefixed frame."""
    found = []
    while data:
        flags, length = struct.unpack(">BI", data[:5])
        found.append((flags, data[5 : 5 + length]))
        data = data[5 + length :]
    return found


async def test_grpc_over_http2_on_the_same_port(channel: grpc.aio.Channel, book: Book) -> None:
    stub = chat_pb2_grpc.ChatServiceStub(channel)
    told = await stub.Chat(chat_pb2.ChatRequest(input=QUESTION), metadata=(("x-pergola-tenant", "other"),))
    assert told.message.content == "hello"
    assert not [name for name in book.last.metadata if name.startswith("x-pergola")]
    streamed = [message async for message in stub.StreamChat(chat_pb2.StreamChatRequest(input=QUESTION))]
    assert [message.WhichOneof("event") for message in streamed] == ["content", "done"]


async def test_both_sides_stream(channel: grpc.aio.Channel, book: Book) -> None:
    async def converse(requests: Any) -> AsyncIterator[chat_pb2.ConverseResponse]:
        async for request in requests:
            yield chat_pb2.ConverseResponse(turn=1, content=request.input.messages[0].content)

    book.stream("Converse", converse)
    opened = chat_pb2_grpc.ChatServiceStub(channel).Converse()
    for _ in range(3):
        await opened.write(chat_pb2.ConverseRequest(input=QUESTION))
        message = await opened.read()
        assert isinstance(message, chat_pb2.ConverseResponse)
        assert message.content == "why?"
    await opened.done_writing()
    assert await opened.read() is grpc.aio.EOF
    # A conversation ends when the caller says so, not by a deadline.
    assert book.last.remaining is None


async def test_deadlines(channel: grpc.aio.Channel, book: Book) -> None:
    stub = chat_pb2_grpc.ChatServiceStub(channel)
    for timeout, longest in ((None, 600), (2, 2), (5000, 600)):
        await stub.Chat(chat_pb2.ChatRequest(input=QUESTION), timeout=timeout)
        assert longest - 3 < (book.last.remaining or 0) <= longest


async def test_a_cancelled_call_is_cancelled_behind(channel: grpc.aio.Channel, book: Book) -> None:
    cancelled = asyncio.Event()

    async def stream(_: Any) -> AsyncIterator[chat_pb2.StreamChatResponse]:
        try:
            yield content("x")
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    book.stream("StreamChat", stream)
    opened = chat_pb2_grpc.ChatServiceStub(channel).StreamChat(chat_pb2.StreamChatRequest(input=QUESTION))
    assert await opened.read() == content("x")
    opened.cancel()
    async with asyncio.timeout(bounds.AFTER_CANCEL):
        await cancelled.wait()


async def test_messages_beyond_the_body_limit_of_rest(channel: grpc.aio.Channel, book: Book) -> None:
    async def large(_: Any) -> chat_pb2.ChatResponse:
        return answer("x" * 3_000_000)

    book.unary("Chat", large)
    question = chat_pb2.ChatInput(messages=[chat_pb2.Message(role="user", content="y" * 1_000_000)] * 3)
    told = await chat_pb2_grpc.ChatServiceStub(channel).Chat(chat_pb2.ChatRequest(input=question))
    assert len(told.message.content) == 3_000_000


@pytest.mark.parametrize("path", ["/pergola.chat.v1.ChatService/Nothing", "/other.v1.Service/Method"])
async def test_unknown_methods(channel: grpc.aio.Channel, path: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await channel.unary_unary(path, bytes, bytes)(b"")
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_reflection_lists_all_services(channel: grpc.aio.Channel) -> None:
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    replies = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([asked]))
    names = {service.name async for reply in replies for service in reply.list_services_response.service}
    assert names >= {"pergola.chat.v1.ChatService", "pergola.vector.v1.JobService", "pergola.cache.v1.CacheService"}


@pytest.mark.parametrize("suffix", ["", "+proto"])
@pytest.mark.parametrize("text", [False, True])
async def test_grpc_web_bytes(http: aiohttp.ClientSession, text: bool, suffix: str) -> None:
    kind = f"application/grpc-web{'-text' if text else ''}{suffix}"
    data = frame(chat_pb2.StreamChatRequest(input=QUESTION))
    headers = {"content-type": kind, "accept": kind, "x-grpc-web": "1", "origin": ORIGIN}
    async with http.post(STREAM, data=base64.b64encode(data) if text else data, headers=headers) as response:
        assert response.status == 200
        assert response.headers["content-type"].startswith("application/grpc-web")
        assert response.headers["access-control-allow-origin"] == ORIGIN
        assert "grpc-status" in response.headers["access-control-expose-headers"]
        raw = await response.read()
    if text:
        # Each piece is padded by itself, so the padding may stand anywhere.
        raw = b"".join(base64.b64decode(raw[start : start + 4]) for start in range(0, len(raw), 4))
    first, second, last = frames(raw)
    assert chat_pb2.StreamChatResponse.FromString(first[1]).content == "hello"
    assert chat_pb2.StreamChatResponse.FromString(second[1]).done.finish_reason == "stop"
    assert last[0] == 0x80
    assert b"grpc-status:0" in last[1].replace(b" ", b"")


async def test_grpc_web_errors(http: aiohttp.ClientSession, book: Book) -> None:
    async def fail(_: Any) -> chat_pb2.ChatResponse:
        raise RateLimited("slow down", retry_after=3)

    book.unary("Chat", fail)
    headers = {"content-type": "application/grpc-web+proto"}
    async with http.post(CHAT, data=frame(chat_pb2.ChatRequest(input=QUESTION)), headers=headers) as response:
        assert response.status == 200
        told = {name.lower(): value for name, value in response.headers.items()}
        for flags, payload in frames(await response.read()):
            assert flags == 0x80
            told.update(line.partition(":")[::2] for line in payload.decode().splitlines())
    assert told["grpc-status"].strip() == str(grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
    assert told["grpc-message"].strip() == "slow down"
    assert told["retry-after"].strip() == "3"


async def test_connect_unary_bytes(http: aiohttp.ClientSession, book: Book) -> None:
    request = chat_pb2.ChatRequest(input=QUESTION).SerializeToString()
    headers = {**CONNECT, "connect-timeout-ms": "2000"}
    async with http.post(CHAT, data=request, headers=headers) as response:
        assert (response.status, response.headers["content-type"]) == (200, "application/proto")
        assert chat_pb2.ChatResponse.FromString(await response.read()).message.content == "hello"
    assert 1 < (book.last.remaining or 0) <= 2
    async with http.post(CHAT, data=request, headers=CONNECT) as response:
        assert response.status == 200
    assert 595 < (book.last.remaining or 0) <= 600
    async with http.post(CHAT, data=request, headers={**CONNECT, "connect-timeout-ms": "soon"}) as response:
        assert response.status == 400
        assert (await response.json())["code"] == "invalid_argument"


async def test_connect_streaming_bytes(http: aiohttp.ClientSession, book: Book) -> None:
    headers = {"content-type": "application/connect+proto", "connect-protocol-version": "1"}
    data = frame(chat_pb2.StreamChatRequest(input=QUESTION))
    async with http.post(STREAM, data=data, headers=headers) as response:
        assert (response.status, response.headers["content-type"]) == (200, "application/connect+proto")
        first, second, last = frames(await response.read())
    assert chat_pb2.StreamChatResponse.FromString(first[1]).content == "hello"
    assert chat_pb2.StreamChatResponse.FromString(second[1]).done.finish_reason == "stop"
    assert last[0] == 2
    assert "error" not in json.loads(last[1])

    async def fail(_: Any) -> AsyncIterator[chat_pb2.StreamChatResponse]:
        yield content("x")
        raise JobNotFound("gone")

    book.stream("StreamChat", fail)
    async with http.post(STREAM, data=data, headers=headers) as response:
        first, last = frames(await response.read())
    assert json.loads(last[1])["error"]["code"] == "not_found"


async def test_connect_refusals_have_its_shape(http: aiohttp.ClientSession, gateway: Gateway) -> None:
    headers = {**CONNECT, "connect-timeout-ms": "-1"}
    async with http.post(CHAT, data=b"", headers=headers) as response:
        assert (response.status, response.headers["content-type"]) == (400, "application/json")
        assert set(await response.json()) == {"code", "message"}
