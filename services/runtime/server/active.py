"""One call under way, and what is known about its method beforehand."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from services.runtime.call import Call, Scope, new_request_id
from services.runtime.errors import PergolaError
from services.runtime.identity import Caller
from services.runtime.policy import Policy
from services.runtime.roles import Role
from services.runtime.telemetry.metrics import MethodStats
from services.runtime.telemetry.tracing import SpanHandle

FACES: Final = frozenset({"api", "openai"})
_REQUEST_ID: Final = re.compile(r"^[A-Za-z0-9._:-]{1,128}$")


@dataclass(frozen=True, slots=True)
class Method:
    """Everything about a method that does not change from call to call."""

    service: str
    name: str
    path: str
    role: Role
    deadline: float | None
    """Seconds for a call that brings none; None = no deadline."""
    policy: Policy
    parse: Callable[[bytes], Any]
    serialize: Callable[[Any], bytes]
    stats: MethodStats


class Active(Scope):
    """A call from its arrival to its status. Only the event loop touches it."""

    __slots__ = (
        "caller",
        "face",
        "headers",
        "method",
        "request_id",
        "span",
        "started",
        "task",
        "tenant",
        "timer",
        "verdict",
    )

    call: Call

    def __init__(self, method: Method, headers: dict[str, Any]) -> None:
        # `call` is set by the admission; a call that is refused there never runs a handler.
        self.opened = None
        self.closed = False
        self.started = monotonic()
        self.method = method
        self.headers = headers
        asked = headers.get("x-request-id")
        self.request_id: str = asked if asked and _REQUEST_ID.match(asked) else new_request_id()
        face = headers.get("x-pergola-face")
        self.face: str = face if face in FACES else "grpc"
        self.caller: Caller | None = None
        self.tenant = ""
        self.span: SpanHandle | None = None
        self.task: asyncio.Task[Any] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.verdict: PergolaError | None = None

    def end(self, why: PergolaError) -> None:
        """Stop the handler now; the caller gets `why`. The first reason counts."""
        if self.verdict is None and not self.closed and self.task is not None:
            self.verdict = why
            self.task.cancel()

    def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        super().close()
