"""StreamChat and Chat: events, grounding, and the model `extractive`."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from pergola.chat.v1 import chat_pb2
from tests.fakes.provider import FakeProvider
from tests.fakes.script import Script
from tests.integration.runtime import callers
from tests.support import chat
from tests.support.cache import reason
from tests.support.chat import ChatDoor, Neighbours, passage, point, question, violated

DOCS = chat_pb2.Retrieval(collections=["docs"])


def kinds(events: list[Any]) -> list[str]:
    return [event.WhichOneof("event") for event in events]


def text(events: list[Any]) -> str:
    return "".join(event.content for event in events)


@pytest.fixture
def known(neighbours: Neighbours) -> Neighbours:
    neighbours.passages = [
        passage(1, "Pergolas carry climbing plants. They stand in gardens."),
        passage(2, "Charles Babbage designed the Analytical Engine in 1837."),
        passage(3, "Nothing here is of any use."),
    ]
    return neighbours


async def test_extractive_answers_from_passages(door: ChatDoor, known: Neighbours) -> None:
    events = await door.stream("extractive", "Who designed the Analytical Engine?", retrieval=DOCS)
    assert kinds(events)[-2:] == ["citations", "done"]
    assert "Charles Babbage designed the Analytical Engine in 1837. [2]" in text(events)
    (cited,) = events[-2].citations.items
    assert (cited.number, cited.id, cited.document, cited.title) == (2, "point-2", "document-2", "Title 2")
    assert (cited.start, cited.end, cited.collection) == (20, 20 + len(cited.text), "docs")
    assert list(cited.path) == ["question", "passage: Title 2"]
    assert events[-1].done.finish_reason == "stop"
    assert events[-1].done.model == "extractive"
    assert not events[-1].done.HasField("usage")


async def test_the_default_model_is_extractive(door: ChatDoor, known: Neighbours) -> None:
    events = await door.stream("", "Who designed the Analytical Engine?", retrieval=DOCS)
    assert events[-1].done.model == "extractive"


async def test_extractive_without_retrieval_says_what_to_do(door: ChatDoor) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await door.stream("extractive")
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "retrieval" in (error.value.details() or "")


async def test_extractive_that_found_nothing_says_so(door: ChatDoor) -> None:
    events = await door.stream("extractive", retrieval=DOCS)
    assert "No passage was found" in text(events)
    assert list(events[-2].citations.items) == []


async def test_a_models_pieces_come_out_with_usage(door: ChatDoor) -> None:
    events = await door.stream("fake/any")
    assert text(events) == "Hello, world."
    assert kinds(events)[-1] == "done"
    done = events[-1].done
    assert (done.finish_reason, done.model) == ("stop", "fake/any")
    assert (done.usage.input_tokens, done.usage.output_tokens) == (1, 2)


async def test_the_provider_gets_what_was_asked(door: ChatDoor, provider: FakeProvider) -> None:
    await door.stream("fake/settings", temperature=0.5, max_output_tokens=77)
    seen = await provider.request("settings")
    assert seen.body["temperature"] == 0.5
    assert seen.body["max_tokens"] == 77
    assert seen.body["messages"] == [{"role": "user", "content": "Hello?"}]
    assert "authorization" not in seen.headers


async def test_passages_reach_the_model_numbered_and_only_named_ones_are_cited(
    door: ChatDoor, known: Neighbours, provider: FakeProvider
) -> None:
    provider.script("citing", Script(chunks=["Babbage did", " [2", "]. Nobody", " else [9]; see `a[1]`."]))
    events = await door.stream("fake/citing", "Who designed it?", retrieval=DOCS)
    assert [one.number for one in events[-2].citations.items] == [2]
    seen = await provider.request("citing")
    system, user = seen.body["messages"]
    assert system["role"] == "system"
    assert 'number=2 title="Title 2">\nCharles Babbage' in system["content"]
    assert user == {"role": "user", "content": "Who designed it?"}
    assert known.retrieved[-1].question == "Who designed it?"
    assert known.retrieved[-1].k == 8


async def test_vector_mode_merges_collections_by_score(
    door: ChatDoor, neighbours: Neighbours, provider: FakeProvider
) -> None:
    neighbours.points = {
        "one": [point(1, "first", 0.03), point(2, "third", 0.01)],
        "two": [point(3, "second", 0.02), point(4, "fourth", 0.005)],
    }
    wish = chat_pb2.Retrieval(mode="vector", collections=["one", "two"], k=3)
    provider.script("all", Script(chunks=["[1-4]"]))
    events = await door.stream("fake/all", retrieval=wish)
    cited = events[-2].citations.items
    assert [one.text for one in cited] == ["first", "second", "third"]
    assert [one.collection for one in cited] == ["one", "two", "one"]


async def test_without_the_graph_service_search_alone_serves(door: ChatDoor, neighbours: Neighbours) -> None:
    neighbours.graph_fails = grpc.StatusCode.UNAVAILABLE
    neighbours.points = {"docs": [point(1, "Trellises hold vines.", 0.03)]}
    events = await door.stream("extractive", "What do trellises hold?", retrieval=DOCS)
    assert "Trellises hold vines. [1]" in text(events)
    assert "graph service does not answer" in events[-1].done.degraded


async def test_without_any_retrieval_the_error_names_the_peer(door: ChatDoor, neighbours: Neighbours) -> None:
    neighbours.graph_fails = neighbours.vector_fails = grpc.StatusCode.UNAVAILABLE
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await door.stream("extractive", retrieval=DOCS)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    assert reason(error.value) == "PEER_UNAVAILABLE"


async def test_what_retrieval_left_out_is_told(door: ChatDoor, known: Neighbours) -> None:
    known.degraded = "the graph store was slow"
    events = await door.stream("extractive", retrieval=DOCS)
    assert events[-1].done.degraded == "the graph store was slow"


async def test_chat_answers_whole(door: ChatDoor, known: Neighbours) -> None:
    asked = question("Who designed the Analytical Engine?", retrieval=DOCS)
    response = await door.chat.Chat(chat_pb2.ChatRequest(input=asked))
    assert response.message.role == "assistant"
    assert "Charles Babbage" in response.message.content
    assert [one.number for one in response.citations] == [2]
    assert response.done.finish_reason == "stop"


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([("user", "a"), ("assistant", "b")], "input.messages[1].role"),
        ([("user", "  ")], "input.messages[0].content"),
        ([("robot", "a")], "input.messages[0].role"),
    ],
)
async def test_wrong_messages_are_named(door: ChatDoor, messages: list[tuple[str, str]], field: str) -> None:
    asked = chat_pb2.ChatInput(messages=[chat_pb2.Message(role=role, content=said) for role, said in messages])
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await door.chat.Chat(chat_pb2.ChatRequest(input=asked))
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violated(error.value) == [field]


async def test_an_unknown_model_is_not_found(door: ChatDoor) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await door.stream("nobody")
    assert error.value.code() is grpc.StatusCode.NOT_FOUND
    assert reason(error.value) == "MODEL_NOT_FOUND"
    assert "extractive" in (error.value.details() or "")


async def test_a_graph_service_that_hangs_is_not_waited_for(provider: FakeProvider, neighbours: Neighbours) -> None:
    neighbours.graph_hangs = True
    neighbours.points = {"docs": [point(1, "Trellises hold vines.", 0.03)]}
    addresses = chat.neighbours_at(neighbours.address)
    async with chat.chat_service(addresses, retrieval_seconds="1") as door:
        events = await door.stream("extractive", "What do trellises hold?", retrieval=DOCS)
    assert "Trellises hold vines. [1]" in text(events)
    assert "graph service does not answer" in events[-1].done.degraded
    # Half of the caller's time is left for search, however long the setting is.
    async with chat.chat_service(addresses, retrieval_seconds="60") as door:
        asked = chat_pb2.ChatRequest(input=question("What do trellises hold?", model="extractive", retrieval=DOCS))
        response = await door.chat.Chat(asked, timeout=2.0)
    assert "Trellises hold vines. [1]" in response.message.content


async def test_a_reader_may_ask_and_a_stranger_may_not(
    neighbours: Neighbours, tmp_path: Path, provider: FakeProvider
) -> None:
    file = callers.write(tmp_path / "callers.json")
    addresses = chat.neighbours_at(neighbours.address)
    models = chat.fake_models(provider)
    key = callers.KEYS["service"]
    async with chat.chat_service(addresses, models, callers_file=str(file), service_key=key) as door:
        asked = chat_pb2.ChatRequest(input=question("Hello?", model="fake/any"))
        response = await door.chat.Chat(asked, metadata=callers.bearer("reader"))
        assert response.message.content == "Hello, world."
        for metadata, code in (
            ((), grpc.StatusCode.UNAUTHENTICATED),
            (callers.bearer("reader", tenant="globex"), grpc.StatusCode.PERMISSION_DENIED),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await door.chat.Chat(asked, metadata=metadata)
            assert error.value.code() is code
