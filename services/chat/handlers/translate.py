"""Between the messages of chat.proto and the domain."""

from typing import Literal, cast

from pergola.chat.v1 import chat_pb2
from services.chat.pacing import Heartbeat
from services.chat.question import DEFAULT_K, Cited, Done, Event, Mode, Question, RetrievalWish
from services.providers.chat_model import ChatMessage
from services.runtime.errors import ErrorFields


def question(message: chat_pb2.ChatInput) -> Question:
    """The question in `message`.

    Raises:
        InvalidArgument: its last message is not a user's, or empty.
    """
    return Question(
        messages=tuple(ChatMessage(one.role, one.content) for one in message.messages),
        model=message.model or None,
        retrieval=_retrieval(message.retrieval) if message.HasField("retrieval") else None,
        temperature=message.temperature if message.HasField("temperature") else None,
        max_output_tokens=message.max_output_tokens if message.HasField("max_output_tokens") else None,
        cache=cast(Literal["exact"], message.cache) if message.cache else None,
    ).checked("input.messages")


def _retrieval(message: chat_pb2.Retrieval) -> RetrievalWish:
    return RetrievalWish(
        collections=tuple(message.collections),
        mode=cast(Mode, message.mode) if message.mode else "graph",
        k=message.k if message.HasField("k") else DEFAULT_K,
    )


def stream_event(event: Event | Heartbeat) -> chat_pb2.StreamChatResponse:
    if isinstance(event, str):
        return chat_pb2.StreamChatResponse(content=event)
    if isinstance(event, Cited):
        return chat_pb2.StreamChatResponse(citations=citations(event))
    if isinstance(event, Done):
        return chat_pb2.StreamChatResponse(done=done(event))
    return chat_pb2.StreamChatResponse(heartbeat=chat_pb2.Heartbeat())


def turn_event(turn: int, event: Event | Heartbeat) -> chat_pb2.ConverseResponse:
    if isinstance(event, str):
        return chat_pb2.ConverseResponse(turn=turn, content=event)
    if isinstance(event, Cited):
        return chat_pb2.ConverseResponse(turn=turn, citations=citations(event))
    if isinstance(event, Done):
        return chat_pb2.ConverseResponse(turn=turn, done=done(event))
    return chat_pb2.ConverseResponse(turn=turn, heartbeat=chat_pb2.Heartbeat())


def citations(cited: Cited) -> chat_pb2.Citations:
    return chat_pb2.Citations(
        items=[
            chat_pb2.Citation(
                number=one.number,
                collection=one.passage.collection,
                id=one.passage.id,
                document=one.passage.document,
                title=one.passage.title,
                text=one.passage.text,
                start=one.passage.start,
                end=one.passage.end,
                score=one.passage.score,
                path=one.passage.path,
            )
            for one in cited.citations
        ]
    )


def done(event: Done) -> chat_pb2.Done:
    message = chat_pb2.Done(
        finish_reason=event.finish_reason, model=event.model, cached=event.cached, degraded=event.degraded
    )
    if event.usage is not None:
        message.usage.input_tokens = event.usage.input_tokens
        message.usage.output_tokens = event.usage.output_tokens
    return message


def error(fields: ErrorFields) -> chat_pb2.ChatError:
    return chat_pb2.ChatError(
        code=fields.code,
        status=fields.status,
        reason=fields.reason,
        message=fields.message,
        retry_after=fields.retry_after,
        request_id=fields.request_id,
    )


def error_response(fields: ErrorFields) -> chat_pb2.StreamChatResponse:
    """The last event of a stream that failed after its first."""
    return chat_pb2.StreamChatResponse(error=error(fields))
