"""Converse: turns, memory, cancelling, errors that end a turn only."""

import asyncio
from typing import Any

import grpc
import pytest

from pergola.chat.v1 import chat_pb2
from tests import bounds
from tests.fakes.provider import FakeProvider
from tests.fakes.script import Script
from tests.support import chat
from tests.support.chat import ChatDoor, Neighbours, passage, question


class Talk:
    """A Converse stream: say something, read the events of a turn."""

    def __init__(self, door: ChatDoor, **kwargs: Any) -> None:
        self.call = door.chat.Converse(**kwargs)

    async def say(self, text: str, **fields: Any) -> None:
        await self.call.write(chat_pb2.ConverseRequest(input=question(text, **fields)))

    async def cancel(self) -> None:
        await self.call.write(chat_pb2.ConverseRequest(cancel=chat_pb2.CancelTurn()))

    async def turn(self) -> list[Any]:
        """The events up to the end of a turn."""
        events = [await self.call.read()]
        while events[-1].WhichOneof("event") not in ("done", "error"):
            events.append(await self.call.read())
        return events

    async def ask(self, text: str, **fields: Any) -> str:
        """The whole answer to `text`."""
        await self.say(text, **fields)
        return said(await self.turn())


def said(events: list[Any]) -> str:
    return "".join(event.content for event in events)


async def test_turns_are_remembered_and_settings_kept(door: ChatDoor, provider: FakeProvider) -> None:
    talk = Talk(door)
    assert await talk.ask("One?", model="fake/memory", temperature=0.25) == "Hello, world."
    await talk.say("Two?")
    events = await talk.turn()
    assert [event.turn for event in events] == [2] * len(events)
    seen = await provider.request("memory", 2)
    assert [message["content"] for message in seen.body["messages"]] == ["One?", "Hello, world.", "Two?"]
    assert [message["role"] for message in seen.body["messages"]] == ["user", "assistant", "user"]
    assert seen.body["temperature"] == 0.25
    talk.call.cancel()


async def test_a_turn_is_grounded_like_a_stream(door: ChatDoor, neighbours: Neighbours) -> None:
    neighbours.passages = [passage(1, "Roses climb.")]
    talk = Talk(door)
    await talk.say("What do roses do?", retrieval=chat_pb2.Retrieval(collections=["docs"]))
    events = await talk.turn()
    assert [event.WhichOneof("event") for event in events][-2:] == ["citations", "done"]
    assert events[-2].citations.items[0].id == "point-1"
    # Retrieval stays on for the next turn, which is searched for by its own words.
    await talk.say("And ivy?")
    await talk.turn()
    assert neighbours.retrieved[-1].question == "And ivy?"
    talk.call.cancel()


async def test_half_close_finishes_the_turns_that_wait(door: ChatDoor) -> None:
    talk = Talk(door)
    for number in range(3):
        await talk.say(f"Question {number}", model="fake/waiting")
    await talk.call.done_writing()
    turns = [await talk.turn() for _ in range(3)]
    assert [events[-1].turn for events in turns] == [1, 2, 3]
    assert await talk.call.read() is grpc.aio.EOF
    assert await talk.call.code() is grpc.StatusCode.OK


async def test_cancel_ends_the_turn_and_not_the_stream(door: ChatDoor, provider: FakeProvider) -> None:
    model = provider.script("endless", Script(hang_after=2))
    talk = Talk(door)
    await talk.say("Go on", model=f"fake/{model}")
    first = await talk.call.read()
    assert first.content
    seen = await provider.request(model)
    await talk.cancel()
    events = await asyncio.wait_for(talk.turn(), bounds.AFTER_CANCEL)
    assert events[-1].done.finish_reason == "cancelled"
    assert events[-1].done.model == "fake/endless"
    await seen.wait_disconnected(bounds.AFTER_CANCEL)
    heard = first.content + said(events)
    # What was said is remembered; a cancel between turns does nothing.
    await talk.cancel()
    await talk.ask("Next?", model="fake/after-cancel")
    messages = (await provider.request("after-cancel")).body["messages"]
    assert [message["content"] for message in messages] == ["Go on", heard, "Next?"]
    talk.call.cancel()


