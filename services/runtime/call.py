"""The call that is being served: who asked, for which tenant, and how much time is left."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

import msgspec

from services.runtime.roles import Role


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What the interceptor found out about the current call. The same for all four kinds of RPC."""

    tenant: str
    caller: str
    """Name of the caller in the callers file; `local` without one; `background` for a worker."""
    roles: frozenset[Role]
    request_id: str
    """The id the caller sent in `x-request-id`, or a new one. It goes on to every service called from here."""
    idempotency_key: str = ""
    """The `idempotency-key` header; empty when absent."""
    method: str = ""
    """`/package.Service/Method`, or a worker's own name."""
    deadline: float | None = None
    """On the clock of `time.monotonic()`, in seconds; None = no deadline."""
    face: str = "grpc"
    """Who reads the errors: `grpc`, `api` (REST/JSON) or `openai` (`/v1`)."""
    traceparent: str = ""
    tracestate: str = ""


class Cancellable(Protocol):
    def done(self) -> bool: ...
    def cancel(self) -> bool: ...


class Scope:
    """A call and the streams opened on its behalf: they end with it, whoever forgot to close them.

    A grpc.aio call that is dropped without `cancel()` keeps its connection's resources, so the end of the call that
    opened it is the last chance.
    """

    __slots__ = ("call", "closed", "opened")

    def __init__(self, current: Call) -> None:
        self.call = current
        self.opened: list[Cancellable] | None = None
        self.closed = False

    def adopt(self, opened: Cancellable) -> None:
        """Cancel `opened` when this scope ends, unless it is done by then."""
        if self.closed:
            return
        if self.opened is None:
            self.opened = []
        elif len(self.opened) >= 64:
            # A long call that opens stream after stream must not keep the finished ones.
            self.opened = [one for one in self.opened if not one.done()]
        self.opened.append(opened)

    def close(self) -> None:
        self.closed = True
        if self.opened is not None:
            for one in self.opened:
                if not one.done():
                    one.cancel()
            self.opened = None


scope: ContextVar[Scope | None] = ContextVar("pergola_scope", default=None)


def find() -> Call | None:
    """The current call, or None outside of one."""
    found = scope.get()
    return None if found is None else found.call


def current() -> Call:
    """The call being served.

    Raises:
        RuntimeError: outside of a call; a worker enters `acting_as` first.
    """
    found = scope.get()
    if found is None:
        raise RuntimeError("no call is being served here; a worker enters acting_as(tenant) first")
    return found.call


def remaining() -> float | None:
    """Seconds left of the current call, at least 0; None when it has no deadline or there is no call."""
    found = scope.get()
    if found is None or found.call.deadline is None:
        return None
    return max(0.0, found.call.deadline - time.monotonic())


@contextmanager
def acting_as(tenant: str, *, request_id: str = "", deadline: float | None = None) -> Iterator[Call]:
    """Work for `tenant` outside of a served call: workers, followers, generations that outlive their reader.

    `deadline` is on the clock of `time.monotonic()`, in seconds. What is opened inside ends with the block, not with
    the call that started the task.
    """
    outer = find()
    acting = Call(
        tenant=tenant,
        caller="background",
        roles=frozenset(Role),
        request_id=request_id or (outer.request_id if outer else new_request_id()),
        method=outer.method if outer else "",
        deadline=deadline,
        traceparent=outer.traceparent if outer else "",
        tracestate=outer.tracestate if outer else "",
    )
    inner = Scope(acting)
    token = scope.set(inner)
    try:
        yield acting
    finally:
        inner.close()
        scope.reset(token)


def new_request_id() -> str:
    """128 random bits in hexadecimal."""
    return os.urandom(16).hex()
