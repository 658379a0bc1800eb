"""`cache: exact`: what is kept, what is found again, and what a cache that fails costs."""

from typing import Any

import grpc
import pytest

from pergola.chat.v1 import chat_pb2
from tests.fakes.provider import FakeProvider
from tests.fakes.script import Script
from tests.support.chat import ChatDoor, Neighbours, passage

DOCS = chat_pb2.Retrieval(collections=["docs"])


async def done(door: ChatDoor, model: str, text: str = "Hello?", **fields: Any) -> Any:
    return (await door.stream(f"fake/{model}", text, cache="exact", **fields))[-1].done


async def test_the_same_question_is_answered_once(
    door: ChatDoor, neighbours: Neighbours, provider: FakeProvider
) -> None:
    neighbours.passages = [passage(1, "Roses climb.")]
    provider.script("once", Script(chunks=["They climb", " [1]."]))
    first = await door.stream("fake/once", retrieval=DOCS, cache="exact")
    again = await door.stream("fake/once", retrieval=DOCS, cache="exact")
    assert not first[-1].done.cached
    assert again[-1].done.cached
    assert [event.WhichOneof("event") for event in again] == ["content", "citations", "done"]
    assert again[0].content == "They climb [1]."
    assert again[1] == first[-2]
    assert again[-1].done.usage == first[-1].done.usage
    assert len(provider.requests("once")) == 1


async def test_anything_else_is_another_question(
    door: ChatDoor, neighbours: Neighbours, provider: FakeProvider
) -> None:
    neighbours.passages = [passage(1, "Roses climb.")]
    assert not (await done(door, "other", retrieval=DOCS)).cached
    assert not (await done(door, "other")).cached
    assert not (await done(door, "other", "Hello!")).cached
    assert not (await done(door, "other", temperature=0.5)).cached
    assert not (await done(door, "other", max_output_tokens=5)).cached
    # The passages are part of the question: a document that changed is answered anew.
    neighbours.passages = [passage(1, "Roses do not climb.")]
    assert not (await done(door, "other", retrieval=DOCS)).cached
    assert (await done(door, "other", retrieval=DOCS)).cached
    assert len(provider.requests("other")) == 6


async def test_nothing_is_kept_unless_asked(door: ChatDoor, neighbours: Neighbours) -> None:
    await door.stream("fake/unasked")
    assert neighbours.kept == {}


async def test_only_complete_answers_are_kept(door: ChatDoor, neighbours: Neighbours, provider: FakeProvider) -> None:
    provider.script("too-long", Script(finish_reason="length"))
    assert (await done(door, "too-long")).finish_reason == "length"
    for model in ("cut-2", "error-2"):
        with pytest.raises(grpc.aio.AioRpcError):
            await done(door, model)
    assert neighbours.kept == {}


async def test_a_cache_that_fails_costs_no_answer(
    door: ChatDoor, neighbours: Neighbours, provider: FakeProvider
) -> None:
    neighbours.cache_fails = grpc.StatusCode.UNAVAILABLE
    assert (await done(door, "no-cache")).finish_reason == "stop"
    neighbours.cache_fails = None
    await done(door, "no-cache")
    for key in neighbours.kept:
        neighbours.kept[key] = b"not what was kept"
    assert not (await done(door, "no-cache")).cached
    assert (await done(door, "no-cache")).cached
