"""What Prometheus is told about following."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class FollowerMeters(Collector):
    """Counted since the start of the process; not by collection, of which there may be any number."""

    def __init__(self) -> None:
        self._changes = 0
        self._failures = 0
        self._behind: dict[tuple[str, str], int] = {}

    def caught(self, changes: int, left: int, tenant: str, collection: str) -> None:
        """`changes` were committed and acknowledged, `left` are to come."""
        self._changes += changes
        self._behind[tenant, collection] = left

    def failed(self) -> None:
        """A run ended by an error and will be repeated."""
        self._failures += 1

    def ended(self, tenant: str, collection: str) -> None:
        """This process does not follow the collection any more."""
        self._behind.pop((tenant, collection), None)

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "pergola_graph_changes", "Changes of points committed to the graph.", value=self._changes
        )
        yield CounterMetricFamily(
            "pergola_graph_follow_failures", "Runs of a follower that ended by an error.", value=self._failures
        )
        yield GaugeMetricFamily(
            "pergola_graph_followed_collections", "Collections this process follows.", value=len(self._behind)
        )
        yield GaugeMetricFamily(
            "pergola_graph_changes_behind",
            "Changes that the collections followed here have and the graph has not.",
            value=sum(self._behind.values()),
        )
