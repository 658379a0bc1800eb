"""What the fake provider does with a request, and the bytes it answers with."""

import re
from typing import Any, Final

import msgspec

CREATED: Final = 1_700_000_000


class Script(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How a request is answered. `…_after` counts the chunks sent before it happens; None: it does not."""

    chunks: list[str] = msgspec.field(default_factory=lambda: ["Hello", ", ", "world", "."])
    """The pieces of the answer."""
    status: int = 200
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    body: str | None = None
    """Sent in place of everything else, with `status`; with another status than 200, an error body by default."""
    content_type: str | None = None
    first_byte_delay: float = 0.0
    """Seconds until the status line; negative: it never comes."""
    chunk_delay: float = 0.0
    """Seconds before each chunk but the first."""
    cut_after: int | None = None
    """The connection is broken."""
    close_after: int | None = None
    """The body ends properly, and the answer does not."""
    hang_after: int | None = None
    """Nothing more comes."""
    malformed_after: int | None = None
    """A chunk that is no JSON comes."""
    error_after: int | None = None
    """An error object comes in place of a chunk."""
    finish_reason: str = "stop"
    done: bool = True
    """Whether a stream ends with `[DONE]`."""
    finish: bool = True
    """Whether a stream names its finish reason."""
    usage: bool = True
    """Whether tokens are counted where the request asks for it."""
    line_end: str = "\n"
    comments: bool = False
    """Whether a comment line stands before each chunk."""
    tool_call: dict[str, Any] | None = None
    """A tool call in place of the text: {"name": …, "arguments": …}."""


_NAMED: Final = re.compile(r"^(chunks|status|cut|close|hang|malformed|error|slow)-(\d+(?:\.\d+)?)$")


def by_name(model: str) -> Script:
    """The script a model's name stands for: `chunks-200`, `status-429`, `cut-3`, `hang-0`, `slow-1.5`, …; any other
    name answers in four chunks."""
    found = _NAMED.match(model)
    if not found:
        return Script()
    kind, number = found.group(1), found.group(2)
    if kind == "chunks":
        return Script(chunks=[f" word{index}" for index in range(int(number))])
    if kind == "status":
        return Script(status=int(number), headers={"retry-after": "7"} if number == "429" else {})
    if kind == "slow":
        return Script(first_byte_delay=float(number))
    if kind == "hang" and number == "0":
        return Script(first_byte_delay=-1)
    return msgspec.convert({f"{kind}_after": int(float(number))}, Script)


def chunk_event(model: str, script: Script, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return event(script, _chunk(model, [choice]))


def usage_event(model: str, script: Script, request: dict[str, Any]) -> bytes:
    return event(script, _chunk(model, []) | {"usage": usage(script, request)})


def event(script: Script, content: dict[str, Any]) -> bytes:
    end = script.line_end
    comment = f": fake{end}{end}" if script.comments else ""
    return f"{comment}data: {msgspec.json.encode(content).decode()}{end}{end}".encode()


def completion(model: str, script: Script, request: dict[str, Any]) -> bytes:
    """A whole answer that is not streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": "".join(script.chunks), "refusal": None}
    if script.tool_call is not None:
        message = {"role": "assistant", "content": None, "tool_calls": [tool_call(script.tool_call)]}
    answer = {
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(script)}],
        "usage": usage(script, request),
        "system_fingerprint": "fp_fake",
    }
    return msgspec.json.encode(answer)


def tool_call(call: dict[str, Any]) -> dict[str, Any]:
    return {"index": 0, "id": "call_fake", "type": "function", "function": call}


def finish_reason(script: Script) -> str:
    return "tool_calls" if script.tool_call is not None else script.finish_reason


def usage(script: Script, request: dict[str, Any]) -> dict[str, int]:
    """A word is a token."""
    given = sum(len(str(message.get("content", "")).split()) for message in request.get("messages", ()))
    made = len("".join(script.chunks).split())
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


def error_body(status: int) -> dict[str, Any]:
    kinds = {400: "invalid_request_error", 401: "invalid_api_key", 429: "rate_limit_exceeded"}
    # A real provider quotes the key it refuses; tests look whether it gets out.
    message = "Incorrect API key provided: sk-fake-secret-0123456789" if status == 401 else f"fake failure {status}"
    return {"error": {"message": message, "type": "fake", "param": None, "code": kinds.get(status, "server_error")}}


def _chunk(model: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-fake",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": model,
        "system_fingerprint": "fp_fake",
        "choices": choices,
    }
