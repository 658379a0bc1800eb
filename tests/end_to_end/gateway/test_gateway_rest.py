"""REST and `/v1` through the real Envoy: transcoding, streams, compression, deadlines, callers that go away."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from pergola.chat.v1 import chat_pb2, openai_pb2
from pergola.vector.v1 import collection_pb2, job_pb2
from services.runtime.errors import JobNotFound, RateLimited, UpstreamError
from tests import bounds
from tests.end_to_end.gateway.envoys import Gateway
from tests.end_to_end.gateway.upstream import Book, answer, body, content
from tests.support.steady import undisturbed

JOB = "0b8a5a3e-54a8-4b0f-8d4e-2f6d1c0f9a11"
QUESTION = {"messages": [{"role": "user", "content": "why?"}]}


async def event(response: aiohttp.ClientResponse) -> Any:
    """The next server-sent event's data."""
    line = await response.content.readuntil(b"\n\n")
    assert line.startswith(b"data: ")
    return json.loads(line[6:])


async def test_a_unary_call(http: aiohttp.ClientSession, book: Book) -> None:
    async with http.post("/api/chat", json=QUESTION) as response:
        assert response.status == 200
        assert response.headers["content-type"] == "application/json"
        assert not [name for name in response.headers if name.lower().startswith(("grpc-", "x-pergola-", "x-envoy-"))]
        assert (await response.json())["message"] == {"role": "assistant", "content": "hello"}
    assert book.last.request.input.messages[0].content == "why?"


async def test_names_and_defaults_are_printed_as_the_contract_writes_them(
    http: aiohttp.ClientSession, book: Book
) -> None:
    async def call(_: Any) -> chat_pb2.ChatResponse:
        return chat_pb2.ChatResponse(done=chat_pb2.Done(finish_reason="stop", usage=chat_pb2.Usage(input_tokens=0)))

    book.unary("Chat", call)
    async with http.post("/api/chat", json=QUESTION) as response:
        told = await response.json()
    assert told["citations"] == []
    assert told["done"]["usage"] == {"input_tokens": 0, "output_tokens": 0}
    assert told["done"]["cached"] is False


async def test_one_field_of_a_response_is_the_answer(http: aiohttp.ClientSession, book: Book) -> None:
    awkward = ["}", '{"job": 1}', 'quote " brace }', "å"]

    async def found(request: Any) -> job_pb2.GetJobResponse:
        return job_pb2.GetJobResponse(job=job_pb2.Job(id=request.id, status="running", warnings=awkward))

    book.unary("GetJob", found)
    async with http.get(f"/api/jobs/{JOB}", headers={"accept-encoding": "identity"}) as response:
        text = await response.read()
        assert response.headers["content-length"] == str(len(text))
        job = json.loads(text)
    assert (job["id"], job["status"], job["warnings"]) == (JOB, "running", awkward)
    async with http.post("/api/collections", json={"name": "docs"}) as response:
        assert (await response.json())["name"] == "docs"

    async def missing(_: Any) -> job_pb2.GetJobResponse:
        raise JobNotFound("no job has this id")

    book.unary("GetJob", missing)
    async with http.get(f"/api/jobs/{JOB}") as response:
        assert response.status == 404
        assert (await response.json())["error"]["reason"] == "JOB_NOT_FOUND"


async def test_path_and_query_are_bound(http: aiohttp.ClientSession, book: Book) -> None:
    async with http.get("/api/collections?page_size=7&page_token=abc%20d") as response:
        assert response.status == 200
    assert (book.last.request.page_size, book.last.request.page_token) == (7, "abc d")
    async with http.get("/v1/models/meta/llama-3:8b") as response:
        assert await response.json() == {"id": "meta/llama-3:8b"}


