"""What Prometheus is told about the passage indexes."""

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from services.graph.indexes.keeper import Indexes

_LABELS: Final = ("tenant", "model")


class IndexMeters(Collector):
    """Of each index of this process. Sizes are those of the last look for collections, some seconds ago."""

    def __init__(self, indexes: Indexes) -> None:
        self._indexes = indexes

    def collect(self) -> Iterator[Metric]:
        passages = GaugeMetricFamily("pergola_graph_index_passages", "Passages in the index.", labels=_LABELS)
        size = GaugeMetricFamily("pergola_graph_index_bytes", "Memory of the index.", labels=_LABELS)
        seconds = GaugeMetricFamily(
            "pergola_graph_index_read_seconds",
            "What the last reading of a whole collection into the index took; 0: none is done.",
            labels=_LABELS,
        )
        # A scrape runs in a thread of its own: indexes may come and go meanwhile.
        for (tenant, model, _), held in list(self._indexes.sizes().items()):
            passages.add_metric((tenant, model), held.size.passages)
            size.add_metric((tenant, model), held.size.bytes)
            seconds.add_metric((tenant, model), held.read_seconds)
        yield from (passages, size, seconds)
