"""One gateway for most of these tests: real Envoy, real runtime, real edge. A test sets what the services answer."""

from collections.abc import AsyncIterator, Iterator

import aiohttp
import grpc
import pytest

from gateway.edge.server import serving
from gateway.edge.settings import EdgeSettings
from services.runtime.start import Running
from tests.end_to_end.gateway.envoys import Gateway, environ, envoy
from tests.end_to_end.gateway.upstream import Book, upstream

ORIGIN = "http://app.example.com:3000"


@pytest.fixture(scope="session")
def book_of_all() -> Book:
    return Book()


@pytest.fixture
def book(book_of_all: Book) -> Iterator[Book]:
    """What the services behind the gateway do, and what they saw, for one test."""
    book_of_all.clear()
    yield book_of_all
    book_of_all.clear()


@pytest.fixture(scope="session")
async def behind(book_of_all: Book) -> AsyncIterator[Running]:
    async with upstream(book_of_all) as running:
        yield running


@pytest.fixture(scope="session")
async def gateway_of_all(behind: Running) -> AsyncIterator[Gateway]:
    edge_settings = EdgeSettings(chat_address=behind.address, ping_seconds=1.0, pong_seconds=5.0, drain_seconds=0.0)
    async with (
        serving(edge_settings) as edge,
        envoy(
            environ(
                behind.address,
                edge.address,
                allowed_origins=ORIGIN,
                allowed_hosts="pergola.example.com,*.example.org",
                max_body_bytes="65536",
            )
        ) as running,
    ):
        yield running


@pytest.fixture
async def gateway(gateway_of_all: Gateway, book: Book) -> Gateway:
    return gateway_of_all


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    """HTTP/1.1 to the gateway, paths relative to it."""
    async with aiohttp.ClientSession(gateway.url) as session:
        yield session


@pytest.fixture
async def channel(gateway: Gateway) -> AsyncIterator[grpc.aio.Channel]:
    """gRPC, that is HTTP/2 with prior knowledge, to the same port."""
    async with grpc.aio.insecure_channel(gateway.address, options=[("grpc.enable_http_proxy", 0)]) as opened:
        yield opened
