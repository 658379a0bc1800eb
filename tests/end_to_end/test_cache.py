"""The cache as people with curl see it."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.stacks import Suite


@pytest_asyncio.fixture
async def http(suite: Suite) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(suite.gateway) as session:
        yield session


async def call(http: aiohttp.ClientSession, method: str, path: str, body: object = None) -> tuple[int, Any]:
    async with http.request(method, path, json=body) as reply:
        return reply.status, await reply.json()


@pytest.mark.parametrize(
    "value",
    [
        {"text": "Ada"},
        {"json": {"name": "Ada", "born": 1815, "tags": ["a", None]}},
        {"data": base64.b64encode(bytes(range(256))).decode()},
    ],
)
@pytest.mark.parametrize("key", ["42", "a/path/with.dots", "caf%C3%A9"])
async def test_a_value_is_put_read_and_deleted(http: aiohttp.ClientSession, key: str, value: object) -> None:
    path = f"/api/cache/end-to-end/{key}"
    assert await call(http, "PUT", path, {"value": value, "ttl": "90s"}) == (200, {})
    status, content = await call(http, "GET", path)
    assert status == 200
    assert content["entry"]["value"] == value
    assert 80 < float(content["entry"]["ttl"].removesuffix("s")) <= 90
    assert await call(http, "DELETE", path) == (200, {"deleted": True})
    assert await call(http, "DELETE", path) == (200, {"deleted": False})
    status, content = await call(http, "GET", path)
    assert (status, content.get("entry")) == (200, None)


async def test_many_values_go_in_one_call(http: aiohttp.ClientSession) -> None:
    entries = [{"key": str(number), "value": {"text": f"value {number}"}} for number in range(3)]
    assert await call(http, "POST", "/api/cache/end-to-end:setMany", {"entries": entries}) == (200, {})
    status, content = await call(http, "POST", "/api/cache/end-to-end:getMany", {"keys": ["2", "9", "0"]})
    assert status == 200
    assert [(entry["key"], entry["value"]["text"]) for entry in content["entries"]] == [
        ("2", "value 2"),
        ("0", "value 0"),
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "reason", "word"),
    [
        ("PUT", "/api/cache/end-to-end/k", {"value": {"json": {"id": 2**53 + 1}}}, 400, "INVALID_ARGUMENT", "json.id"),
        ("PUT", "/api/cache/end-to-end/k", {"value": {}}, 400, "INVALID_ARGUMENT", "value"),
        ("PUT", "/api/cache/end-to-end/k", {"value": {"text": "x"}, "ttl": "0s"}, 400, "INVALID_ARGUMENT", "ttl"),
        ("PUT", "/api/cache/Upper/k", {"value": {"text": "x"}}, 400, "INVALID_ARGUMENT", "namespace"),
        (
            "PUT",
            "/api/cache/end-to-end/k",
            {"value": {"text": "x" * (4 * 2**20 + 1)}},
            413,
            "VALUE_TOO_LARGE",
            "4194304",
        ),
    ],
)
async def test_what_is_wrong_is_named(
    http: aiohttp.ClientSession, method: str, path: str, body: object, status: int, reason: str, word: str
) -> None:
    answered, content = await call(http, method, path, body)
    assert (answered, content["error"]["reason"]) == (status, reason)
    assert word in content["error"]["message"]
