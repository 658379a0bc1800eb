"""What Retrieve costs against hybrid search: p95 of both, one caller, on the corpus that PERGOLA_EVAL_DIR names.

Both are given the question's text, and embed it; both answer with ten passages and their texts.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from bench._harness.result import Bar, Result, Series
from bench._harness.rounds import alternate
from bench.evaluation import corpus
from bench.evaluation.suite import running
from bench.retrieval.questions import Asked

_K: Final = 10
_NAME: Final = "corpus"
_MOST: Final = 3.0


def measure(rounds: int, seconds: float) -> Result:  # noqa: ARG001 - a round is all questions once
    """Raises BenchmarkError when Pergola cannot be started, or PERGOLA_EVAL_DIR can't be used."""
    data = corpus.data()
    with running() as suite:
        suite.create(_NAME)
        suite.ingest(_NAME, data.corpus)
        suite.followed(_NAME)
        contenders: Mapping[str, Callable[[], list[float]]] = {
            "Retrieve": lambda: _times(data.questions, lambda text: suite.retrieve(_NAME, text, _K)),
            "hybrid QueryPoints": lambda: _times(data.questions, lambda text: suite.hybrid(_NAME, text, _K)),
        }
        measured = alternate(contenders, rounds)
    series = [
        Series(name, f"p{percent}", "ms", [float(np.percentile(one, percent)) for one in samples])
        for percent in (95, 50)
        for name, samples in measured.items()
    ]
    medians = {(one.contender, one.quantity): one.median for one in series}
    ratio = medians["Retrieve", "p95"] / medians["hybrid QueryPoints", "p95"]
    return Result(
        name="retrieve",
        ratio=ratio,
        what=f"p95 of Retrieve against hybrid QueryPoints on {len(data.corpus):,} documents (less is better)",
        series=series,
        settings={"documents": len(data.corpus), "questions a round": len(data.questions), "k": _K},
        bars=[Bar("p95", ratio, _MOST, at_most=True)],
    )


def _times(asked: list[Asked], ask: Callable[[str], object]) -> list[float]:
    """Milliseconds of each question."""
    found = []
    for one in asked:
        began = time.perf_counter()
        ask(one.question)
        found.append(1000 * (time.perf_counter() - began))
    return found
