"""The edge as a process of its own, and what Envoy offers beside its listener."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from services.runtime.start import Running
from tests import stacks
from tests.end_to_end.gateway.envoys import environ, envoy
from tests.end_to_end.gateway.sockets import PATIENCE, QUESTION, THROUGH_THE_GATEWAY, closed, silence
from tests.end_to_end.gateway.upstream import Book


async def spawn(**variables: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.edge",
        cwd=stacks.CHECKOUT, stderr=asyncio.subprocess.PIPE, env={**stacks.test_environ(), **variables},
    )  # fmt: skip


@asynccontextmanager
async def edge_process(chat: str, **variables: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The process, and where it listens."""
    process = await spawn(PERGOLA_EDGE_LISTEN="127.0.0.1:0", PERGOLA_CHAT_ADDRESS=chat, **variables)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE):
            line = json.loads(await process.stderr.readline())
        assert line["message"] == "serving"
        yield process, line["address"]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_stop_tells_every_client(behind: Running, book: Book) -> None:
    silence(book)
    async with edge_process(behind.address) as (process, address), aiohttp.ClientSession() as session:
        url = f"http://{address}/ws/chat"
        async with session.ws_connect(url, headers=THROUGH_THE_GATEWAY) as socket:
            process.send_signal(signal.SIGTERM)
            assert await closed(socket) == 1012
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 0


async def test_a_second_signal_ends_it_at_once(behind: Running, book: Book) -> None:
    begun, cancelled = silence(book)
    async with (
        edge_process(behind.address, PERGOLA_EDGE_DRAIN_SECONDS="600") as (process, address),
        aiohttp.ClientSession() as session,
        asyncio.timeout(PATIENCE),
    ):
        socket = await session.ws_connect(f"http://{address}/ws/chat", headers=THROUGH_THE_GATEWAY)
        await socket.send_json(QUESTION)
        await begun.wait()
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        while json.loads(await process.stderr.readline())["message"] != "draining":
            pass
        assert not cancelled.is_set()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 1
        await cancelled.wait()


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({}, "PERGOLA_EDGE_CHAT_ADDRESS: is required"),
        ({"PERGOLA_EDGE_LISTEN": "0.0.0.0:0"}, "only a loopback address"),
        ({"PERGOLA_EDGE_PINGS": "1"}, "PERGOLA_EDGE_PINGS"),
        ({"PERGOLA_EDGE_TLS_PEER_NAME": "x"}, "need tls_peer_ca_file"),
    ],
)
async def test_settings_that_are_refused(variables: dict[str, str], reason: str) -> None:
    chat = {"PERGOLA_CHAT_ADDRESS": "127.0.0.1:1"} if variables else {}
    process = await spawn(**chat, **variables)
    async with asyncio.timeout(PATIENCE):
        _, errors = await process.communicate()
    assert process.returncode == 2
    assert reason in errors.decode()


async def test_a_port_that_is_taken(behind: Running) -> None:
    process = await spawn(PERGOLA_EDGE_LISTEN=behind.address, PERGOLA_CHAT_ADDRESS=behind.address)
    async with asyncio.timeout(PATIENCE):
        _, errors = await process.communicate()
    assert process.returncode == 2
    assert f"listen {behind.address} can't be opened" in errors.decode()


async def test_metrics_are_read_without_the_admin_interface(behind: Running) -> None:
    async with envoy(environ(behind.address, metrics_listen="127.0.0.1:0"), ready=False) as gateway:
        listeners = json.loads(await gateway.admin("/listeners?format=json"))["listener_statuses"]
        found = next(one["local_address"]["socket_address"] for one in listeners if one["name"] == "metrics")
        async with aiohttp.ClientSession(f"http://{found['address']}:{found['port_value']}") as session:
            async with session.get("/metrics") as response:
                assert response.status == 200
                assert "envoy_http_downstream_rq_total" in await response.text()
            for method, path in (("POST", "/metrics"), ("GET", "/config_dump"), ("POST", "/quitquitquit")):
                async with session.request(method, path) as response:
                    assert response.status == 404
