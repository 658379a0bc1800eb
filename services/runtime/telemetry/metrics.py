"""Prometheus metrics of calls, and the listener where they are read.

The counts are plain numbers that only the event loop touches: about 0.3 µs a call, a tenth of what locked
prometheus_client children cost. They become Prometheus families when somebody reads them.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import web
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the latency histogram, in seconds."""


class Outcome:
    """The finished calls of one method with one code."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0


class MethodStats:
    """What is counted for one method."""

    __slots__ = ("in_flight", "method", "outcomes", "received", "sent", "service")

    def __init__(self, service: str, method: str) -> None:
        self.service = service
        self.method = method
        self.in_flight = 0
        self.received = 0
        self.sent = 0
        self.outcomes: dict[str, Outcome] = {}

    def finished(self, code: str, seconds: float) -> None:
        outcome = self.outcomes.get(code)
        if outcome is None:
            outcome = self.outcomes[code] = Outcome()
        outcome.buckets[bisect_left(BUCKETS, seconds)] += 1
        outcome.seconds += seconds


class CallMetrics(Collector):
    """All methods of a process, as Prometheus families."""

    def __init__(self) -> None:
        self._methods: list[MethodStats] = []

    def method(self, service: str, method: str) -> MethodStats:
        stats = MethodStats(service, method)
        self._methods.append(stats)
        return stats

    def collect(self) -> Iterable[Metric]:
        labels = ["grpc_service", "grpc_method"]
        latency = HistogramMetricFamily(
            "pergola_rpc_seconds", "Time from a call's arrival to its status.", labels=[*labels, "grpc_code"]
        )
        running = GaugeMetricFamily("pergola_rpc_in_flight", "Calls being served now.", labels=labels)
        received = CounterMetricFamily("pergola_rpc_messages_received", "Messages that came in.", labels=labels)
        sent = CounterMetricFamily("pergola_rpc_messages_sent", "Messages that went out.", labels=labels)
        for stats in self._methods:
            names = [stats.service, stats.method]
            running.add_metric(names, stats.in_flight)
            received.add_metric(names, stats.received)
            sent.add_metric(names, stats.sent)
            for code, outcome in stats.outcomes.items():
                latency.add_metric([*names, code], _cumulative(outcome), outcome.seconds)
        return [latency, running, received, sent]


def _cumulative(outcome: Outcome) -> list[tuple[str, float]]:
    total, rows = 0, []
    for bound, count in zip([*(str(bound) for bound in BUCKETS), "+Inf"], outcome.buckets, strict=True):
        total += count
        rows.append((bound, float(total)))
    return rows


class MetricsListener:
    """`GET /metrics` on its own port: the process's registry, then this runtime's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Raises OSError when the address is taken."""
        app = web.Application()
        app.router.add_get("/metrics", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        address: Any = self._runner.addresses[0]
        self.port = address[1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, _request: web.Request) -> web.Response:
        content = generate_latest(REGISTRY) + generate_latest(self._registry)
        return web.Response(body=content, headers={"content-type": CONTENT_TYPE_LATEST})