async def test_events_leave_at_once(http: aiohttp.ClientSession, book: Book) -> None:
    """The second event exists only after the first was read on the other side: nothing may wait for company."""
    read = [asyncio.Event() for _ in range(3)]

    async def stream(_: Any) -> AsyncIterator[chat_pb2.StreamChatResponse]:
        for number, gate in enumerate(read):
            yield content(str(number))
            await gate.wait()
        yield chat_pb2.StreamChatResponse(done=chat_pb2.Done(finish_reason="stop"))

    book.stream("StreamChat", stream)
    headers = {"accept-encoding": "gzip, deflate, br"}
    async with asyncio.timeout(20), http.post("/api/chat/stream", json=QUESTION, headers=headers) as response:
        assert response.status == 200
        assert response.headers["content-type"] == "text/event-stream"
        assert "content-encoding" not in response.headers
        assert response.headers["cache-control"] == "no-store"
        for number, gate in enumerate(read):
            assert await event(response) == {"content": str(number)}
            gate.set()
        assert (await event(response))["done"]["finish_reason"] == "stop"
        assert await response.content.read() == b""


async def test_raw_bodies_leave_at_once(http: aiohttp.ClientSession, book: Book) -> None:
    gate = asyncio.Event()

    async def stream(request: Any) -> AsyncIterator[openai_pb2.CreateChatCompletionResponse]:
        assert json.loads(request.body.data) == {"stream": True, "anything": [1]}
        yield openai_pb2.CreateChatCompletionResponse(body=body(b"data: one\n\n", "text/event-stream"))
        await gate.wait()
        yield openai_pb2.CreateChatCompletionResponse(body=body(b": keep-alive\n\n", "text/event-stream"))
        yield openai_pb2.CreateChatCompletionResponse(body=body(b"data: [DONE]\n\n", "text/event-stream"))

    book.stream("CreateChatCompletion", stream)
    asked = {"stream": True, "anything": [1]}
    async with asyncio.timeout(20), http.post("/v1/chat/completions", json=asked) as response:
        assert response.headers["content-type"] == "text/event-stream"
        assert await response.content.readuntil(b"\n\n") == b"data: one\n\n"
        gate.set()
        assert await response.content.read() == b": keep-alive\n\ndata: [DONE]\n\n"


async def test_the_same_path_answers_whole(http: aiohttp.ClientSession) -> None:
    async with http.post("/v1/chat/completions", json={"stream": False}) as response:
        assert response.headers["content-type"] == "application/json"
        assert await response.json() == {"object": "chat.completion"}


async def test_large_answers_are_compressed_for_those_who_ask(gateway: Gateway, book: Book) -> None:
    async def large(_: Any) -> chat_pb2.ChatResponse:
        return answer("word " * 10_000)

    book.unary("Chat", large)
    async with aiohttp.ClientSession(gateway.url, auto_decompress=False) as raw:
        async with raw.post("/api/chat", json=QUESTION, headers={"accept-encoding": "gzip"}) as response:
            assert response.headers["content-encoding"] == "gzip"
            packed = await response.read()
        assert len(packed) < 5_000
        assert json.loads(gzip.decompress(packed))["message"]["content"] == "word " * 10_000
        async with raw.post("/api/chat", json=QUESTION, headers={"accept-encoding": "identity"}) as response:
            assert "content-encoding" not in response.headers


@pytest.mark.parametrize("path", ["/api/chat/stream", "/v1/chat/completions", "/api/chat"])
async def test_a_caller_that_goes_away_cancels_the_call(gateway: Gateway, book: Book, path: str) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def stream(_: Any) -> AsyncIterator[Any]:
        yield content("x")
        await wait()

    async def raw(_: Any) -> AsyncIterator[Any]:
        yield openai_pb2.CreateChatCompletionResponse(body=body(b"data: x\n\n", "text/event-stream"))
        await wait()

    async def unary(_: Any) -> chat_pb2.ChatResponse:
        await wait()
        return answer()

    book.stream("StreamChat", stream)
    book.stream("CreateChatCompletion", raw)
    book.unary("Chat", unary)
    async with aiohttp.ClientSession(gateway.url) as session:
        asked = asyncio.ensure_future(session.post(path, json=QUESTION))
        async with asyncio.timeout(20):
            await begun.wait()
    asked.cancel()
    async with asyncio.timeout(bounds.AFTER_CANCEL):
        await cancelled.wait()


