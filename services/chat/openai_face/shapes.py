"""The JSON that OpenAI's clients expect: https://platform.openai.com/docs/api-reference/chat.

`finish_reason` is null until the end and never left out; the first chunk brings the role.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from services.chat.question import Citation
from services.providers.chat_model import StreamIdentity, Usage
from services.providers.registry import ModelInfo
from services.runtime.errors import ErrorFields

DONE: Final = b"data: [DONE]\n\n"
KEEP_ALIVE: Final = b": keep-alive\n\n"
JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"

_encode = msgspec.json.Encoder().encode


class ChunkMaker:
    """Makes the chunks of one streamed answer."""

    def __init__(self, identity: StreamIdentity) -> None:
        self._identity = identity

    def role(self) -> bytes:
        return self._chunk({"role": "assistant", "content": ""})

    def content(self, text: str) -> bytes:
        return self._chunk({"content": text})

    def citations(self, citations: Sequence[Citation]) -> bytes:
        """An empty delta with `citations` beside `choices`: clients that know nothing of them see no text."""
        return self._chunk({}, citations=[citation_json(one) for one in citations])

    def finish(self, reason: str) -> bytes:
        return self._chunk({}, reason)

    def usage(self, usage: Usage | None) -> bytes:
        return self._event([], usage=usage_json(usage))

    def _chunk(self, delta: dict[str, str], finish_reason: str | None = None, **beside: Any) -> bytes:
        return self._event([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}], **beside)

    def _event(self, choices: list[Any], **beside: Any) -> bytes:
        content = {
            "id": self._identity.id,
            "object": "chat.completion.chunk",
            "created": self._identity.created,
            "model": self._identity.model,
            "choices": choices,
            **beside,
        }
        return b"data: " + _encode(content) + b"\n\n"


def completion(
    identity: StreamIdentity, text: str, reason: str, usage: Usage | None, citations: Sequence[Citation] | None
) -> bytes:
    """A whole `chat.completion`."""
    content: dict[str, Any] = {
        "id": identity.id,
        "object": "chat.completion",
        "created": identity.created,
        "model": identity.model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": reason,
            }
        ],
        "usage": usage_json(usage),
    }
    if citations is not None:
        content["citations"] = [citation_json(one) for one in citations]
    return _encode(content)


def with_citations(answer: bytes, citations: Sequence[Citation]) -> bytes:
    """A provider's JSON with the field `citations` added; its own fields keep their very bytes."""
    fields: dict[str, Any] = dict(msgspec.json.decode(answer, type=dict[str, msgspec.Raw]))
    fields["citations"] = [citation_json(one) for one in citations]
    return _encode(fields)


def citation_json(citation: Citation) -> dict[str, Any]:
    """A citation with the fields of chat.proto's `Citation`."""
    one = citation.passage
    return {
        "number": citation.number,
        "collection": one.collection,
        "id": one.id,
        "document": one.document,
        "title": one.title,
        "text": one.text,
        "start": one.start,
        "end": one.end,
        "score": one.score,
        "path": list(one.path),
    }


def usage_json(usage: Usage | None) -> dict[str, int]:
    """Zero tokens where no model ran."""
    given, made = (usage.input_tokens, usage.output_tokens) if usage is not None else (0, 0)
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


def error_event(error: ErrorFields) -> bytes:
    """An error in the middle of a stream; OpenAI's clients raise it."""
    server = error.code >= 500
    content: dict[str, Any] = {
        "message": error.message,
        "type": "server_error" if server else "invalid_request_error",
        "param": None,
        "code": error.reason.lower(),
        "request_id": error.request_id,
    }
    if error.retry_after is not None:
        content["retry_after"] = error.retry_after
    return b"data: " + _encode({"error": content}) + b"\n\n"


def model_json(info: ModelInfo, created: int) -> dict[str, Any]:
    return {"id": info.id, "object": "model", "created": created, "owned_by": info.owner}


def model_body(info: ModelInfo, created: int) -> bytes:
    return _encode(model_json(info, created))


def models_body(infos: Sequence[ModelInfo], created: int) -> bytes:
    return _encode({"object": "list", "data": [model_json(info, created) for info in infos]})
