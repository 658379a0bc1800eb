"""What the vector service tells Prometheus about itself, beside what the runtime tells of every call."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector


class Meters(Collector):
    """Counts as plain numbers that only the event loop touches; they become metrics when somebody reads them."""

    def __init__(self) -> None:
        self.texts_made: Counter[str] = Counter()
        """By model."""
        self.texts_cached: Counter[str] = Counter()
        self.texts_kept: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        """Of jobs, by how they ended."""
        self.chunks = 0

    def collect(self) -> Iterable[Metric]:
        texts = CounterMetricFamily(
            "pergola_vector_texts_embedded", "Texts embedded, by model and source.", labels=["model", "source"]
        )
        for source, counts in (("model", self.texts_made), ("cache", self.texts_cached), ("kept", self.texts_kept)):
            for model, count in counts.items():
                texts.add_metric([model, source], count)
        yield texts
        attempts = CounterMetricFamily(
            "pergola_vector_job_attempts", "Attempts at jobs by this process, by how they ended.", labels=["end"]
        )
        for end, count in self.attempts.items():
            attempts.add_metric([end], count)
        yield attempts
        yield CounterMetricFamily("pergola_vector_chunks_stored", "Chunks stored by this process.", self.chunks)
