"""What Envoy answers by itself, in the shape of the door it came through: the data for `local_reply_config`.

The services make their own error bodies (services/runtime/errors/wire.py); these have the same fields.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_SENTENCE = "%LOCAL_REPLY_BODY%"
"""The sentence of the gate or the transcoder's own words, which name the place where the JSON goes wrong."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of Envoy's own, found by the HTTP status Envoy chose."""

    found: int
    status: str
    """Name of the gRPC code."""
    reason: str
    message: str
    answered: int = 0
    """The HTTP status to answer with; 0: the one found."""
    retry_after: int = 0
    """Seconds, 0: not said."""

    @property
    def code(self) -> int:
        """The HTTP status answered with."""
        return self.answered or self.found


_TOO_LATE = "The answer took longer than the deadline; ask for less, or send a longer grpc-timeout."

REPLIES: Final = (
    Reply(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", _SENTENCE),
    Reply(403, "PERMISSION_DENIED", "ORIGIN_NOT_ALLOWED", _SENTENCE),
    Reply(404, "NOT_FOUND", "ROUTE_NOT_FOUND", "There is no such route; docs/gateway.md lists them."),
    Reply(405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED", _SENTENCE),
    Reply(408, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", _TOO_LATE, answered=504),
    Reply(413, "RESOURCE_EXHAUSTED", "PAYLOAD_TOO_LARGE", "The body is too large; send it in parts."),
    Reply(415, "INVALID_ARGUMENT", "CONTENT_TYPE_NOT_SUPPORTED", _SENTENCE),
    Reply(421, "FAILED_PRECONDITION", "HOST_NOT_ALLOWED", _SENTENCE),
    Reply(426, "FAILED_PRECONDITION", "UPGRADE_REQUIRED", "Send the request with HTTP/1.1 or HTTP/2."),
    Reply(431, "RESOURCE_EXHAUSTED", "HEADERS_TOO_LARGE", "The request's headers are too large; send less of them."),
    Reply(500, "INTERNAL", "INTERNAL", "The gateway failed; its log has more under the request id."),
    Reply(502, "UNAVAILABLE", "PEER_UNAVAILABLE", "The service behind this route gave no usable answer.", answered=503),
    Reply(
        503,
        "UNAVAILABLE",
        "PEER_UNAVAILABLE",
        "The service behind this route does not answer; try again. GET /readyz names what is missing.",
        retry_after=1,
    ),
    Reply(504, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", _TOO_LATE),
)

_ANY = Reply(0, "UNKNOWN", "UNKNOWN", _SENTENCE)


def mappers() -> list[dict[str, Any]]:
    """Envoy's `ResponseMapper`s: the first whose filter matches shapes the answer."""
    return [
        # Bodies of /healthz and /readyz are JSON already.
        {"filter": _door("health"), "body_format_override": _text(_SENTENCE)},
        *_grpc(),
        *_face("connect", _door("connect"), _connect_body),
        *_face("openai", {"or_filter": {"filters": [_door("openai"), _header(":path", "/v1/")]}}, _openai_body),
        *_face("api", {"or_filter": {"filters": [_door("api"), _door("websocket"), _doorless()]}}, _api_body),
    ]


def _grpc() -> Iterator[dict[str, Any]]:
    """gRPC tells errors by status and message. Envoy makes the status from HTTP's, which has none for a deadline."""
    for reply in REPLIES:
        mapper: dict[str, Any] = {
            "filter": {"and_filter": {"filters": [_door("grpc"), _status(reply.found, "grpc")]}},
            "body_format_override": {"text_format_source": {"inline_string": reply.message}},
        }
        if reply.status == "DEADLINE_EXCEEDED":
            mapper["headers_to_add"] = [{"header": {"key": "x-pergola-grpc-status", "value": "4"}}]
        yield mapper


def _face(name: str, is_face: Mapping[str, Any], body: Any) -> Iterator[dict[str, Any]]:
    for reply in REPLIES:
        mapper: dict[str, Any] = {
            "filter": {"and_filter": {"filters": [is_face, _status(reply.found, name)]}},
            "body_format_override": {"json_format": body(reply, reply.code), "content_type": "application/json"},
        }
        if reply.answered:
            mapper["status_code"] = reply.answered
        if reply.retry_after:
            mapper["headers_to_add"] = [{"header": {"key": "retry-after", "value": str(reply.retry_after)}}]
        yield mapper
    yield {
        "filter": is_face,
        "body_format_override": {"json_format": body(_ANY, "%RESPONSE_CODE%"), "content_type": "application/json"},
    }


def _api_body(reply: Reply, code: int | str) -> dict[str, Any]:
    error: dict[str, Any] = {
        "code": code,
        "status": reply.status,
        "reason": reply.reason,
        "message": reply.message,
        "request_id": "%REQ(X-REQUEST-ID)%",
    }
    if reply.retry_after:
        error["retry_after"] = reply.retry_after
    return {"error": error}


def _openai_body(reply: Reply, _code: int | str) -> dict[str, Any]:
    kind = "permission_error" if reply.code == 403 else "invalid_request_error" if reply.code < 500 else "server_error"
    return {
        "error": {
            "message": reply.message,
            "type": kind,
            "param": None,
            "code": reply.reason.lower(),
            "request_id": "%REQ(X-REQUEST-ID)%",
        }
    }


def _connect_body(reply: Reply, _code: int | str) -> dict[str, Any]:
    return {"code": reply.status.lower(), "message": reply.message}


def _text(line: str) -> dict[str, Any]:
    return {"text_format_source": {"inline_string": line}, "content_type": "application/json"}


def _status(code: int, name: str) -> dict[str, Any]:
    # The runtime key is required by the schema; no runtime layer sets it.
    return {
        "status_code_filter": {
            "comparison": {"op": "EQ", "value": {"default_value": code, "runtime_key": f"pergola.{name}.{code}"}}
        }
    }


def _door(name: str, *, or_none: bool = False) -> dict[str, Any]:
    return {
        "metadata_filter": {
            "matcher": {
                "filter": "pergola",
                "path": [{"key": "door"}],
                "value": {"string_match": {"exact": name}},
            },
            "match_if_key_not_found": or_none,
        }
    }


def _doorless() -> dict[str, Any]:
    """Refused before the gate gave it a door, and no gRPC."""
    return {
        "and_filter": {
            "filters": [_door("api", or_none=True), _header("content-type", "application/grpc", invert_match=True)]
        }
    }


def _header(name: str, prefix: str, **options: bool) -> dict[str, Any]:
    matcher = {"name": name, "string_match": {"prefix": prefix}, "treat_missing_header_as_empty": True, **options}
    return {"header_filter": {"header": matcher}}
