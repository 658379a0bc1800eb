"""`pergola.chat.v1.ChatService`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Final

from pergola.chat.v1 import chat_pb2, chat_pb2_grpc
from services.chat.answering import Answering
from services.chat.conversation import Conversation, Failed, Pace
from services.chat.handlers import translate
from services.chat.pacing import Paced
from services.chat.question import Cited, Question
from services.runtime import call
from services.runtime.errors import PergolaError, fields
from services.runtime.policy import Policy
from services.runtime.roles import Role
from services.runtime.server.validation import invalid, violations

SERVICE: Final = "pergola.chat.v1.ChatService"


def policies(stream_deadline: float) -> dict[str, Policy]:
    """The policies of the service; `stream_deadline` is the setting."""
    return {
        # A model takes as long for a whole answer as for a streamed one.
        "Chat": Policy(role=Role.READER, deadline=stream_deadline),
        "StreamChat": Policy(role=Role.READER, in_band=translate.error_response),
        # A conversation lasts as long as its window is open. Each input is checked by itself, so that a wrong one ends
        # its turn only.
        "Converse": Policy(role=Role.READER, deadline=None, validate=False),
    }


class ChatHandlers(chat_pb2_grpc.ChatServiceServicer):
    """Handlers of the service; `history_chars` bounds what a Converse stream remembers."""

    def __init__(self, answering: Answering, pace: Pace, history_chars: int) -> None:
        self._answering = answering
        self._pace = pace
        self._history_chars = history_chars

    async def Chat(self, request: chat_pb2.ChatRequest, _context: Any) -> chat_pb2.ChatResponse:
        question = translate.question(request.input)
        text: list[str] = []
        response = chat_pb2.ChatResponse()
        async with aclosing(self._answering.answer(question)) as events:
            async for event in events:
                if isinstance(event, str):
                    text.append(event)
                elif isinstance(event, Cited):
                    response.citations.extend(translate.citations(event).items)
                else:
                    response.done.CopyFrom(translate.done(event))
        response.message.role = "assistant"
        response.message.content = "".join(text)
        return response

    async def StreamChat(
        self, request: chat_pb2.StreamChatRequest, _context: Any
    ) -> AsyncGenerator[chat_pb2.StreamChatResponse, None]:
        paced = Paced(
            self._answering.answer(translate.question(request.input)),
            heartbeat=self._pace.heartbeat,
            interval=self._pace.interval,
            seconds=call.remaining(),
        )
        began = False
        try:
            async with aclosing(paced.items()) as events:
                async for event in events:
                    yield translate.stream_event(event)
                    began = True
        except Exception as error:
            # For HTTP callers the runtime sends this event itself.
            if began and call.current().face == "grpc":
                yield translate.error_response(fields(error))
            raise

    async def Converse(
        self, requests: AsyncIterator[chat_pb2.ConverseRequest], _context: Any
    ) -> AsyncGenerator[chat_pb2.ConverseResponse, None]:
        conversation = Conversation(self._answering, self._pace, self._history_chars)
        reader = asyncio.create_task(_read(requests, conversation))
        try:
            async with aclosing(conversation.events()) as events:
                async for turn, event in events:
                    if isinstance(event, Failed):
                        failure = translate.error(fields(event.error))
                        yield chat_pb2.ConverseResponse(turn=turn, error=failure)
                    else:
                        yield translate.turn_event(turn, event)
            # The inputs are over; if they ended badly, so does the call.
            await reader
        finally:
            reader.cancel()
            await asyncio.wait({reader})


async def _read(requests: AsyncIterator[chat_pb2.ConverseRequest], conversation: Conversation) -> None:
    try:
        async for request in requests:
            if request.WhichOneof("event") == "cancel":
                conversation.cancel()
            else:
                await conversation.offer(_turn(request))
    except asyncio.CancelledError:
        # The caller went away: nobody reads the inputs any more, and `end` would wait for room among them.
        raise
    except BaseException:
        await conversation.end()
        raise
    await conversation.end()


def _turn(request: chat_pb2.ConverseRequest) -> Question | PergolaError:
    found = violations(request)
    if found:
        return invalid(found)
    try:
        return translate.question(request.input)
    except PergolaError as error:
        return error
