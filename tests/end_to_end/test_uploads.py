"""Files through the real gateway: sent as they are, read, listed, deleted."""

import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from tests.stacks import Suite
from tests.support import files


@pytest_asyncio.fixture(scope="module")
async def http(suite: Suite) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(suite.gateway) as session:
        yield session


@pytest_asyncio.fixture(scope="module")
async def base(http: aiohttp.ClientSession) -> str:
    """The path of a collection's documents."""
    name = f"uploads-{uuid.uuid4().hex[:8]}"
    async with http.post("/api/collections", json={"name": name}) as response:
        assert response.status == 200, await response.text()
    return f"/api/collections/{name}/documents"


async def send(http: aiohttp.ClientSession, path: str, data: Any, **headers: str) -> tuple[int, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.post(path, data=data, headers=named) as response:
        return response.status, await response.json()


async def ended(http: aiohttp.ClientSession, job: str) -> Any:
    async with http.get(f"/api/jobs/{job}/watch") as response:
        async for _ in response.content:
            pass
    async with http.get(f"/api/jobs/{job}") as response:
        return await response.json()


async def test_a_file_comes_in_as_it_is_and_goes_again(http: aiohttp.ClientSession, base: str) -> None:
    path = f"{base}/handbooks/garden report.pdf"
    query = '?metadata={"year":1890}&title=Gardens'
    status, job = await send(http, path + query, files.pdf(), content_type="application/pdf")
    assert (status, job["status"], job["progress"]["documents_total"]) == (200, "queued", 1)
    job = await ended(http, job["id"])
    assert (job["status"], job["progress"]["documents_done"]) == ("completed", 1)

    async with http.get(path, params={"text_limit": 20}) as response:
        document = await response.json()
    assert (document["id"], document["title"]) == ("handbooks/garden report.pdf", "Gardens")
    assert (document["format"], document["metadata"], len(document["text"])) == ("pdf", {"year": 1890}, 20)
    async with http.get(base) as response:
        listed = await response.json()
    assert [one["id"] for one in listed["documents"]] == ["handbooks/garden report.pdf"]
    assert "text" not in listed["documents"][0]
    asked = {"text": "what grows on the second page", "mode": "lexical", "k": 1}
    async with http.post(base.replace("/documents", "/points/query"), json=asked) as response:
        found = (await response.json())["points"][0]["point"]
    assert (found["chunk"]["page"], found["payload"]) == (2, {"year": 1890})

    async with http.delete(path) as response:
        assert (response.status, await response.json()) == (200, {"deleted_points": document["chunk_count"]})
    async with http.get(path) as response:
        assert (response.status, (await response.json())["error"]["reason"]) == (404, "DOCUMENT_NOT_FOUND")


async def test_a_name_may_hold_any_character(http: aiohttp.ClientSession, base: str) -> None:
    name = "notes/C# & 100%? [å] +1.txt"
    path = f"{base}/{quote(name)}"
    async with http.post(URL(path, encoded=True), data=b"Sharp.", headers={"content-type": "text/plain"}) as response:
        job = await response.json()
    assert (await ended(http, job["id"]))["status"] == "completed"
    async with http.get(URL(path, encoded=True)) as response:
        assert (await response.json())["id"] == name


async def test_a_large_file_is_streamed_whatever_its_type_and_whether_its_length_is_announced(
    http: aiohttp.ClientSession, base: str
) -> None:
    # More than any other body may have.
    whole = b"<p>Apples are red.</p><!--" + b"x" * 20_000_000 + b"-->"

    async def pieces() -> AsyncIterator[bytes]:
        for first in range(0, len(whole), 1_000_000):
            yield whole[first : first + 1_000_000]

    for number, data in enumerate((whole, pieces())):
        kind = "application/x-www-form-urlencoded" if number else "text/html"
        status, job = await send(http, f"{base}/large{number}.html", data, content_type=kind)
        assert status == 200, job
        assert (await ended(http, job["id"]))["status"] == "completed"


async def test_a_repeated_upload_gets_the_first_answer(http: aiohttp.ClientSession, base: str) -> None:
    key = uuid.uuid4().hex
    first = await send(http, f"{base}/once.txt", b"Once.", content_type="text/plain", idempotency_key=key)
    again = await send(http, f"{base}/once.txt", b"Once.", content_type="text/plain", idempotency_key=key)
    assert first == again
    status, other = await send(http, f"{base}/once.txt", b"Twice.", content_type="text/plain", idempotency_key=key)
    assert (status, other["error"]["reason"]) == (409, "REQUEST_ID_REUSED")


async def test_what_is_no_file_is_refused(http: aiohttp.ClientSession, base: str) -> None:
    form = aiohttp.FormData()
    form.add_field("file", b"text", filename="a.txt")
    status, told = await send(http, f"{base}/a.txt", form)
    assert (status, told["error"]["reason"]) == (415, "CONTENT_TYPE_NOT_SUPPORTED")
    assert "curl --data-binary @" in told["error"]["message"]
    status, told = await send(http, f"{base}/a.txt", b"", content_type="text/plain")
    assert (status, told["error"]["violations"][0]["field"]) == (400, "body")
    status, told = await send(http, f"{base}/a.txt", b"x", content_type="text/plain", content_encoding="gzip")
    assert (status, told["error"]["reason"]) == (415, "CONTENT_TYPE_NOT_SUPPORTED")
    status, told = await send(http, base.replace("uploads-", "nowhere-") + "/a.txt", b"text", content_type="text/plain")
    assert (status, told["error"]["reason"]) == (404, "COLLECTION_NOT_FOUND")


async def test_a_page_of_another_origin_may_not_send_files(http: aiohttp.ClientSession, base: str) -> None:
    for origin in ("https://evil.example.com", "null"):
        status, told = await send(http, f"{base}/a.txt", b"text", content_type="text/plain", origin=origin)
        assert (status, told["error"]["reason"]) == (403, "ORIGIN_NOT_ALLOWED")


@pytest.mark.parametrize("announced", [True, False])
async def test_a_file_beyond_the_limit_is_refused(http: aiohttp.ClientSession, base: str, announced: bool) -> None:
    if announced:
        path, headers = f"{base}/a.txt", {"content-type": "text/plain", "content-length": str(100 * 2**20 + 1)}

        async def nothing() -> AsyncIterator[bytes]:
            yield b"text"

        async with http.post(path, data=nothing(), headers=headers) as response:
            assert (response.status, (await response.json())["error"]["reason"]) == (413, "PAYLOAD_TOO_LARGE")
        return

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(101):
            yield bytes(2**20)

    async with http.post(f"{base}/b.txt", data=endless(), headers={"content-type": "text/plain"}) as response:
        assert (response.status, (await response.json())["error"]["reason"]) == (413, "PAYLOAD_TOO_LARGE")