async def test_cancel_before_the_first_piece_leaves_no_trace(door: ChatDoor, provider: FakeProvider) -> None:
    provider.script("silent", Script(first_byte_delay=-1))
    talk = Talk(door)
    await talk.say("Anyone?", model="fake/silent")
    await provider.request("silent")
    await talk.cancel()
    assert (await talk.turn())[-1].done.finish_reason == "cancelled"
    await talk.ask("Hello?", model="fake/no-trace")
    assert [one["content"] for one in (await provider.request("no-trace")).body["messages"]] == ["Hello?"]
    talk.call.cancel()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model": "fake/status-429"}, (502, "UNAVAILABLE", "UPSTREAM_RATE_LIMITED")),
        ({"model": "fake/cut-2"}, (502, "UNAVAILABLE", "UPSTREAM_STREAM_CUT")),
        ({"model": "nobody"}, (404, "NOT_FOUND", "MODEL_NOT_FOUND")),
        ({"model": "fake/x", "temperature": 9.0}, (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT")),
        ({"model": "extractive"}, (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT")),
    ],
)
async def test_an_error_ends_the_turn_and_not_the_stream(
    door: ChatDoor, provider: FakeProvider, fields: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    talk = Talk(door)
    await talk.say("Bad", **fields)
    told = (await talk.turn())[-1].error
    assert (told.code, told.status, told.reason) == expected
    assert told.retry_after == (7 if "429" in fields["model"] else 0)
    # Neither the question nor its settings stay.
    model = f"good-{expected[2].lower()}-{len(fields)}"
    assert await talk.ask("Good", model=f"fake/{model}") == "Hello, world."
    assert [one["content"] for one in (await provider.request(model)).body["messages"]] == ["Good"]
    talk.call.cancel()


async def test_an_empty_message_is_an_error_of_its_turn(door: ChatDoor) -> None:
    talk = Talk(door)
    await talk.call.write(chat_pb2.ConverseRequest())
    assert (await talk.turn())[-1].error.reason == "INVALID_ARGUMENT"
    assert await talk.ask("Well then", model="fake/any") == "Hello, world."
    talk.call.cancel()


async def test_leaving_ends_the_providers_request(door: ChatDoor, provider: FakeProvider) -> None:
    provider.script("left", Script(hang_after=2))
    talk = Talk(door)
    await talk.say("Go on", model="fake/left")
    await talk.call.read()
    talk.call.cancel()
    await (await provider.request("left")).wait_disconnected(bounds.AFTER_CANCEL)


async def test_leaving_while_inputs_wait_leaves_nothing_behind(door: ChatDoor, provider: FakeProvider) -> None:
    provider.script("crowded", Script(hang_after=2))
    talk = Talk(door)
    for _ in range(12):
        await talk.say("Go on", model="fake/crowded")
    await talk.call.read()
    talk.call.cancel()
    await (await provider.request("crowded")).wait_disconnected(bounds.AFTER_CANCEL)
    await chat.idle(door, bounds.AFTER_CANCEL)
    assert len(provider.requests("crowded")) == 1


async def test_heartbeats_in_a_turn_and_between_turns(provider: FakeProvider, neighbours: Neighbours) -> None:
    models = chat.fake_models(provider)
    addresses = chat.neighbours_at(neighbours.address)
    async with chat.chat_service(addresses, models, heartbeat_seconds="0.1") as door:
        talk = Talk(door)
        idle = await talk.call.read()
        assert (idle.turn, idle.WhichOneof("event")) == (0, "heartbeat")
        await talk.say("Wait", model="fake/slow-1")
        events = await talk.turn()
        assert sum(event.WhichOneof("event") == "heartbeat" for event in events) >= 3
        assert said(events) == "Hello, world."
        talk.call.cancel()


async def test_memory_is_bounded_and_keeps_the_system_message(provider: FakeProvider, neighbours: Neighbours) -> None:
    models = chat.fake_models(provider)
    addresses = chat.neighbours_at(neighbours.address)
    async with chat.chat_service(addresses, models, conversation_chars="1000") as door:
        talk = Talk(door)
        system = chat_pb2.Message(role="system", content="Be brief.")
        first = chat_pb2.ChatInput(
            messages=[system, chat_pb2.Message(role="user", content="x" * 900)], model="fake/forgetful"
        )
        await talk.call.write(chat_pb2.ConverseRequest(input=first))
        await talk.turn()
        await talk.ask("y" * 500)
        await talk.ask("z")
        messages = (await provider.request("forgetful", 3)).body["messages"]
        assert [one["content"][:9] for one in messages] == ["Be brief.", "Hello, wo", "y" * 9, "Hello, wo", "z"]
        talk.call.cancel()


async def test_a_turn_has_a_longest_time(provider: FakeProvider, neighbours: Neighbours) -> None:
    models = chat.fake_models(provider)
    addresses = chat.neighbours_at(neighbours.address)
    async with chat.chat_service(addresses, models, answer_seconds="0.5") as door:
        talk = Talk(door)
        await talk.say("Forever?", model="fake/hang-2")
        told = (await talk.turn())[-1].error
        assert told.status == "DEADLINE_EXCEEDED"
        assert await talk.ask("And now?", model="fake/any") == "Hello, world."
        talk.call.cancel()
