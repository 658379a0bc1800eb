"""Jobs through the real gateway: waited for, cancelled, retried, and who follows."""

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


async def _post(http: aiohttp.ClientSession, path: str, **body: Any) -> tuple[int, Any]:
    async with http.post(path, json=body) as response:
        return response.status, await response.json()


async def _get(http: aiohttp.ClientSession, path: str) -> Any:
    async with http.get(path) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def _ended(http: aiohttp.ClientSession, job: str) -> Any:
    async with http.get(f"/api/jobs/{job}/watch") as response:
        async for _ in response.content:
            pass
    return await _get(http, f"/api/jobs/{job}")


async def test_what_was_waited_for_is_in_the_graph(http: aiohttp.ClientSession) -> None:
    name = f"towers-{uuid.uuid4().hex[:8]}"
    texts = ["The Round Tower was built by Ada Lindgren.", "Ada Lindgren was born in Uppsala."]
    status, built = await _post(http, "/api/rag/build", collection=name, documents=texts, wait_for=["graph"])
    assert (status, built["status"]) == (200, "processing")
    done = await _ended(http, built["task_id"])
    assert (done["status"], done["wait_for"]) == ("completed", ["graph"])
    consumers = await _get(http, f"/api/collections/{name}/consumers")
    assert [(one["consumer"], one["lag"]) for one in consumers["consumers"]] == [("graph", 0)]
    status, found = await _post(
        http, "/api/graph/retrieve", question="Where was the builder of the Round Tower born?", collections=[name]
    )
    assert status == 200, found
    assert "Uppsala" in str(found)


async def test_what_failed_is_listed_and_retried_and_an_ended_job_is_not_cancelled(http: aiohttp.ClientSession) -> None:
    name = f"jobs-{uuid.uuid4().hex[:8]}"
    chunking = {"mode": "tokens", "tokens": 64}
    status, made = await _post(http, "/api/collections", name=name, chunking=chunking)
    assert (status, made["chunking"]["mode"], made["chunking"]["tokens"]) == (200, "tokens", 64)
    documents = [{"id": "empty.txt", "text": " "}, {"id": "fine.txt", "text": "Fine."}]
    _, job = await _post(http, f"/api/collections/{name}/documents", documents=documents)
    done = await _ended(http, job["id"])
    failures = (await _get(http, f"/api/jobs/{job['id']}/failures"))["failures"]
    assert [(one["document"], one["reason"]) for one in failures] == [("empty.txt", "DOCUMENT_EMPTY")]
    assert done["failures"] == failures
    status, again = await _post(http, f"/api/jobs/{job['id']}/retry")
    assert (status, again["retry_of"]) == (200, job["id"])
    assert (await _ended(http, again["id"]))["status"] == "failed"
    for path, reason in ((f"{job['id']}/cancel", "JOB_ENDED"), (f"{job['id']}/retry", "NOTHING_TO_RETRY")):
        status, refused = await _post(http, f"/api/jobs/{path}")
        assert (status, refused["error"]["reason"]) == (409, reason)


@pytest.mark.parametrize("path", ["cancel", "retry"])
async def test_no_such_job_is_404(http: aiohttp.ClientSession, path: str) -> None:
    status, refused = await _post(http, f"/api/jobs/{uuid.uuid4()}/{path}")
    assert (status, refused["error"]["reason"]) == (404, "JOB_NOT_FOUND")


async def test_an_answer_in_a_conversation_is_found_by_its_question(http: aiohttp.ClientSession) -> None:
    name = f"chat-{uuid.uuid4().hex[:8]}"
    said = ["Did the rain damage the maps?", "Only a little.", "Which harbour should we leave from?",
            "Whitby, I'd say.", "Who takes care of the mules?", "Nobody so far."]  # fmt: skip
    text = "\n".join(f"{'Grace' if place % 2 else 'Ada'}: {one}" for place, one in enumerate(said))
    status, made = await _post(http, "/api/collections", name=name, graph=True)
    assert (status, made["neighbors"]) == (200, "")
    _, job = await _post(
        http,
        f"/api/collections/{name}/documents",
        documents=[{"id": "chat.txt", "title": "Chat", "text": text}],
        wait_for=["graph"],
    )
    assert (await _ended(http, job["id"]))["status"] == "completed"
    question = "Which harbour should we leave from?"
    _, answer = await _post(http, "/api/graph/retrieve", question=question, collections=[name], k=2)
    assert [one["text"] for one in answer["passages"]] == [f"Ada: {question}", "Grace: Whitby, I'd say."]
    _, found = await _post(http, f"/api/collections/{name}/points/query", text=question, mode="lexical", k=2)
    assert found["points"][1]["point"]["chunk"]["before"] == f"Ada: {question}"
    async with http.patch(
        f"/api/collections/{name}", json={"collection": {"neighbors": "off"}, "update_mask": "neighbors"}
    ) as response:
        assert (response.status, (await response.json())["neighbors"]) == (200, "off")
