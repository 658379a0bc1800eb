"""The frames of /ws/chat: JSON text on the WebSocket, messages of Converse behind it.

In, `{"type": "message", …}` with the fields of ChatInput beside the type, or `{"type": "cancel"}`. Out, one frame an
event, its type beside the event's own fields and the turn: `chunk`, `citations`, `done`, `error`, `heartbeat`.
"""

from typing import Any, Final, TypeVar

import msgspec
from google.protobuf import json_format
from google.protobuf.message import Message

from pergola.chat.v1 import chat_pb2
from services.runtime.errors import InvalidArgument, PergolaError, wire
from services.runtime.server import validation

_encode: Final = msgspec.json.Encoder().encode
_M = TypeVar("_M", bound=Message)


def read(text: str) -> chat_pb2.ConverseRequest:
    """A client's frame as a message for chat, checked by the contract's rules.

    It is checked here too, although chat does it again: a wrong message would end the call, and with it the
    conversation, where a wrong frame costs an error frame.

    Raises InvalidArgument.
    """
    try:
        content = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidArgument(f"the frame is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise InvalidArgument('a frame is a JSON object, as in {"type": "message", "messages": […]}')
    match content.pop("type", None):
        case "message":
            request = chat_pb2.ConverseRequest(input=_parse(content, chat_pb2.ChatInput()))
        case "cancel":
            request = chat_pb2.ConverseRequest(cancel=_parse(content, chat_pb2.CancelTurn()))
        case other:
            raise InvalidArgument(f"type is `message` or `cancel`, not {other!r:.100}")
    validation.check(request)
    return request


def _parse(content: dict[str, Any], message: _M) -> _M:
    try:
        return json_format.ParseDict(content, message)
    except json_format.ParseError as error:
        # Its first line names the field; the others list Python's names for the fields there are.
        raise InvalidArgument(str(error).splitlines()[0]) from None


def event(message: chat_pb2.ConverseResponse) -> bytes:
    """An event of chat as a frame, UTF-8 JSON."""
    kind = message.WhichOneof("event")
    if kind == "content":
        # By far the most frequent one.
        return _encode({"type": "chunk", "turn": message.turn, "content": message.content})
    fields: dict[str, Any] = {}
    if kind is not None:
        fields = json_format.MessageToDict(
            getattr(message, kind), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
    return _encode({"type": kind or "heartbeat", "turn": message.turn, **fields})


def ends_turn(message: chat_pb2.ConverseResponse) -> bool:
    """Whether nothing more comes for this turn."""
    return message.WhichOneof("event") in ("done", "error")


def error(fields: dict[str, Any]) -> bytes:
    """An error that belongs to no turn, with the fields of an error body."""
    return _encode({"type": "error", "turn": 0, **fields})


def refusal(refused: PergolaError, request_id: str) -> bytes:
    """The error frame for a frame that was not taken; the conversation goes on."""
    fields: dict[str, Any] = {
        "code": refused.http_status,
        "status": refused.code.name,
        "reason": refused.reason,
        "message": wire.shorten(refused.message),
        "request_id": request_id,
    }
    if refused.retry_after is not None:
        fields["retry_after"] = refused.retry_after
    if refused.violations:
        fields["violations"] = [
            {"field": wire.shorten(one.field, 200), "description": wire.shorten(one.description, 400)}
            for one in refused.violations[: wire.MAX_VIOLATIONS]
        ]
    return error(fields)
