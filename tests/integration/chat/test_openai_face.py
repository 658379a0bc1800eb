"""/v1's RPCs: what is relayed as it came, what is added, what is made here."""

import json
from typing import Any

import grpc
import pytest

from pergola.chat.v1 import openai_pb2
from tests.fakes.provider import FakeProvider
from tests.fakes.script import Script
from tests.support import chat
from tests.support.cache import reason
from tests.support.chat import ChatDoor, Neighbours, passage, violated

DOCS = {"collections": ["docs"]}


def events(body: bytes) -> list[Any]:
    """The JSON of each event; the last one must be `[DONE]`."""
    parts = body.decode().split("\n\n")
    assert parts[-2:] == ["data: [DONE]", ""]
    return [json.loads(part.removeprefix("data: ")) for part in parts[:-2]]


def deltas(chunks: list[Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


async def test_a_stream_is_relayed_as_it_came(door: ChatDoor, provider: FakeProvider) -> None:
    body = await door.complete("fake/plain", stream=True, stream_options={"include_usage": True}, seed=7, user="ü")
    chunks = events(body)
    assert deltas(chunks) == "Hello, world."
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * 5 + ["stop"]
    assert chunks[-1]["usage"]["completion_tokens"] == 2
    assert all(chunk["system_fingerprint"] == "fp_fake" for chunk in chunks)
    seen = await provider.request("plain")
    assert seen.body["seed"] == 7
    assert seen.body["user"] == "ü"


async def test_untouched_fields_keep_their_bytes(door: ChatDoor, provider: FakeProvider) -> None:
    raw = b"""{"model": "fake/bytes", "messages": [{"role":"user","content":"\\u0048i"}],
        "logit_bias": {"50256": -1e2}, "big": 12345678901234567890123, "stream": false}"""
    request = openai_pb2.CreateChatCompletionRequest()
    request.body.data = raw
    async for _ in door.openai.CreateChatCompletion(request):
        pass
    sent = (await provider.request("bytes")).raw
    for part in (b'[{"role":"user","content":"\\u0048i"}]', b'{"50256": -1e2}', b"12345678901234567890123"):
        assert part in sent
    assert b'"model":"bytes"' in sent


async def test_a_whole_answer_is_relayed_as_it_came(door: ChatDoor) -> None:
    answer = json.loads(await door.complete("fake/whole"))
    assert answer["choices"][0]["message"]["content"] == "Hello, world."
    assert answer["object"] == "chat.completion"
    assert answer["system_fingerprint"] == "fp_fake"
    assert "citations" not in answer


async def test_content_types_tell_streams_from_json(door: ChatDoor) -> None:
    first = await door.completion("fake/types", stream=True).read()
    assert first.body.content_type == "text/event-stream"
    first = await door.completion("fake/types").read()
    assert first.body.content_type == "application/json"


@pytest.mark.parametrize("stream", [True, False])
async def test_tool_calls_pass_through(door: ChatDoor, provider: FakeProvider, stream: bool) -> None:
    provider.script("tools", Script(tool_call={"name": "look", "arguments": '{"at": "roses"}'}))
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    body = await door.complete("fake/tools", stream=stream, tools=tools)
    if stream:
        chunks = events(body)
        call = next(
            c["choices"][0]["delta"]["tool_calls"][0] for c in chunks if "tool_calls" in c["choices"][0]["delta"]
        )
        assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    else:
        call = json.loads(body)["choices"][0]["message"]["tool_calls"][0]
    assert call["function"] == {"name": "look", "arguments": '{"at": "roses"}'}
    assert provider.requests("tools")[-1].body["tools"] == tools


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("comments", [True, False])
@pytest.mark.parametrize("done", [True, False])
async def test_other_ways_to_write_events(
    door: ChatDoor, provider: FakeProvider, line_end: str, comments: bool, done: bool
) -> None:
    provider.script("ways", Script(line_end=line_end, comments=comments, done=done))
    body = (await door.complete("fake/ways", stream=True)).decode()
    assert body.endswith("data: [DONE]\n\n")
    assert body.count("[DONE]") == 1
    lines = [line for line in body.replace("\r\n", "\n").split("\n") if line.startswith("data: {")]
    assert deltas([json.loads(line[6:]) for line in lines]) == "Hello, world."
    typed = await door.stream("fake/ways")
    assert "".join(event.content for event in typed) == "Hello, world."


@pytest.mark.parametrize("stream", [True, False])
async def test_retrieval_grounds_and_cites(
    door: ChatDoor, neighbours: Neighbours, provider: FakeProvider, stream: bool
) -> None:
    neighbours.passages = [passage(1, "Ivy clings."), passage(2, "Roses climb.")]
    provider.script("grounded", Script(chunks=["They ", "climb [", "2]."]))
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What do roses do?"},
                {"type": "image_url", "image_url": {"url": "x"}},
            ],
        },
    ]
    body = await door.complete("fake/grounded", stream=stream, messages=messages, retrieval={**DOCS, "k": 2})
    if stream:
        chunks = events(body)
        assert deltas(chunks) == "They climb [2]."
        # The citations stand in a chunk of their own, right before the one that ends the answer.
        assert chunks[-2]["citations"][0]["number"] == 2
        assert chunks[-2]["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": None}]
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
        assert {chunk["id"] for chunk in chunks} == {"chatcmpl-fake"}
        (cited,) = chunks[-2]["citations"]
    else:
        answer = json.loads(body)
        assert answer["choices"][0]["message"]["content"] == "They climb [2]."
        (cited,) = answer["citations"]
    assert (cited["id"], cited["text"], cited["path"]) == ("point-2", "Roses climb.", ["question", "passage: Title 2"])
    assert neighbours.retrieved[-1].question == "What do roses do?"
    assert neighbours.retrieved[-1].k == 2
    sent = provider.requests("grounded")[-1].body
    assert "retrieval" not in sent
    system, user = sent["messages"]
    assert system["role"] == "developer"
    assert system["content"][0] == {"type": "text", "text": "Be brief."}
    assert "Roses climb." in system["content"][1]["text"]
    assert user == messages[1]


