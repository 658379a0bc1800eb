"""What must hold before a handler runs: who calls, for which tenant, with which right, and until when."""

import asyncio
import re
from time import monotonic
from typing import Any, Final

from services.runtime import call
from services.runtime.call import Call
from services.runtime.errors import DeadlineExceeded, InvalidArgument, RoleRequired, Violation
from services.runtime.identity import LOCAL, Caller, CallersWatch
from services.runtime.server.active import Active
from services.runtime.telemetry.tracing import Tracer

_IDEMPOTENCY_KEY: Final = re.compile(r"^[\x21-\x7e]{1,128}$")
_HANDOVER_SECONDS: Final = 0.025
"""The handler's time ends this much (at most a tenth of it) before the caller's, so that our answer still arrives."""


class Admission:
    """Turns the metadata of an arriving call into the `Call` its handler sees."""

    def __init__(self, callers: CallersWatch | None, tracer: Tracer | None, *, certificates: bool) -> None:
        self._callers = callers
        self._tracer = tracer
        self._certificates = certificates

    def admit(self, active: Active, context: Any) -> None:
        """Fill in `active` and make it the current call.

        Raises:
            Unauthenticated, TenantForbidden, RoleRequired, InvalidArgument: as their names say.
            DeadlineExceeded: the caller's time was over on arrival.
        """
        method, headers = active.method, active.headers
        caller = LOCAL if method.policy.open else self._caller(headers, context)
        active.caller = caller
        if method.role not in caller.granted:
            raise RoleRequired(f"{method.name} needs the role {method.role}", metadata={"role": str(method.role)})
        tenant = active.tenant = caller.tenant(None if method.policy.open else headers.get("x-pergola-tenant"))
        key = headers.get("idempotency-key", "")
        if key and not _IDEMPOTENCY_KEY.match(key):
            text = "1 to 128 visible ASCII characters"
            raise InvalidArgument(f"idempotency-key: {text}", violations=[Violation("idempotency-key", text)])
        deadline = self._deadline(active, context)
        traceparent, tracestate = headers.get("traceparent", ""), headers.get("tracestate", "")
        if self._tracer is not None and not method.policy.open:
            span = active.span = self._tracer.start(method.service, method.name, traceparent, tracestate)
            traceparent, tracestate = span.traceparent, span.tracestate
        active.call = Call(
            tenant=tenant,
            caller=caller.name,
            roles=caller.roles,
            request_id=active.request_id,
            idempotency_key=key,
            method=method.path,
            deadline=deadline,
            face=active.face,
            traceparent=traceparent,
            tracestate=tracestate,
        )
        # Never reset: the task, and its context with it, serves this one call.
        call.scope.set(active)

    def _caller(self, headers: dict[str, Any], context: Any) -> Caller:
        if self._callers is None:
            return LOCAL
        authorization = headers.get("authorization")
        if authorization is not None:
            return self._callers.now.by_bearer(authorization)
        return self._callers.now.by_certificate(context.auth_context() if self._certificates else {})

    def _deadline(self, active: Active, context: Any) -> float | None:
        left: float | None = context.time_remaining()
        if left is None:
            left = active.method.deadline
            if left is None:
                return None
        else:
            left -= min(_HANDOVER_SECONDS, left / 10)
            if left <= 0:
                raise _too_late()
        loop = asyncio.get_running_loop()
        active.timer = loop.call_later(left, _expire, active)
        return monotonic() + left


def _expire(active: Active) -> None:
    active.end(_too_late())


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("the deadline passed before the answer was ready")
