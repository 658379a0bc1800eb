"""Errors that came from somewhere else: another service, or code that raised what nobody expected."""

import asyncio
import logging
import secrets
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from services.runtime import call
from services.runtime.errors import tree

log = logging.getLogger(__name__)

DETAILS_KEY: Final = "grpc-status-details-bin"


def from_rpc(error: grpc.RpcError, peer: str) -> tree.PergolaError:
    """What a failed call to `peer` means to our own caller.

    An error of Pergola's tree keeps its class, reason, message, violations and retry delay. That our own credentials
    were refused is our fault, not the caller's: it becomes `Internal`, and the log says so.
    """
    code = _code(error)
    found = _pergola_error(error)
    if code is grpc.StatusCode.UNAUTHENTICATED or isinstance(found, tree.RoleRequired):
        return _internal(
            error, f"{peer} refused this service's own credentials; check service_key and the callers file"
        )
    if found is not None:
        return found
    if code is grpc.StatusCode.UNAVAILABLE:
        return tree.PeerUnavailable(f"the {peer} service does not answer now; try again", metadata={"peer": peer})
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return tree.DeadlineExceeded(
            f"the deadline passed while the {peer} service was working", metadata={"peer": peer}
        )
    if code is grpc.StatusCode.CANCELLED:
        return tree.Cancelled(f"the call to the {peer} service was cancelled", metadata={"peer": peer})
    return _internal(error, f"the call to {peer} failed with {code.name}")


def translate(error: BaseException) -> tree.PergolaError:
    """Any exception as one of the tree. What nobody expected is logged under a new id, and only the id is told."""
    if isinstance(error, tree.PergolaError):
        return error
    if isinstance(error, grpc.RpcError):
        return from_rpc(error, "called")
    if isinstance(error, asyncio.CancelledError):
        return tree.Cancelled("the call was cancelled")
    if isinstance(error, TimeoutError):
        left = call.remaining()
        if left is not None and left < 0.05:
            return tree.DeadlineExceeded("the deadline passed before the answer was ready")
    return _internal(error, "unexpected exception")


def _internal(error: BaseException, what: str) -> tree.Internal:
    error_id = secrets.token_hex(8)
    current = call.find()
    extra = {
        "error_id": error_id,
        "request_id": current.request_id if current else "",
        "method": current.method if current else "",
        "tenant": current.tenant if current else "",
    }
    log.error(what, exc_info=error, extra=extra)
    message = f"something went wrong inside Pergola; its log has the details under the id {error_id}"
    return tree.Internal(message, metadata={"error_id": error_id})


def _code(error: grpc.RpcError) -> grpc.StatusCode:
    code = error.code() if hasattr(error, "code") else None
    return code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN


def _pergola_error(error: grpc.RpcError) -> tree.PergolaError | None:
    """Rebuild the error from `grpc-status-details-bin`; None when the peer's status has no ErrorInfo of ours."""
    trailing: Any = error.trailing_metadata() if hasattr(error, "trailing_metadata") else None
    packed = next((value for key, value in trailing or () if key == DETAILS_KEY), None)
    if packed is None:
        return None
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    try:
        status = status_pb2.Status.FromString(packed)
        for detail in status.details:
            for message in (info, bad, retry):
                if detail.Is(message.DESCRIPTOR):
                    detail.Unpack(message)
    except DecodeError:
        return None
    if info.domain != tree.DOMAIN:
        return None
    rebuilt = _class_of(info.reason, _code(error))(
        status.message,
        violations=[tree.Violation(v.field, v.description) for v in bad.field_violations],
        retry_after=retry.retry_delay.ToTimedelta().total_seconds() if retry.HasField("retry_delay") else None,
        metadata=dict(info.metadata),
    )
    rebuilt.reason = info.reason
    return rebuilt


def _class_of(reason: str, code: grpc.StatusCode) -> type[tree.PergolaError]:
    """The leaf of this reason; a peer of a later version may know one that we do not: then the class of its code."""
    same_code = [leaf for leaf in tree.leaves() if leaf.code is code]
    exact = [leaf for leaf in same_code if leaf.reason == reason]
    return (exact or same_code or [tree.Internal])[0]