async def test_deadlines_are_given_kept_and_cut(http: aiohttp.ClientSession, book: Book) -> None:
    async def remaining(path: str, **headers: str) -> float | None:
        async with http.post(path, json=QUESTION, headers=headers) as response:
            assert response.status == 200
        return book.last.remaining

    given = {"/api/chat": 600, "/api/chat/stream": 600, "/v1/chat/completions": 600}
    for path, seconds in given.items():
        assert seconds - 5 < (await remaining(path) or 0) <= seconds
    assert 1 < (await remaining("/api/chat", **{"grpc-timeout": "2S"}) or 0) <= 2
    assert 595 < (await remaining("/api/chat", **{"grpc-timeout": "10H"}) or 0) <= 600
    assert 3595 < (await remaining("/api/chat/stream", **{"grpc-timeout": "99999999M"}) or 0) <= 3600
    for headers, seconds in (({}, 30), ({"grpc-timeout": "10H"}, 300)):
        async with http.get(f"/api/jobs/{JOB}", headers=headers) as response:
            assert response.status == 200
        assert seconds - 5 < (book.last.remaining or 0) <= seconds
    async with http.get(f"/api/jobs/{JOB}/watch") as response:
        assert response.status == 200
    assert (book.last.method, book.last.remaining) == ("WatchJob", None)


@pytest.mark.parametrize("timeout", ["soon", "5", "-1S", "123456789S", "1.5S"])
async def test_a_deadline_that_cannot_be_read(http: aiohttp.ClientSession, book: Book, timeout: str) -> None:
    async with http.get("/api/collections", headers={"grpc-timeout": timeout}) as response:
        assert response.status == 400
        assert "grpc-timeout" in (await response.json())["error"]["message"]
    assert book.seen == []


async def test_the_services_own_deadline_error_wins(http: aiohttp.ClientSession, book: Book) -> None:
    async def slow(_: Any) -> chat_pb2.ChatResponse:
        await asyncio.Event().wait()
        return answer()

    book.unary("Chat", slow)

    async def ask() -> None:
        async with http.post("/api/chat", json=QUESTION, headers={"grpc-timeout": "300m"}) as response:
            assert response.status == 504
            error = (await response.json())["error"]
        assert error["reason"] == "DEADLINE_EXCEEDED"
        assert error["message"] == "the deadline passed before the answer was ready"

    await undisturbed(ask)


async def test_an_error_before_the_first_event_is_an_answer(http: aiohttp.ClientSession, book: Book) -> None:
    async def limited(_: Any) -> AsyncIterator[Any]:
        raise RateLimited("too many calls; wait 7 seconds", retry_after=6.2)
        yield

    book.stream("StreamChat", limited)
    book.stream("CreateChatCompletion", limited)
    async with http.post("/api/chat/stream", json=QUESTION) as response:
        assert (response.status, response.headers["retry-after"]) == (429, "7")
        assert response.headers["content-type"] == "application/json"
        error = (await response.json())["error"]
        assert (error["reason"], error["retry_after"]) == ("RATE_LIMITED", 7)
        assert error["request_id"] == response.headers["x-request-id"]
    async with http.post("/v1/chat/completions", json={"stream": True}) as response:
        assert (response.status, response.headers["retry-after"]) == (429, "7")
        assert (await response.json())["error"]["type"] == "rate_limit_error"


async def test_an_error_after_the_first_event_ends_the_stream(http: aiohttp.ClientSession, book: Book) -> None:
    async def broken(_: Any) -> AsyncIterator[Any]:
        yield content("x")
        error = UpstreamError("the model's provider failed")
        yield chat_pb2.StreamChatResponse(error=chat_pb2.ChatError(code=502, reason=error.reason))

    book.stream("StreamChat", broken)
    async with http.post("/api/chat/stream", json=QUESTION) as response:
        assert await event(response) == {"content": "x"}
        assert (await event(response))["error"]["reason"] == "UPSTREAM_ERROR"
        assert await response.content.read() == b""


async def test_a_large_list(http: aiohttp.ClientSession, book: Book) -> None:
    """Beyond Envoy's default buffers of 1 MiB."""

    async def large(_: Any) -> collection_pb2.ListCollectionsResponse:
        long = collection_pb2.Collection(name="d" * 10_000)
        return collection_pb2.ListCollectionsResponse(collections=[long] * 500)

    book.unary("ListCollections", large)
    async with http.get("/api/collections") as response:
        assert response.status == 200
        assert len((await response.json())["collections"]) == 500
