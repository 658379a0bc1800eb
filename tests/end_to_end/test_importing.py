"""Points in a body of JSON Lines through the real gateway, however long."""

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.stacks import Suite


@pytest_asyncio.fixture(scope="module")
async def http(suite: Suite) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(suite.gateway) as session:
        yield session


@pytest_asyncio.fixture(scope="module")
async def points(http: aiohttp.ClientSession) -> str:
    """The path of a collection's points."""
    name = f"imports-{uuid.uuid4().hex[:8]}"
    async with http.post("/api/collections", json={"name": name, "dimension": 2}) as response:
        assert response.status == 200, await response.text()
    return f"/api/collections/{name}/points"


async def _send(http: aiohttp.ClientSession, path: str, data: Any, **headers: str) -> tuple[int, Any]:
    async with http.post(f"{path}/import", data=data, headers=headers) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/json", "application/x-www-form-urlencoded"])
async def test_lines_become_points_and_each_fails_alone(http: aiohttp.ClientSession, points: str, kind: str) -> None:
    lines = [
        json.dumps({"id": f"{kind}-a", "vector": [1, 0], "payload": {"kind": kind}}),
        "not a point",
        json.dumps({"id": f"{kind}-b", "vector": {"values": [0, 1]}, "text": "A lantern"}),
    ]
    status, answer = await _send(http, points, "\n".join(lines).encode(), **{"content-type": kind})
    assert (status, answer["stored_count"], answer["failed_count"]) == (200, 2, 1), answer
    (failure,) = answer["failures"]
    assert (failure["index"], failure["id"], failure["reason"]) == (1, "", "INVALID_ARGUMENT")
    assert failure["message"].startswith("The line is not the JSON of a point")
    async with http.post(f"{points}/get", json={"ids": [f"{kind}-a", f"{kind}-b"]}) as response:
        assert len((await response.json())["points"]) == 2


async def test_a_body_may_be_longer_than_any_file(http: aiohttp.ClientSession, points: str) -> None:
    line = json.dumps({"id": "same", "vector": [1, 0], "payload": {"filler": "x" * 500_000}}).encode() + b"\n"
    count = 110 * 2**20 // len(line) + 1

    async def body() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield line

    headers = {"content-type": "application/x-ndjson", "content-length": str(count * len(line))}
    status, answer = await _send(http, points, body(), **headers)
    assert (status, answer["stored_count"]) == (200, count), answer


async def test_a_missing_collection_and_a_form_are_refused(http: aiohttp.ClientSession, points: str) -> None:
    status, told = await _send(http, "/api/collections/nowhere/points", b"{}", **{"content-type": "text/plain"})
    assert (status, told["error"]["reason"]) == (404, "COLLECTION_NOT_FOUND")
    form = aiohttp.FormData()
    form.add_field("file", b"{}", filename="a.jsonl")
    status, told = await _send(http, points, form)
    assert (status, told["error"]["reason"]) == (415, "CONTENT_TYPE_NOT_SUPPORTED")