async def test_extractive_answers_in_openais_shape(door: ChatDoor, neighbours: Neighbours) -> None:
    neighbours.passages = [passage(1, "Roses climb walls.")]
    asked: dict[str, Any] = {"text": "What do roses climb?", "retrieval": DOCS}
    chunks = events(await door.complete("extractive", stream=True, stream_options={"include_usage": True}, **asked))
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "Roses climb walls. [1]" in deltas(chunks)
    assert chunks[-3]["citations"][0]["id"] == "point-1"
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    answer = json.loads(await door.complete("extractive", **asked))
    assert answer["choices"][0]["message"]["content"] == deltas(chunks)
    assert answer["citations"] == chunks[-3]["citations"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"retrieval": {"collections": []}}, "retrieval.collections"),
        ({"retrieval": {"collections": ["docs"], "depth": 3}}, "retrieval"),
        ({"retrieval": {"collections": ["docs"], "k": 101}}, "retrieval.k"),
        ({"retrieval": {"collections": ["docs"], "mode": "hyper"}}, "retrieval.mode"),
        ({"retrieval": {"collections": ["Docs"]}}, "retrieval.collections[0]"),
        ({"stream": "yes"}, "stream"),
        ({"model": 7}, "model"),
        ({"retrieval": DOCS, "messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"retrieval": DOCS, "messages": "hello"}, "messages"),
        ({"retrieval": DOCS, "n": 2}, "n"),
        ({"retrieval": DOCS, "response_format": {"type": "json_object"}}, "response_format"),
    ],
)
async def test_wrong_fields_are_named(door: ChatDoor, fields: dict[str, Any], param: str) -> None:
    body = {"model": "extractive", "messages": [{"role": "user", "content": "Hi?"}]} | fields
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await door.complete(**body)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violated(error.value) == [param]


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b'"text"'])
async def test_a_body_that_is_no_json_object_is_refused(door: ChatDoor, raw: bytes) -> None:
    request = openai_pb2.CreateChatCompletionRequest()
    request.body.data = raw
    request.body.content_type = "application/json"
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await door.openai.CreateChatCompletion(request).read()
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "JSON object" in (error.value.details() or "")


async def test_idle_streams_get_keep_alive_lines(provider: FakeProvider, neighbours: Neighbours) -> None:
    models = chat.fake_models(provider)
    addresses = chat.neighbours_at(neighbours.address)
    async with chat.chat_service(addresses, models, heartbeat_seconds="0.1") as door:
        body = await door.complete("fake/slow-1", stream=True)
        assert body.startswith(b": keep-alive\n\n: keep-alive\n\n")
        assert body.endswith(b"data: [DONE]\n\n")


async def test_models_are_listed_and_found(door: ChatDoor) -> None:
    listed = json.loads((await door.openai.ListModels(openai_pb2.ListModelsRequest())).body.data)
    assert listed["object"] == "list"
    owners = {model["id"]: model["owned_by"] for model in listed["data"]}
    assert owners["extractive"] == "pergola"
    assert owners["fake/fake-model"] == "openai-compatible"
    found = await door.openai.GetModel(openai_pb2.GetModelRequest(model="fake/fake-model"))
    assert json.loads(found.body.data) in listed["data"]
    for missing in ("nobody", "fake/unlisted"):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await door.openai.GetModel(openai_pb2.GetModelRequest(model=missing))
        assert reason(error.value) == "MODEL_NOT_FOUND"
