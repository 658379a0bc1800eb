"""The edge with settings of its own, reached without Envoy: limits, backpressure, silence, the stop."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from gateway.edge.server import serving
from gateway.edge.settings import EdgeSettings
from pergola.chat.v1 import chat_pb2
from tests.end_to_end.gateway.sockets import (
    PATIENCE,
    QUESTION,
    THROUGH_THE_GATEWAY,
    closed,
    connection,
    echo,
    frame,
    own_edge,
    silence,
)
from tests.end_to_end.gateway.upstream import Book


async def test_the_edge_takes_nothing_that_passed_the_gateway_by(book: Book) -> None:
    async with own_edge(book) as (edge, _), aiohttp.ClientSession(f"http://{edge.address}") as page:
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            await page.ws_connect("/ws/chat", headers={"origin": "https://evil.com"})
        assert raised.value.status == 403
        async with page.get("/healthz") as response:
            assert response.status == 200


async def test_a_client_that_answers_no_ping_is_given_up(book: Book) -> None:
    begun, cancelled = silence(book)
    async with (
        own_edge(book, ping_seconds=0.1, pong_seconds=0.1) as (_, session),
        session.ws_connect("/ws/chat", autoping=False) as socket,
    ):
        await socket.send_json(QUESTION)
        async with asyncio.timeout(PATIENCE):
            await begun.wait()
            await cancelled.wait()
        while (await socket.receive(PATIENCE)).type is WSMsgType.PING:
            pass
        assert socket.close_code in (None, 1006)


async def test_an_idle_conversation_is_closed(book: Book) -> None:
    echo(book)
    async with own_edge(book, idle_seconds=0.3) as (_, session), session.ws_connect("/ws/chat") as socket:
        await socket.send_json(QUESTION)
        assert (await frame(socket))["type"] == "chunk"
        assert await closed(socket) == 1000


async def test_a_client_that_takes_nothing_stops_chat_and_is_given_up(book: Book) -> None:
    """The stream from chat is read only as fast as the client reads: a fast answer does not fill the memory."""
    written = 0
    ended = asyncio.Event()

    async def flood(_: Any) -> AsyncIterator[chat_pb2.ConverseResponse]:
        nonlocal written
        try:
            while True:
                yield chat_pb2.ConverseResponse(turn=1, content="x" * 50_000)
                written += 50_000
        finally:
            ended.set()

    book.stream("Converse", flood)
    async with own_edge(book, stall_seconds=1.0) as (_, session), session.ws_connect("/ws/chat") as socket:
        transport = connection(socket)
        transport.pause_reading()
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
        # Far below what a second of unchecked writing would have made.
        assert written < 30_000_000
        transport.resume_reading()


async def test_chat_that_takes_nothing_stops_the_reading(book: Book) -> None:
    begun, cancelled = silence(book)
    big = json.dumps({"type": "message", "messages": [{"role": "user", "content": "x" * 500_000}]})
    async with (
        own_edge(book, waiting_frames=2, ping_seconds=0.1, pong_seconds=0.1) as (_, session),
        session.ws_connect("/ws/chat", timeout=aiohttp.ClientWSTimeout(ws_close=0.1)) as socket,
    ):

        async def send_all() -> None:
            for _ in range(100):
                await socket.send_str(big)

        sending = asyncio.ensure_future(send_all())
        async with asyncio.timeout(PATIENCE):
            await begun.wait()
        # Some of the 50 MB wait in buffers, the rest in the client: it is not read, and not given up for that.
        done, _ = await asyncio.wait({sending}, timeout=1.5)
        assert not done
        assert not cancelled.is_set()
        sending.cancel()


async def test_a_stop_lets_the_turn_finish(book: Book) -> None:
    gate = asyncio.Event()

    async def converse(requests: Any) -> AsyncIterator[chat_pb2.ConverseResponse]:
        async for _ in requests:
            yield chat_pb2.ConverseResponse(turn=1, content="one")
            await gate.wait()
            yield chat_pb2.ConverseResponse(turn=1, done=chat_pb2.Done(finish_reason="stop"))

    book.stream("Converse", converse)
    async with own_edge(book) as (edge, session):
        idle = await session.ws_connect("/ws/chat")
        busy = await session.ws_connect("/ws/chat")
        await busy.send_json(QUESTION)
        assert (await frame(busy))["content"] == "one"
        draining = asyncio.ensure_future(edge.drain(PATIENCE))
        assert await closed(idle) == 1012
        await busy.send_json(QUESTION)
        assert (await frame(busy))["reason"] == "DRAINING"
        async with session.get("/healthz") as response:
            assert response.status == 503
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            await session.ws_connect("/ws/chat")
        assert raised.value.status == 503
        gate.set()
        assert (await frame(busy))["type"] == "done"
        assert await closed(busy) == 1012
        await draining


async def test_more_connections_than_allowed(book: Book) -> None:
    echo(book)
    async with own_edge(book, max_connections=1) as (_, session), session.ws_connect("/ws/chat"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            await session.ws_connect("/ws/chat")
        assert raised.value.status == 503
        assert raised.value.headers is not None
        assert raised.value.headers["retry-after"] == "1"


async def test_chat_that_is_not_there() -> None:
    settings = EdgeSettings(chat_address="127.0.0.1:1", drain_seconds=0.0)
    async with (
        serving(settings) as edge,
        aiohttp.ClientSession(f"http://{edge.address}", headers=THROUGH_THE_GATEWAY) as session,
        session.ws_connect("/ws/chat") as socket,
    ):
        told = await frame(socket)
        assert (told["code"], told["reason"]) == (503, "PEER_UNAVAILABLE")
        assert await closed(socket) == 1013
