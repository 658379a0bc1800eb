"""What the graph costs an ingestion: documents a second to followed points, against searchable ones alone.

Each sample has documents of its own, of the corpus that PERGOLA_EVAL_DIR names, so that nothing is in the cache. With a
graph, a document is done when the follower has acknowledged it: its names are in the graph store, its sentences and
phrases are embedded and kept, and Retrieve finds it.
"""

import itertools
import os
import time
from collections.abc import Callable, Mapping
from typing import Final

from bench._harness.cli import BenchmarkError
from bench._harness.result import Bar, Result, Series
from bench._harness.rounds import alternate
from bench.evaluation import corpus
from bench.evaluation.suite import Suite, running
from bench.retrieval.questions import Text

_DOCUMENTS: Final = 120
"""With half as many the medians of five rounds went from 0.28x to 0.33x, without a change."""
_FOLLOWED: Final = "with a graph"
_ALONE: Final = "without"
_NEEDED: Final = 0.3


def measure(rounds: int, seconds: float) -> Result:  # noqa: ARG001 - a sample takes as long as its documents do
    """Raises BenchmarkError when Pergola cannot be started, or PERGOLA_EVAL_DIR names too few documents."""
    texts = corpus.data().corpus
    if len(texts) < 2 * (rounds + 1) * _DOCUMENTS:
        raise BenchmarkError(f"{len(texts)} documents are too few for {rounds} rounds of {2 * _DOCUMENTS}.")
    parts = (tuple(texts[first : first + _DOCUMENTS]) for first in range(0, len(texts), _DOCUMENTS))
    names = itertools.count(1)
    with running() as suite:
        contenders: Mapping[str, Callable[[], float]] = {
            _FOLLOWED: lambda: _ingested(suite, f"graph-{next(names)}", next(parts), graph=True),
            _ALONE: lambda: _ingested(suite, f"plain-{next(names)}", next(parts), graph=False),
        }
        rates = alternate(contenders, rounds)
    series = [Series(name, "documents", "per second", values) for name, values in rates.items()]
    medians = {one.contender: one.median for one in series}
    ratio = medians[_FOLLOWED] / medians[_ALONE]
    return Result(
        name="follow",
        ratio=ratio,
        what="ingestion with a graph, to the acknowledged follower, against ingestion without, documents/s",
        series=series,
        settings={"documents a round": _DOCUMENTS, "threads of the model": os.cpu_count()},
        bars=[Bar("with a graph", ratio, _NEEDED)],
    )


def _ingested(suite: Suite, name: str, texts: tuple[Text, ...], *, graph: bool) -> float:
    """Documents a second."""
    suite.create(name, graph=graph)
    began = time.perf_counter()
    suite.ingest(name, texts)
    if graph:
        suite.followed(name)
    return len(texts) / (time.perf_counter() - began)
