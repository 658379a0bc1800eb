"""What the cache tells Prometheus about itself."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.cache.memory import Memory


class Meters(Collector):
    """Counts as plain numbers that only the event loop touches; they become metrics when somebody reads them."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.from_memory = 0
        self.from_store = 0
        self.missed = 0

    def collect(self) -> Iterable[Metric]:
        reads = CounterMetricFamily("pergola_cache_reads", "Keys read, by where the value was found.", labels=["found"])
        reads.add_metric(["memory"], self.from_memory)
        reads.add_metric(["redis"], self.from_store)
        reads.add_metric(["nowhere"], self.missed)
        yield reads
        yield GaugeMetricFamily("pergola_cache_memory_bytes", "Bytes taken by values in memory.", self._memory.bytes)
        yield GaugeMetricFamily("pergola_cache_memory_entries", "Values in memory.", len(self._memory))
