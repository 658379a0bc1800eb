"""How a question's time grows with the collection: p50 of QueryPoints at 100,000 points against 10,000.

Both collections are full and indexed, each in a service of its own; one caller, k = 10, 384 dimensions.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench._harness.result import Bar, Result, Series
from bench._points.callers import Pergola, Rounds, median, one_loop
from bench._points.data import Data
from bench._points.service import holding

_COUNTS: Final = (10_000, 100_000)
_K: Final = 10


def _close(rounds_of: Rounds, pergola: Pergola) -> None:
    rounds_of.run(pergola.close())


def measure(rounds: int, seconds: float) -> Result:
    """Raises BenchmarkError when Pergola cannot be started."""
    seconds = min(seconds, 5.0)
    asks = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pergola-bench-")))
        rounds_of = stack.enter_context(one_loop())
        for count in _COUNTS:
            data = Data(count)
            pergola = Pergola(stack.enter_context(holding(folder / str(count), data)))
            rounds_of.run(pergola.open())
            stack.callback(_close, rounds_of, pergola)
            asks[f"{count:,} points"] = pergola.asking([pergola.question(one, k=_K) for one in data.queries(1000)])
        loads = rounds_of.measure(asks, 1, seconds, rounds)
    small, large = (median(found, lambda one: one.p50) for found in loads.values())
    return Result(
        name="growth",
        ratio=large / small,
        what="p50 of QueryPoints at 100,000 points against 10,000 (less is better)",
        series=[Series(name, "p50", "ms", [one.p50 for one in found]) for name, found in loads.items()],
        settings={"k": _K, "dimensions": 384, "seconds a round": seconds},
        bars=[Bar("p50", large / small, 1.5, at_most=True)],
    )
