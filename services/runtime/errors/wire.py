"""How an error looks from outside: `google.rpc.Status` for gRPC, a JSON body for each HTTP face.

The gateway's filter puts the body into the response, so what stands here is what a caller of `/api` and `/v1` reads.
Metadata beyond 8 KB would turn any error into RESOURCE_EXHAUSTED, hence the limits.
"""

import math
from typing import Any, Final

import msgspec
from google.protobuf import any_pb2, message
from google.rpc import error_details_pb2, status_pb2

from services.runtime import call
from services.runtime.errors import remote, tree

MAX_VIOLATIONS: Final = 20
MAX_DETAILS: Final = 4096
"""Bytes of serialized details, and of a face's JSON body."""
MAX_MESSAGE: Final = 1000
"""Characters of a message; what is longer ends in an ellipsis."""

Metadata = tuple[tuple[str, str | bytes], ...]

_OPENAI_TYPES: Final = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class ErrorFields(msgspec.Struct, frozen=True, kw_only=True):
    """What an in-band error event tells: the same as an error body of `/api`.

    `code` is the HTTP status, `status` the name of the gRPC code, `retry_after` seconds.
    """

    code: int
    status: str
    reason: str
    message: str
    retry_after: float | None = None
    request_id: str = ""


def fields(error: BaseException) -> ErrorFields:
    """The fields of an in-band error event for `error`; anything unexpected is logged and becomes INTERNAL."""
    known = remote.translate(error)
    current = call.find()
    return ErrorFields(
        code=known.http_status,
        status=known.code.name,
        reason=known.reason,
        message=shorten(known.message),
        retry_after=known.retry_after,
        request_id=current.request_id if current else "",
    )


def shorten(text: str, limit: int = MAX_MESSAGE) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def trailing(error: tree.PergolaError, request_id: str, face: str) -> Metadata:
    """The trailing metadata of a failed call: for a face its body and status, for gRPC the details."""
    entries: list[tuple[str, str | bytes]] = [("x-request-id", request_id)]
    if error.retry_after is not None:
        entries.append(("retry-after", str(max(1, math.ceil(error.retry_after)))))
    if not error.retry_may_help:
        entries.append(("grpc-retry-pushback-ms", "-1"))
    if face == "grpc":
        entries.append((remote.DETAILS_KEY, status_details(error, request_id)))
    else:
        entries.append(("x-pergola-http-status", str(error.http_status)))
        entries.append(("x-pergola-error", body(error, request_id, face)))
    return tuple(entries)


def status_details(error: tree.PergolaError, request_id: str) -> bytes:
    """`google.rpc.Status` with ErrorInfo, BadRequest (as many violations as fit) and RetryInfo, serialized."""
    violations = error.violations[:MAX_VIOLATIONS]
    while True:
        packed: bytes = _status(error, violations, request_id).SerializeToString()
        if len(packed) <= MAX_DETAILS or not violations:
            return packed
        violations = violations[:-1]


def body(error: tree.PergolaError, request_id: str, face: str) -> str:
    """The JSON body of a face (`api` or `openai`): one line of ASCII, at most 4 KiB."""
    violations, limit = error.violations[:MAX_VIOLATIONS], MAX_MESSAGE
    while True:
        make = _openai_body if face == "openai" else _api_body
        text = _ascii(
            msgspec.json.encode({"error": make(error, violations, shorten(error.message, limit), request_id)})
        )
        if len(text) <= MAX_DETAILS:
            return text
        if violations:
            violations = violations[:-1]
        else:
            limit //= 2


def _status(error: tree.PergolaError, violations: tuple[tree.Violation, ...], request_id: str) -> status_pb2.Status:
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=tree.DOMAIN)
    info.metadata["request_id"] = request_id
    for key, value in error.metadata.items():
        info.metadata[key] = shorten(value, 200)
    if len(error.violations) > len(violations):
        info.metadata["violations_total"] = str(len(error.violations))
    details: list[message.Message] = [info]
    if violations:
        bad = error_details_pb2.BadRequest()
        for one in violations:
            bad.field_violations.add(field=shorten(one.field, 200), description=shorten(one.description, 400))
        details.append(bad)
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(math.ceil(error.retry_after * 1000))
        details.append(retry)
    status = status_pb2.Status(code=error.code.value[0], message=shorten(error.message))
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _api_body(
    error: tree.PergolaError, violations: tuple[tree.Violation, ...], text: str, request_id: str
) -> dict[str, Any]:
    content: dict[str, Any] = {
        "code": error.http_status,
        "status": error.code.name,
        "reason": error.reason,
        "message": text,
        "request_id": request_id,
    }
    if error.retry_after is not None:
        content["retry_after"] = max(1, math.ceil(error.retry_after))
    if error.violations:
        content["violations"] = [
            {"field": shorten(one.field, 200), "description": shorten(one.description, 400)} for one in violations
        ]
        content["violations_total"] = len(error.violations)
    return content


def _openai_body(
    error: tree.PergolaError, violations: tuple[tree.Violation, ...], text: str, request_id: str
) -> dict[str, Any]:
    default = "invalid_request_error" if error.http_status < 500 else "server_error"
    return {
        "message": text,
        "type": _OPENAI_TYPES.get(error.http_status, default),
        "param": shorten(violations[0].field, 200) if violations else None,
        "code": error.reason.lower(),
        "request_id": request_id,
    }


def _ascii(encoded: bytes) -> str:
    """Metadata values are ASCII: everything else becomes a JSON escape (a surrogate pair beyond the first plane)."""
    if encoded.isascii():
        return encoded.decode()
    escaped = []
    for char in encoded.decode():
        point = ord(char)
        if point < 128:
            escaped.append(char)
        elif point < 0x10000:
            escaped.append(f"\\u{point:04x}")
        else:
            point -= 0x10000
            escaped.append(f"\\u{0xD800 + (point >> 10):04x}\\u{0xDC00 + (point & 0x3FF):04x}")
    return "".join(escaped)


def percent_encoded(text: str) -> int:
    """Bytes that `text` takes in the `grpc-message` header."""
    return sum(1 if 0x20 <= byte < 0x7F and byte != 0x25 else 3 for byte in text.encode())


def grpc_message(error: tree.PergolaError) -> str:
    """The message for the `grpc-message` header: at most 1,000 bytes there, where a non-ASCII byte takes three."""
    limit = MAX_MESSAGE
    while percent_encoded(text := shorten(error.message, limit)) > MAX_MESSAGE and limit > 100:
        limit -= limit // 4
    return text
