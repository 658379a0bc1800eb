"""The one layer between gRPC and every handler, for all four kinds of RPC.

It wraps the handlers when they are registered instead of joining grpc.aio's interceptor chain: everything about a
method is computed once, the handler is found by one look-up, and bytes are parsed only after the caller is known.
"""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from time import monotonic
from typing import Any, Final, Never

import grpc

from services.runtime.errors import Draining, Unauthenticated, wire
from services.runtime.errors.remote import translate
from services.runtime.identity import Callers
from services.runtime.policy import Policy
from services.runtime.server.active import Active, Method
from services.runtime.server.admission import Admission
from services.runtime.server.methods import Registrar, Requests, describe, implemented, no_such_method, read
from services.runtime.settings import ServiceSettings
from services.runtime.telemetry.logs import AccessLog
from services.runtime.telemetry.metrics import CallMetrics

log = logging.getLogger(__name__)

Behaviour = Callable[[Any, Any], Awaitable[Any]]

_FAULTS: Final = frozenset({"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED", "DATA_LOSS"})
"""Codes that are logged as warnings: something is wrong on our side of the line."""


class Interceptor(grpc.GenericRpcHandler):
    """All methods of a server, each behind the same gate: `register` every servicer, then add this to a server."""

    def __init__(
        self, settings: ServiceSettings, admission: Admission, metrics: CallMetrics, access_log: AccessLog
    ) -> None:
        self._settings = settings
        self._admission = admission
        self._metrics = metrics
        self._access_log = access_log
        self._handlers: dict[str, Any] = {}
        self._running: set[Active] = set()
        self._unknown: Any = grpc.stream_stream_rpc_method_handler(no_such_method)

    # Registration

    def register(
        self,
        service: str,
        servicer: object,
        add: Callable[[Any, Any], None],
        policies: Mapping[str, Policy],
    ) -> None:
        """Take over the methods of `servicer`.

        Raises:
            ValueError: the servicer is of another service, or a policy names a method it does not have.
        """
        registrar = Registrar()
        add(servicer, registrar)
        if set(registrar.services) != {service}:
            raise ValueError(f"a servicer of {service} was expected, and {sorted(registrar.services)} came")
        handlers = registrar.services[service]
        unknown = set(policies) - set(handlers)
        if unknown:
            raise ValueError(f"{service} has no method {', '.join(sorted(unknown))}")
        for name, handler in handlers.items():
            if not implemented(handler):
                log.warning("%s/%s is not implemented and answers so", service, name)
                continue
            method = describe(
                service,
                name,
                handler,
                policies.get(name, Policy()),
                self._settings,
                self._metrics.method(service, name),
            )
            self._handlers[method.path] = self._wrap(method, handler)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._handlers.get(handler_call_details.method, self._unknown)

    def _wrap(self, method: Method, handler: Any) -> Any:
        if handler.response_streaming:
            inner = handler.stream_stream if handler.request_streaming else handler.unary_stream
            if not inspect.isasyncgenfunction(inner):
                raise ValueError(f"{method.path} must be an async generator")
            if handler.request_streaming:
                return grpc.stream_stream_rpc_method_handler(self._stream_stream(method, inner))
            return grpc.unary_stream_rpc_method_handler(self._unary_stream(method, inner))
        inner = handler.stream_unary if handler.request_streaming else handler.unary_unary
        if not inspect.iscoroutinefunction(inner):
            raise ValueError(f"{method.path} must be a coroutine function")
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(self._stream_unary(method, inner))
        return grpc.unary_unary_rpc_method_handler(self._unary_unary(method, inner))

    # The four kinds

    def _unary_unary(self, method: Method, handler: Behaviour) -> Any:
        async def serve(raw: bytes, context: Any) -> bytes:
            active = self._begin(method, context)
            try:
                self._admission.admit(active, context)
                reply = method.serialize(await handler(read(method, raw), context))
            except BaseException as error:
                await self._fail(active, context, error)
            return await self._reply(active, context, reply)

        return serve

    def _stream_unary(self, method: Method, handler: Behaviour) -> Any:
        async def serve(_requests: Any, context: Any) -> bytes:
            active = self._begin(method, context)
            try:
                self._admission.admit(active, context)
                reply = method.serialize(await handler(Requests(method, context), context))
            except BaseException as error:
                await self._fail(active, context, error)
            return await self._reply(active, context, reply)

        return serve

    def _unary_stream(self, method: Method, handler: Callable[[Any, Any], AsyncIterator[Any]]) -> Any:
        async def serve(raw: bytes, context: Any) -> None:
            active = self._begin(method, context)
            try:
                self._admission.admit(active, context)
                request = read(method, raw)
            except BaseException as error:
                await self._fail(active, context, error)
            await self._send(active, context, handler(request, context))

        return serve

    def _stream_stream(self, method: Method, handler: Callable[[Any, Any], AsyncIterator[Any]]) -> Any:
        async def serve(_requests: Any, context: Any) -> None:
            active = self._begin(method, context)
            try:
                self._admission.admit(active, context)
            except BaseException as error:
                await self._fail(active, context, error)
            await self._send(active, context, handler(Requests(method, context), context))

        return serve

    # The life of a call

    def _begin(self, method: Method, context: Any) -> Active:
        active = Active(method, dict(context.invocation_metadata() or ()))
        active.task = asyncio.current_task()
        method.stats.in_flight += 1
        self._running.add(active)
        return active

    async def _reply(self, active: Active, context: Any, reply: bytes) -> bytes:
        if active.verdict is not None:
            # The handler swallowed its cancellation. Its answer is too late all the same.
            await self._fail(active, context, active.verdict)
        active.method.stats.sent += 1
        context.set_trailing_metadata((("x-request-id", active.request_id),))
        self._finish(active, "OK")
        return reply

    async def _send(self, active: Active, context: Any, replies: Any) -> None:
        """Write every message of the handler's generator; whatever ends the stream, the generator is closed."""
        stats, serialize, write = active.method.stats, active.method.serialize, context.write
        sent = 0
        try:
            async for reply in replies:
                await write(serialize(reply))
                stats.sent += 1
                sent += 1
        except BaseException as error:
            await _close(replies)
            await self._fail(active, context, error, sent=sent)
        if active.verdict is not None:
            # The handler took its cancellation for the end; the caller must not.
            await self._fail(active, context, active.verdict, sent=sent)
        context.set_trailing_metadata((("x-request-id", active.request_id),))
        self._finish(active, "OK")

    async def _fail(self, active: Active, context: Any, error: BaseException, *, sent: int = 0) -> Never:
        """End the call with the status that `error` stands for. Always raises."""
        if active.verdict is not None:
            if active.task is not None:
                active.task.uncancel()
            failure = active.verdict
        elif isinstance(error, asyncio.CancelledError):
            # The caller went away, or the server stops for good: nobody is left to be told.
            self._finish(active, "CANCELLED")
            raise error
        elif isinstance(error, Exception) and not isinstance(error, grpc.aio.AbortError):
            failure = translate(error)
        else:
            self._finish(active, "UNKNOWN")
            raise error
        if sent and active.face != "grpc" and active.method.policy.in_band is not None:
            await context.write(active.method.serialize(active.method.policy.in_band(wire.fields(failure))))
        self._finish(active, failure.code.name, failure.reason, peer=context.peer)
        await context.abort(
            failure.code, wire.grpc_message(failure), wire.trailing(failure, active.request_id, active.face)
        )
        raise AssertionError("abort always raises")

    def _finish(self, active: Active, code: str, reason: str = "", peer: Callable[[], str] | None = None) -> None:
        active.close()
        self._running.discard(active)
        method, seconds = active.method, monotonic() - active.started
        method.stats.in_flight -= 1
        method.stats.finished(code, seconds)
        if active.span is not None:
            active.span.end(code, {"pergola.tenant": active.tenant, "pergola.request_id": active.request_id})
        level = logging.WARNING if code in _FAULTS else logging.INFO
        if (method.policy.routine and code in ("OK", "CANCELLED")) or not self._access_log.wants(level):
            return
        entry = {
            "method": method.path,
            "code": code,
            "ms": round(seconds * 1000, 2),
            "tenant": active.tenant,
            "caller": active.caller.name if active.caller else "",
            "request_id": active.request_id,
            "face": active.face,
        }
        if reason:
            entry["reason"] = reason
        if active.caller is None and peer is not None:
            entry["peer"] = peer()
        self._access_log.write(level, entry)

    # All calls at once

    def end_feeds(self) -> None:
        """At a drain: calls without a deadline would hold the server until its grace is over."""
        for active in list(self._running):
            if active.timer is None and active.caller is not None:
                active.end(Draining("this process is shutting down; connect again and continue from your cursor"))

    def end_all(self) -> None:
        """At the end of a drain's grace: who is still waiting is told why, before the connection goes."""
        for active in list(self._running):
            active.end(Draining("this process is shutting down and could not wait any longer; try again"))

    def recheck(self, callers: Callers) -> None:
        """After a change of the callers file: end the calls of those who lost their rights."""
        for active in list(self._running):
            caller = active.caller
            if caller is not None and not active.method.policy.open and not callers.has(caller):
                active.end(Unauthenticated("the caller's rights were changed while the call was running"))

    @property
    def running(self) -> int:
        """Calls being served now."""
        return len(self._running)


async def _close(replies: Any) -> None:
    try:
        await replies.aclose()
    except Exception:
        log.exception("a stream's handler failed while it was being closed")
