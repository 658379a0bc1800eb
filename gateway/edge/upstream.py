"""The Converse call behind a connection: its channel, what it carries along, and what its failure means."""

import logging
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import grpc
import msgspec
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from gateway.edge.settings import EdgeSettings
from pergola.chat.v1 import chat_pb2, chat_pb2_grpc
from services.runtime.channels import PeerChannel, service_config, targets

log = logging.getLogger(__name__)

Conversation: TypeAlias = "grpc.aio.StreamStreamCall[chat_pb2.ConverseRequest, chat_pb2.ConverseResponse]"

# Identity is chat's business: the credentials go on as they came.
_PASSED_ON: Final = ("authorization", "x-request-id", "traceparent", "tracestate")


def connect(settings: EdgeSettings) -> PeerChannel:
    """The channel to chat, all its replicas behind it. Needs a running event loop."""
    options: list[tuple[str, Any]] = [
        ("grpc.service_config", service_config("chat")),
        # With http_proxy in the environment calls to a neighbour would go to the proxy, and fail.
        ("grpc.enable_http_proxy", 0),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.max_send_message_length", 2 * settings.max_frame_bytes),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 5_000),
    ]
    if settings.tls_peer_name is not None:
        options.append(("grpc.ssl_target_name_override", settings.tls_peer_name))
    credentials = _credentials(settings)
    channels = [
        grpc.aio.insecure_channel(target, options=options)
        if credentials is None
        else grpc.aio.secure_channel(target, credentials, options=options)
        for target in targets(settings.chat_address)
    ]
    return PeerChannel(channels, None)


def _credentials(settings: EdgeSettings) -> grpc.ChannelCredentials | None:
    if settings.tls_peer_ca_file is None:
        return None
    return grpc.ssl_channel_credentials(
        root_certificates=settings.tls_peer_ca_file.read_bytes(),
        private_key=settings.tls_key_file.read_bytes() if settings.tls_key_file else None,
        certificate_chain=settings.tls_certificate_file.read_bytes() if settings.tls_certificate_file else None,
    )


def metadata(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """What the call takes along from the upgrade request.

    Raises ValueError when a header holds what gRPC metadata cannot.
    """
    carried = [(name, headers[name]) for name in _PASSED_ON if name in headers]
    for name, value in carried:
        if not value.isascii() or not value.isprintable():
            raise ValueError(f"the header {name} may hold printable ASCII only")
    # Chat then prepares its errors in the JSON shape, which becomes the error frame.
    return [*carried, ("x-pergola-face", "api")]


def converse(channel: PeerChannel, seconds: float, carried: list[tuple[str, str]]) -> Conversation:
    """Opens the call; chat gets `seconds` for the whole conversation."""
    call: Conversation = chat_pb2_grpc.ChatServiceStub(channel).Converse(timeout=seconds, metadata=carried)
    return call


async def write(call: Conversation, request: chat_pb2.ConverseRequest) -> bool:
    """Sends one message; False when the call is over, by a status that reading tells.

    Not by the call's own `write`: when a message and the end of the call cross on their way, that puts INTERNAL in the
    place of the status with which chat ended it, and its error, say PERMISSION_DENIED, is lost (grpcio 1.82).
    """
    try:
        await call.wait_for_connection()
        if call.done():
            return False
        await call._cython_call.send_serialized_message(request.SerializeToString())  # type: ignore[attr-defined]
    except (grpc.RpcError, cygrpc.InternalError):
        return False
    return True


def failure(error: grpc.RpcError, request_id: str) -> dict[str, Any]:
    """The fields of the error frame for a call that failed: chat's own, or what its silence means."""
    code = error.code() if isinstance(error, grpc.aio.AioRpcError) else grpc.StatusCode.UNKNOWN
    trailing = error.trailing_metadata() if isinstance(error, grpc.aio.AioRpcError) else ()
    for key, value in trailing or ():
        if key == "x-pergola-error":
            prepared: dict[str, Any] = msgspec.json.decode(value)["error"]
            return prepared
    if code not in _SILENCE:
        log.error("the call to chat failed", extra={"request_id": request_id, "code": code.name}, exc_info=error)
    status, http, message = _SILENCE.get(code, _FAULT)
    reason = "PEER_UNAVAILABLE" if code is grpc.StatusCode.UNAVAILABLE else status
    return {"code": http, "status": status, "reason": reason, "message": message, "request_id": request_id}


_SILENCE: Final = {
    grpc.StatusCode.UNAVAILABLE: ("UNAVAILABLE", 503, "the chat service does not answer now; connect again"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        "DEADLINE_EXCEEDED", 504, "the conversation has lasted as long as one may; connect again"
    ),
    grpc.StatusCode.CANCELLED: ("CANCELLED", 499, "the conversation was cancelled; connect again"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: ("RESOURCE_EXHAUSTED", 413, "the frame is larger than chat accepts"),
}  # fmt: skip
_FAULT: Final = ("INTERNAL", 500, "the conversation failed; the log has more under the request id")
