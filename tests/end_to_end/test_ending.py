"""A statement ends in PostgreSQL when whoever asked through the gateway has gone, or has no time left."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import pytest
import pytest_asyncio

from tests import bounds
from tests.stacks import Suite
from tests.support.held import Held
from tests.support.steady import steady, undisturbed

_POINTS: Final = [{"id": f"p{n}", "text": "a lantern", "vector": {"values": [1, n, 0]}} for n in range(3)]
_SECONDS: Final = 1.0
_QUESTIONS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "nearest": ("query", {"vector": {"values": [1, 0, 0]}}),
    "lexical": ("query", {"text": "lantern", "mode": "lexical"}),
    "scroll": ("scroll", {}),
    "upsert": ("", {"points": _POINTS}),
}


@pytest_asyncio.fixture(scope="module")
async def http(suite: Suite) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(suite.gateway) as session:
        yield session


@pytest_asyncio.fixture(scope="module")
async def base(http: aiohttp.ClientSession) -> str:
    """The path of a collection with points."""
    name = f"ending-{uuid.uuid4().hex[:8]}"
    for path, body in (
        ("/api/collections", {"name": name, "dimension": 3}),
        (f"/api/collections/{name}/points", {"points": _POINTS}),
    ):
        async with http.post(path, json=body) as response:
            assert response.status == 200, await response.text()
    return f"/api/collections/{name}"


@pytest_asyncio.fixture
async def held(suite: Suite, base: str) -> AsyncIterator[Held]:
    """The collection, held for the time of the test."""
    watcher, locker = await suite.postgres(), await suite.postgres()
    id = await watcher.fetchval("SELECT id FROM pergola.collections WHERE name = $1", base.rpartition("/")[2])
    found = Held(watcher, locker, id, "point")
    await found.lock()
    try:
        yield found
    finally:
        await locker.close()
        await watcher.close()


@pytest.mark.parametrize("kind", list(_QUESTIONS))
async def test_who_leaves_takes_the_statement_along(suite: Suite, base: str, held: Held, kind: str) -> None:
    rest, body = _QUESTIONS[kind]
    # Without a pool of connections, whoever goes away closes his own.
    async with aiohttp.ClientSession(suite.gateway, connector=aiohttp.TCPConnector(force_close=True)) as leaving:
        asked = asyncio.ensure_future(leaving.post(f"{base}/points/{rest}".rstrip("/"), json=body))
        await held.until(1)
        left = steady()
        asked.cancel()
        await held.until(0, by=left + bounds.STATEMENT_ENDS)


@pytest.mark.parametrize("kind", list(_QUESTIONS))
async def test_a_deadline_takes_the_statement_along(
    http: aiohttp.ClientSession, base: str, held: Held, kind: str
) -> None:
    rest, body = _QUESTIONS[kind]

    async def ask() -> None:
        await held.until(0)
        began = steady()
        asked = asyncio.ensure_future(
            http.post(f"{base}/points/{rest}".rstrip("/"), json=body, headers={"grpc-timeout": f"{_SECONDS:.0f}S"})
        )
        await held.until(1)
        await held.until(0, by=began + _SECONDS + bounds.STATEMENT_ENDS)
        async with await asked as response:
            assert response.status == 504, await response.text()

    await undisturbed(ask)
