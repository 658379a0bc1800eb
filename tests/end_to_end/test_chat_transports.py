"""One question through every door: the answer, a provider that fails, a caller that leaves."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc
import pytest
import pytest_asyncio
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from pergola.chat.v1 import chat_pb2, chat_pb2_grpc
from tests import bounds
from tests.fakes.provider import FakeProvider
from tests.fakes.script import Script
from tests.stacks import Suite
from tests.support.doors import DOORS

DOCUMENTS = [
    "Charles Babbage designed the Analytical Engine in 1837. It was to be driven by steam.",
    "Ada Lovelace wrote notes on the Analytical Engine. She was a pupil of Augustus De Morgan.",
    "Pergolas carry climbing plants. They stand in gardens and give shade.",
]
QUESTION = "Who designed the Analytical Engine?"


@pytest_asyncio.fixture(scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest_asyncio.fixture(scope="module")
async def collection(suite: Suite, http: aiohttp.ClientSession) -> str:
    """A collection made by /api/rag/build, its job done."""
    name = f"chat-{uuid.uuid4().hex[:8]}"
    asked = {"collection": name, "documents": DOCUMENTS}
    async with http.post(f"{suite.gateway}/api/rag/build", json=asked) as response:
        assert response.status == 200, await response.text()
        built = await response.json()
    assert built["status"] == "processing"
    async with http.get(f"{suite.gateway}/api/jobs/{built['task_id']}/watch") as response:
        async for _ in response.content:
            pass
    async with http.get(f"{suite.gateway}/api/jobs/{built['task_id']}") as response:
        job = await response.json()
    assert (job["id"], job["status"]) == (built["task_id"], "completed")
    assert job["progress"]["documents_done"] == len(DOCUMENTS)
    return name


def asked(model: str, retrieval: dict[str, Any] | None = None) -> dict[str, Any]:
    question: dict[str, Any] = {"messages": [{"role": "user", "content": QUESTION}], "model": model}
    return question if retrieval is None else question | {"retrieval": retrieval}


@pytest.mark.parametrize("mode", ["graph", "vector"])
@pytest.mark.parametrize("door", DOORS)
async def test_an_answer_with_citations(suite: Suite, collection: str, door: str, mode: str) -> None:
    wish = {"mode": mode, "collections": [collection], "k": 8}
    async with DOORS[door](suite.gateway, asked("extractive", wish)) as stream:
        heard = await stream.read_all()
    assert heard.reason == ""
    assert "Charles Babbage designed the Analytical Engine in 1837." in heard.text
    cited = {one["number"]: one["text"] for one in heard.citations}
    number = next(number for number, text in cited.items() if "Charles Babbage" in text)
    assert f"[{number}]" in heard.text
    assert heard.finish_reason == "stop"


async def test_the_events_of_a_stream_as_curl_sees_them(
    suite: Suite, collection: str, http: aiohttp.ClientSession
) -> None:
    wish = {"mode": "graph", "collections": [collection], "k": 8}
    async with http.post(f"{suite.gateway}/api/chat/stream", json=asked("extractive", wish)) as response:
        assert response.headers["content-type"] == "text/event-stream"
        lines = (await response.text()).split("\n\n")
    assert lines[-1] == ""
    events = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert [next(iter(event)) for event in events][-2:] == ["citations", "done"]
    assert all(list(event) == ["content"] for event in events[:-2])
    citation = events[-2]["citations"]["items"][0]
    assert citation["collection"] == collection
    assert citation["path"][0] == "question"
    assert events[-1]["done"]["model"] == "extractive"


async def test_a_whole_answer(suite: Suite, collection: str, http: aiohttp.ClientSession) -> None:
    wish = {"collections": [collection]}
    async with http.post(f"{suite.gateway}/api/chat", json=asked("extractive", wish)) as response:
        assert response.status == 200, await response.text()
        answer = await response.json()
    assert answer["message"]["role"] == "assistant"
    assert "Charles Babbage" in answer["message"]["content"]
    assert answer["citations"][0]["text"]
    assert answer["done"]["finish_reason"] == "stop"


async def test_the_passages_reach_a_model(suite: Suite, collection: str, suite_provider: FakeProvider) -> None:
    model = suite_provider.script(uuid.uuid4().hex, Script(chunks=["Babbage", " [1]", "."]))
    async with DOORS["sse"](suite.gateway, asked(f"fake/{model}", {"collections": [collection]})) as stream:
        heard = await stream.read_all()
    assert [one["number"] for one in heard.citations] == [1]
    system = (await suite_provider.request(model)).body["messages"][0]["content"]
    assert DOCUMENTS[0] in system


async def test_a_kept_answer_until_a_document_changes(
    suite: Suite, http: aiohttp.ClientSession, collection: str, suite_provider: FakeProvider
) -> None:
    model = suite_provider.script(uuid.uuid4().hex, Script(chunks=["Babbage [1]."]))
    wish = {"mode": "vector", "collections": [collection]}
    question = asked(f"fake/{model}", wish) | {"cache": "exact"}

    async def ask() -> Any:
        async with http.post(f"{suite.gateway}/api/chat", json=question) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    first, again = await ask(), await ask()
    assert (first["done"]["cached"], again["done"]["cached"]) == (False, True)
    assert again["message"] == first["message"]
    assert again["citations"] == first["citations"]
    more = {"collection": collection, "documents": ["The Analytical Engine was designed with a mill and a store."]}
    async with http.post(f"{suite.gateway}/api/rag/build", json=more) as response:
        task = (await response.json())["task_id"]
    async with http.get(f"{suite.gateway}/api/jobs/{task}/watch") as response:
        await response.read()
    assert not (await ask())["done"]["cached"]
    assert len(suite_provider.requests(model)) == 2


async def test_a_frozen_graph_service_is_done_without(
    suite: Suite, http: aiohttp.ClientSession, collection: str
) -> None:
    question = asked("extractive", {"mode": "graph", "collections": [collection]})
    with suite.frozen("graph"):
        async with http.post(f"{suite.gateway}/api/chat", json=question) as response:
            answer = await response.json()
    assert "Charles Babbage" in answer["message"]["content"]
    assert "graph service does not answer" in answer["done"]["degraded"]


@pytest.mark.parametrize("door", DOORS)
async def test_an_unknown_collection(suite: Suite, door: str) -> None:
    async with DOORS[door](suite.gateway, asked("extractive", {"collections": ["no-such-thing"]})) as stream:
        heard = await stream.read_all()
    assert heard.reason == "COLLECTION_NOT_FOUND"
    assert heard.http_status == (404 if door in ("sse", "openai") else 200)


@pytest.mark.parametrize(
    ("model", "reason", "retry_after"),
    [("status-429", "UPSTREAM_RATE_LIMITED", "7"), ("status-500", "UPSTREAM_ERROR", "")],
)
@pytest.mark.parametrize("door", DOORS)
async def test_a_provider_that_refuses(suite: Suite, door: str, model: str, reason: str, retry_after: str) -> None:
    async with DOORS[door](suite.gateway, asked(f"fake/{model}")) as stream:
        heard = await stream.read_all()
    assert (heard.reason, heard.text, heard.finish_reason) == (reason, "", "")
    assert heard.retry_after == retry_after
    assert heard.http_status == (502 if door in ("sse", "openai") else 200)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("cut-2", "UPSTREAM_STREAM_CUT"),
        ("close-2", "UPSTREAM_STREAM_CUT"),
        ("malformed-2", "UPSTREAM_BAD_RESPONSE"),
        ("error-2", "UPSTREAM_ERROR"),
    ],
)
@pytest.mark.parametrize("door", DOORS)
async def test_a_provider_that_breaks_off(suite: Suite, door: str, model: str, reason: str) -> None:
    async with DOORS[door](suite.gateway, asked(f"fake/{model}")) as stream:
        heard = await stream.read_all()
    assert (heard.reason, heard.text, heard.finish_reason) == (reason, "Hello, ", "")


@pytest.mark.parametrize("when", ["before", "during"])
@pytest.mark.parametrize("door", DOORS)
async def test_a_caller_that_leaves_ends_the_providers_request(
    suite: Suite, suite_provider: FakeProvider, door: str, when: str
) -> None:
    script = Script(first_byte_delay=-1) if when == "before" else Script(hang_after=2)
    model = suite_provider.script(uuid.uuid4().hex, script)

    async def listen() -> None:
        async with DOORS[door](suite.gateway, asked(f"fake/{model}")) as stream:
            await stream.read_all()

    listening = asyncio.create_task(listen())
    seen = await suite_provider.request(model)
    assert not seen.disconnected.done()
    listening.cancel()
    await seen.wait_disconnected(bounds.AFTER_CANCEL)


@pytest.mark.parametrize("door", DOORS)
async def test_pieces_arrive_one_by_one(suite: Suite, suite_provider: FakeProvider, door: str) -> None:
    """Nothing on the way may hold a stream back until it is whole."""
    model = suite_provider.script(uuid.uuid4().hex, Script(chunks=["first", "never"], hang_after=1))
    async with DOORS[door](suite.gateway, asked(f"fake/{model}")) as stream:
        async for event in stream.events:
            stream.take(event)
            if stream.heard.text:
                break
        assert stream.heard.text == "first"


async def test_turns_over_a_websocket(suite: Suite, suite_provider: FakeProvider, http: aiohttp.ClientSession) -> None:
    slow = suite_provider.script(uuid.uuid4().hex, Script(hang_after=2))
    after = suite_provider.script(uuid.uuid4().hex, Script())
    async with http.ws_connect(f"{suite.gateway}/ws/chat", protocols=("pergola.v1",)) as socket:
        await socket.send_json({"type": "message", **asked(f"fake/{slow}")})
        while (frame := await socket.receive_json())["type"] != "chunk":
            pass
        await socket.send_json({"type": "cancel"})
        while (frame := await socket.receive_json())["type"] != "done":
            assert frame["type"] == "chunk"
        assert (frame["finish_reason"], frame["turn"]) == ("cancelled", 1)
        again = {"messages": [{"role": "user", "content": "And now?"}], "model": f"fake/{after}"}
        await socket.send_json({"type": "message", **again})
        while (frame := await socket.receive_json())["type"] != "done":
            assert frame["type"] == "chunk"
        assert frame["turn"] == 2
    messages = (await suite_provider.request(after)).body["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]


async def test_converse_through_the_gateway(suite: Suite) -> None:
    async with grpc.aio.insecure_channel(suite.address("gateway")) as channel:
        stub: Any = chat_pb2_grpc.ChatServiceStub(channel)
        call = stub.Converse()
        message = chat_pb2.Message(role="user", content="Hello?")
        await call.write(chat_pb2.ConverseRequest(input=chat_pb2.ChatInput(messages=[message], model="fake/any")))
        await call.done_writing()
        events = [event async for event in call]
    assert "".join(event.content for event in events) == "Hello, world."
    assert events[-1].done.finish_reason == "stop"


async def test_reflection_lists_every_service(suite: Suite) -> None:
    async with grpc.aio.insecure_channel(suite.address("gateway")) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        listed = {service.name for service in (await call.read()).list_services_response.service}
        await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol="pergola.graph.v1.PathStep"))
        found = await call.read()
        await call.done_writing()
    assert {
        "pergola.chat.v1.ChatService",
        "pergola.vector.v1.PointService",
        "pergola.graph.v1.RetrievalService",
        "pergola.cache.v1.CacheService",
    } <= listed
    assert found.file_descriptor_response.file_descriptor_proto
