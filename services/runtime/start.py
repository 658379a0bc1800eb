"""The start, the life and the end of a service's process."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import uvloop
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer
from prometheus_client import CollectorRegistry

from services.runtime import contracts
from services.runtime.background import Runtime
from services.runtime.errors import PergolaError
from services.runtime.identity import CallersWatch
from services.runtime.policy import Policy
from services.runtime.roles import Role
from services.runtime.server import health
from services.runtime.server.admission import Admission
from services.runtime.server.interceptor import Interceptor
from services.runtime.server.listener import open_listener
from services.runtime.settings import ServiceSettings, SettingsError, load
from services.runtime.telemetry import logs
from services.runtime.telemetry.metrics import CallMetrics, MetricsListener
from services.runtime.telemetry.tracing import tracer

__all__ = ["Assemble", "Running", "Runtime", "Servicer", "main", "serving"]

log = logging.getLogger(__name__)

_LAST_WORDS: Final = 0.5
"""Seconds before the end of the grace in which the calls that are left are told so."""

_YOUNG: Final = 5_000
"""New objects after which the youngest are searched for cycles."""

S = TypeVar("S", bound=ServiceSettings)


@dataclass(frozen=True)
class Servicer:
    """One gRPC service of a process."""

    service: str
    """Full name, such as `pergola.vector.v1.PointService`."""
    servicer: object
    """The handlers: coroutine functions, and async generators for streams."""
    add: Callable[[Any, Any], None]
    """The generated `add_PointServiceServicer_to_server`."""
    policies: Mapping[str, Policy] = field(default_factory=dict)
    """By method name, where the default does not fit."""


Assemble = Callable[[S, Runtime[S]], AbstractAsyncContextManager[Sequence[Servicer]]]


class Running:
    """A service that takes calls."""

    def __init__(
        self, address: str, runtime: Runtime[Any], server: Any, state: health.Health, interceptor: Interceptor
    ) -> None:
        self.address = address
        """host:port of the gRPC listener, with the port it really has."""
        self.metrics_address: str | None = None
        self.runtime = runtime
        self._server = server
        self._health = state
        self._interceptor = interceptor
        self._stopped = False

    async def drain(self, notice: float, grace: float) -> None:
        """Stop without losing a request.

        Says NOT_SERVING, serves on for `notice` seconds while balancers notice, ends the feeds that have no end of
        their own, refuses new calls, and gives the running ones `grace` seconds.
        """
        if self._stopped:
            return
        self._stopped = True
        self._health.set(serving=False)
        if notice > 0:
            await asyncio.sleep(notice)
        self._interceptor.end_feeds()
        last_words = asyncio.get_running_loop().call_later(max(0.0, grace - _LAST_WORDS), self._interceptor.end_all)
        await self._server.stop(grace)
        last_words.cancel()

    @property
    def calls(self) -> int:
        """Calls being served now."""
        return self._interceptor.running

    def not_serving(self) -> None:
        """Tell the health check's readers to send no more calls."""
        self._health.set(serving=False)


@asynccontextmanager
async def serving(
    service: str,
    settings: S,
    assemble: Assemble[S],
    *,
    reflect_all: bool = False,
    sink: logs.LogSink | None = None,
) -> AsyncIterator[Running]:
    """Serve in this process until the block ends. `main` and the tests use the same.

    Raises:
        SettingsError: the callers file, a certificate or a listener's address can't be used.
    """
    async with AsyncExitStack() as stack:
        watch = CallersWatch(settings.callers_file) if settings.callers_file is not None else None
        runtime = Runtime(service, settings, watch)
        stack.push_async_callback(runtime.close)
        spans = tracer(service, settings)
        if spans is not None:
            # It waits for the collector; meanwhile the loop serves.
            stack.push_async_callback(asyncio.to_thread, spans.close)
        metrics = CallMetrics()
        runtime.metrics.register(metrics)
        interceptor = Interceptor(
            settings,
            Admission(watch, spans, certificates=settings.tls_client_ca_file is not None),
            metrics,
            logs.AccessLog(sink or logs.LogSink(), service, settings.log_level),
        )
        servicers = await stack.enter_async_context(assemble(settings, runtime))
        names = [servicer.service for servicer in servicers]
        state = health.Health(names)
        own = [Servicer(health.SERVICE, state, health.add, health.POLICIES), _reflection(names, reflect_all)]
        for one in [*servicers, *own]:
            interceptor.register(one.service, one.servicer, one.add, one.policies)
        server, address = open_listener(settings, interceptor)
        running = Running(address, runtime, server, state, interceptor)
        if settings.metrics_listen is not None:
            running.metrics_address = await _open_metrics(settings.metrics_listen, runtime.metrics, stack)
        await server.start()
        if watch is not None:
            runtime.spawn(watch.follow(interceptor.recheck), "callers")
        state.set(serving=True)
        runtime.failed.add_done_callback(lambda _: running.not_serving())
        try:
            yield running
        finally:
            await running.drain(notice=0, grace=settings.drain_seconds)


