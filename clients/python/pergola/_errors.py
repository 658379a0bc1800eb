"""What goes wrong, as exceptions.

    PergolaError
    ├── InvalidArgument       the request breaks a rule; `violations` names each field
    ├── Unauthenticated       no key, or one that nobody has
    ├── PermissionDenied      the key may not do this
    ├── NotFound              no such collection, document, job, model …
    ├── AlreadyExists         it is there already
    ├── FailedPrecondition    something else has to be done first
    ├── ResourceExhausted     a limit; `retry_after` says when to come back, if waiting helps
    ├── DeadlineExceeded      the time given was too short
    └── Unavailable           something Pergola needs does not answer now, for example a model's provider
        └── NotReachable      nothing answers at the address at all

`reason` tells errors of one class apart; docs/runtime.md lists them.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

_DETAILS = "grpc-status-details-bin"
_DOMAIN = "pergola"


@dataclass(frozen=True, slots=True)
class Violation:
    """A field that breaks a rule."""

    field: str
    """Its path, such as `messages[2].role`."""
    description: str


class PergolaError(Exception):
    """A call failed. `str()` of it is a sentence for people."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "UNKNOWN",
        reason: str = "",
        request_id: str = "",
        retry_after: float | None = None,
        violations: Sequence[Violation] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        """Name of the gRPC status, such as `NOT_FOUND`."""
        self.reason = reason or code
        """Machine-readable, such as `COLLECTION_NOT_FOUND`."""
        self.request_id = request_id
        """To look the call up in the logs; empty when nothing answered."""
        self.retry_after = retry_after
        """Seconds after which another try makes sense; None: unknown."""
        self.violations = tuple(violations)


class InvalidArgument(PergolaError):
    """The request breaks a rule; `violations` names each field."""


class Unauthenticated(PergolaError):
    """No key was sent, or one that nobody has. Set PERGOLA_API_KEY."""


class PermissionDenied(PergolaError):
    """The key may not do this."""


class NotFound(PergolaError):
    """The thing named does not exist."""


class AlreadyExists(PergolaError):
    """It is there already."""


class FailedPrecondition(PergolaError):
    """Something else has to be done first."""


class ResourceExhausted(PergolaError):
    """A limit is reached."""


class DeadlineExceeded(PergolaError):
    """The time given was too short."""


class Unavailable(PergolaError):
    """Something Pergola needs does not answer now; trying again later may help."""


class NotReachable(Unavailable):
    """Nothing answers at the address."""


_CLASSES: dict[str, type[PergolaError]] = {
    "INVALID_ARGUMENT": InvalidArgument,
    "UNAUTHENTICATED": Unauthenticated,
    "PERMISSION_DENIED": PermissionDenied,
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": AlreadyExists,
    "FAILED_PRECONDITION": FailedPrecondition,
    "RESOURCE_EXHAUSTED": ResourceExhausted,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "UNAVAILABLE": Unavailable,
}


def make(message: str, *, code: str, **fields: Any) -> PergolaError:
    """The error of the class that `code`, the name of a gRPC status, belongs to."""
    return _CLASSES.get(code, PergolaError)(message, code=code, **fields)


def from_rpc(error: grpc.RpcError) -> PergolaError:
    """The error of a failed call, of a sync or an async channel."""
    call: Any = error
    if not hasattr(call, "code"):
        return PergolaError("the call failed before it was sent")
    code = call.code()
    name = code.name if code is not None else "UNKNOWN"
    message = call.details() or f"the call failed with {name}"
    trailing = dict(call.trailing_metadata() or ())
    if name == "UNAVAILABLE" and not trailing and not _initial(call):
        return NotReachable("nothing answers at the address of this channel", code=name)
    request_id = str(trailing.get("x-request-id", ""))
    packed = trailing.get(_DETAILS)
    if not isinstance(packed, bytes):
        return make(message, code=name, request_id=request_id)
    status = status_pb2.Status.FromString(packed)
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status.details:
        for known in (info, bad, retry):
            detail.Unpack(known)
    return make(
        status.message or message,
        code=name,
        reason=info.reason if info.domain == _DOMAIN else "",
        request_id=request_id or info.metadata.get("request_id", ""),
        retry_after=retry.retry_delay.ToTimedelta().total_seconds() if retry.HasField("retry_delay") else None,
        violations=[Violation(one.field, one.description) for one in bad.field_violations],
    )


def _initial(call: Any) -> Any:
    """Headers of the answer: absent when there was none. An async call's error has them too."""
    return call.initial_metadata() if hasattr(call, "initial_metadata") else None


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Around calls of the generated stubs: what they raise becomes a PergolaError."""
    try:
        yield
    except grpc.RpcError as error:
        raise from_rpc(error) from None
