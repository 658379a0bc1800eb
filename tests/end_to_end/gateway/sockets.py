"""Conversations over WebSockets: what clients and chat do in the tests, and an edge with settings of its own."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import WSMsgType

from gateway.edge.server import Edge, serving
from gateway.edge.settings import EdgeSettings
from pergola.chat.v1 import chat_pb2
from tests.end_to_end.gateway.upstream import Book, upstream

QUESTION = {"type": "message", "messages": [{"role": "user", "content": "why?"}]}
THROUGH_THE_GATEWAY = {"x-pergola-door": "websocket"}
PATIENCE = 20.0


async def frame(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """The next frame, which has to be text."""
    message = await socket.receive(PATIENCE)
    assert message.type is WSMsgType.TEXT, message
    told: dict[str, Any] = json.loads(message.data)
    return told


async def closed(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """The code with which the other side closes, after whatever it still says."""
    while (await socket.receive(PATIENCE)).type in (WSMsgType.TEXT, WSMsgType.PING):
        pass
    return socket.close_code


def connection(socket: aiohttp.ClientWebSocketResponse) -> asyncio.Transport:
    """The client's TCP connection, to be mistreated."""
    held = socket._response.connection
    assert held is not None
    assert isinstance(held.transport, asyncio.Transport)
    return held.transport


def echo(book: Book) -> None:
    """Chat answers each turn with what was asked, and done."""

    async def converse(requests: Any) -> AsyncIterator[chat_pb2.ConverseResponse]:
        turn = 0
        async for request in requests:
            turn += 1
            yield chat_pb2.ConverseResponse(turn=turn, content=request.input.messages[0].content)
            yield chat_pb2.ConverseResponse(turn=turn, done=chat_pb2.Done(finish_reason="stop"))

    book.stream("Converse", converse)


def silence(book: Book) -> tuple[asyncio.Event, asyncio.Event]:
    """Chat takes a turn and never answers; the events tell that it has begun, and that it was cancelled."""
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def converse(requests: Any) -> AsyncIterator[chat_pb2.ConverseResponse]:
        try:
            async for _ in requests:
                begun.set()
                await asyncio.Event().wait()
                yield chat_pb2.ConverseResponse()
        finally:
            cancelled.set()

    book.stream("Converse", converse)
    return begun, cancelled


@asynccontextmanager
async def own_edge(book: Book, **settings: Any) -> AsyncIterator[tuple[Edge, aiohttp.ClientSession]]:
    """An edge with settings of its own, reached without Envoy."""
    async with upstream(book) as running:
        fast: dict[str, Any] = {"drain_seconds": 0.0, **settings}
        async with (
            serving(EdgeSettings(chat_address=running.address, **fast)) as edge,
            aiohttp.ClientSession(f"http://{edge.address}", headers=THROUGH_THE_GATEWAY) as session,
        ):
            yield edge, session
