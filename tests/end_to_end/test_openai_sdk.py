"""The unmodified `openai` package against the gateway's /v1."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio

from tests import bounds
from tests.fakes.provider import FakeProvider
from tests.fakes.script import Script
from tests.stacks import Suite

HELLO: Any = [{"role": "user", "content": "Hello?"}]
TOOLS: Any = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]


@pytest_asyncio.fixture(scope="module")
async def client(suite: Suite) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{suite.gateway}/v1", api_key="unused", max_retries=0) as made:
        yield made


@pytest.fixture
def named(suite_provider: FakeProvider) -> Any:
    """Scripts a model of its own, and returns its name there and here."""

    def script(**fields: Any) -> tuple[str, str]:
        name = suite_provider.script(uuid.uuid4().hex, Script(**fields))
        return name, f"fake/{name}"

    return script


@pytest_asyncio.fixture(scope="module")
async def collection(suite: Suite, client: openai.AsyncOpenAI) -> str:
    """A collection with two documents, built through the same client's own requests."""
    name = f"sdk-{uuid.uuid4().hex[:8]}"
    url = f"{suite.gateway}/api/rag/build"
    documents = ["Roses climb walls and arches.", "Ivy clings to stone with small roots."]
    built: Any = await client.post(url, body={"collection": name, "documents": documents}, cast_to=object)
    while True:
        job: Any = await client.get(f"{suite.gateway}/api/jobs/{built['task_id']}", cast_to=object)
        if job["status"] not in ("queued", "running"):
            assert job["status"] == "completed"
            return name
        await asyncio.sleep(0.05)


async def test_a_stream(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="fake/any", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "Hello, world."
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]][-2:] == [None, "stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 2


async def test_a_whole_answer(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="fake/any", messages=HELLO)
    assert answer.choices[0].message.content == "Hello, world."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None


async def test_the_accumulating_helper(client: openai.AsyncOpenAI) -> None:
    async with client.chat.completions.stream(model="fake/any", messages=HELLO) as stream:
        answer = await stream.get_final_completion()
    assert answer.choices[0].message.content == "Hello, world."


@pytest.mark.parametrize("streamed", [True, False])
async def test_tool_calls(client: openai.AsyncOpenAI, named: Any, streamed: bool) -> None:
    _, model = named(tool_call={"name": "look", "arguments": '{"at": "roses"}'})
    if streamed:
        async with client.chat.completions.stream(model=model, messages=HELLO, tools=TOOLS) as stream:
            message = (await stream.get_final_completion()).choices[0].message
    else:
        message = (await client.chat.completions.create(model=model, messages=HELLO, tools=TOOLS)).choices[0].message  # type: ignore[assignment]
    assert message.tool_calls is not None
    call: Any = message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("look", '{"at": "roses"}')


@pytest.mark.parametrize("model", ["extractive", "fake"])
async def test_retrieval_by_extra_body(client: openai.AsyncOpenAI, named: Any, collection: str, model: str) -> None:
    if model == "fake":
        _, model = named(chunks=["Walls ", "[1]"])
    question: Any = [{"role": "user", "content": "What do roses climb?"}]
    wish = {"retrieval": {"mode": "vector", "collections": [collection]}}
    answer = await client.chat.completions.create(model=model, messages=question, extra_body=wish)
    cited: Any = answer.model_extra and answer.model_extra["citations"]
    assert cited[0]["text"] == "Roses climb walls and arches."
    stream = await client.chat.completions.create(model=model, messages=question, stream=True, extra_body=wish)
    chunks = [chunk async for chunk in stream]
    streamed = [chunk.model_extra["citations"] for chunk in chunks if chunk.model_extra]
    assert streamed == [cited]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == answer.choices[0].message.content


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(
    ("model", "code", "status"),
    [
        ("fake/status-429", "upstream_rate_limited", 502),
        ("fake/status-500", "upstream_error", 502),
        ("fake/status-401", "upstream_authentication", 502),
        ("nobody", "model_not_found", 404),
        ("extractive", "invalid_argument", 400),
    ],
)
async def test_errors_before_the_answer(
    client: openai.AsyncOpenAI, model: str, code: str, status: int, streamed: bool
) -> None:
    with pytest.raises(openai.APIStatusError) as error:
        await client.chat.completions.create(model=model, messages=HELLO, stream=streamed)
    assert (error.value.code, error.value.status_code) == (code, status)
    assert error.value.response.headers["content-type"] == "application/json"
    assert error.value.response.headers["x-request-id"]
    if "429" in model:
        assert error.value.response.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    ("model", "code"), [("fake/cut-2", "upstream_stream_cut"), ("fake/malformed-2", "upstream_bad_response")]
)
async def test_an_error_in_the_stream_is_raised(client: openai.AsyncOpenAI, model: str, code: str) -> None:
    stream = await client.chat.completions.create(model=model, messages=HELLO, stream=True)
    text: list[str] = []

    async def read() -> None:
        async for chunk in stream:
            text.append(chunk.choices[0].delta.content or "")  # noqa: PERF401

    with pytest.raises(openai.APIError) as error:
        await read()
    assert error.value.code == code
    assert "".join(text) == "Hello, "


async def test_the_clients_own_retry_succeeds(
    client: openai.AsyncOpenAI, named: Any, suite_provider: FakeProvider
) -> None:
    name, model = named(status=503)
    asking = asyncio.create_task(
        client.with_options(max_retries=3).chat.completions.create(model=model, messages=HELLO)
    )
    await suite_provider.request(name)
    suite_provider.script(name, Script())
    assert (await asking).choices[0].message.content == "Hello, world."


async def test_closing_a_stream_ends_the_providers_request(
    client: openai.AsyncOpenAI, named: Any, suite_provider: FakeProvider
) -> None:
    name, model = named(hang_after=2)
    stream = await client.chat.completions.create(model=model, messages=HELLO, stream=True)
    await anext(aiter(stream))
    await stream.close()
    await (await suite_provider.request(name)).wait_disconnected(bounds.AFTER_CANCEL)


async def test_models(client: openai.AsyncOpenAI) -> None:
    models = [model async for model in client.models.list()]
    assert {"extractive", "fake/fake-model"} <= {model.id for model in models}
    found = await client.models.retrieve("fake/fake-model")
    assert found.owned_by == "openai-compatible"
    with pytest.raises(openai.NotFoundError) as error:
        await client.models.retrieve("fake/no-such-model")
    assert error.value.code == "model_not_found"


async def test_the_synchronous_client(suite: Suite) -> None:
    def ask() -> str:
        with openai.OpenAI(base_url=f"{suite.gateway}/v1", api_key="unused") as client:
            stream = client.chat.completions.create(model="fake/any", messages=HELLO, stream=True)
            return "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    assert await asyncio.to_thread(ask) == "Hello, world."