def _reflection(names: Sequence[str], reflect_all: bool) -> Servicer:
    listed = contracts.all_services() if reflect_all else list(names)
    listed += [health.SERVICE, reflection.SERVICE_NAME]
    return Servicer(
        reflection.SERVICE_NAME,
        ReflectionServicer(listed),
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server,
        {"ServerReflectionInfo": Policy(role=Role.READER)},
    )


async def _open_metrics(address: str, registry: CollectorRegistry, stack: AsyncExitStack) -> str:
    host, _, port = address.rpartition(":")
    listener = MetricsListener(registry)
    stack.push_async_callback(listener.stop)
    try:
        await listener.start(host.strip("[]"), int(port))
    except OSError as error:
        raise SettingsError(f"metrics_listen {address} can't be opened ({error.strerror})") from None
    return f"{host}:{listener.port}"


def main(service: str, settings_class: type[S], assemble: Assemble[S], *, reflect_all: bool = False) -> None:
    """Run a service until SIGTERM or SIGINT; what `__main__` calls. Does not return.

    Exit codes: 0 after a drain, 1 after a failure, 2 when the settings can't be used.
    """
    try:
        settings = load(settings_class, service)
        sink = logs.configure(service, settings.log_level)
        code = uvloop.run(_run(service, settings, assemble, reflect_all, sink))
    except SettingsError as error:
        print(error, file=sys.stderr, flush=True)
        code = 2
    sys.exit(code)


async def _run(service: str, settings: S, assemble: Assemble[S], reflect_all: bool, sink: logs.LogSink) -> int:
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.ensure_future(_serve(service, settings, assemble, reflect_all, sink, stop, ready))

    def asked() -> None:
        # During the start there is nothing to drain, and a second signal means now.
        if stop.is_set() or not ready.is_set():
            task.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked)
    try:
        return await task
    except SettingsError:
        raise
    except asyncio.CancelledError:
        log.warning("stopped before it was drained" if ready.is_set() else "stopped during the start")
        return 1 if ready.is_set() else 0
    except PergolaError as error:
        log.critical("the %s service can't start: %s", service, error.message)
    except Exception:
        log.critical("the %s service failed", service, exc_info=True)
    return 1


def _settle() -> None:
    """What has been made by now lives as long as the process: no collection of garbage looks at it again.

    Collections come less often, too: a call's objects die by their counts when it ends, only cycles need a collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)


async def _serve(
    service: str,
    settings: S,
    assemble: Assemble[S],
    reflect_all: bool,
    sink: logs.LogSink,
    stop: asyncio.Event,
    ready: asyncio.Event,
) -> int:
    async with serving(service, settings, assemble, reflect_all=reflect_all, sink=sink) as running:
        _settle()
        ready.set()
        log.info("serving", extra={"address": running.address, "metrics_address": running.metrics_address})
        stopping: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        failing: asyncio.Future[Any] = running.runtime.failed
        await asyncio.wait({stopping, failing}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        failed = running.runtime.failed.done()
        log.info("draining", extra={"calls": running.calls})
        await running.drain(0 if failed else settings.drain_notice_seconds, settings.drain_seconds)
    log.info("stopped")
    return 1 if failed else 0
