"""What hybrid search costs: its p95 on 100,000 passages against that of dense search alone.

The same questions, with their vectors given, at one caller: embedding a text would be the larger part of both and hide
the difference. Questions are words that stand together in a passage, some of them in most passages.
"""

import tempfile
from pathlib import Path
from typing import Final

from bench._harness.result import Bar, Result, Series
from bench._points.callers import Pergola, median, one_loop
from bench._points.data import QUESTION, Data
from bench._points.service import holding

_COUNT: Final = 100_000
_K: Final = 10
_QUESTIONS: Final = 500


def measure(rounds: int, seconds: float) -> Result:
    """Raises BenchmarkError when Pergola cannot be started."""
    data = Data(_COUNT)
    seconds = min(seconds, 5.0)
    with (
        tempfile.TemporaryDirectory(prefix="pergola-bench-") as folder,
        holding(Path(folder) / "pergola", data) as service,
        one_loop() as rounds_of,
    ):
        pergola = Pergola(service)
        rounds_of.run(pergola.open())
        asks = {
            mode: pergola.asking(
                [
                    pergola.question(vector, text=data.question(number), mode=mode, k=_K)
                    for number, vector in enumerate(data.queries(_QUESTIONS))
                ]
            )
            for mode in ("hybrid", "dense")
        }
        loads = rounds_of.measure(asks, 1, seconds, rounds)
        rounds_of.run(pergola.close())
    ratio = median(loads["hybrid"], lambda one: one.p95) / median(loads["dense"], lambda one: one.p95)
    series = [Series(mode, "p95", "ms", [one.p95 for one in found]) for mode, found in loads.items()]
    series += [Series(mode, "p50", "ms", [one.p50 for one in found]) for mode, found in loads.items()]
    return Result(
        name="hybrid",
        ratio=ratio,
        what=f"p95 of hybrid search on {_COUNT:,} passages against dense alone (less is better)",
        series=series,
        settings={"passages": _COUNT, "k": _K, "words a question": QUESTION, "seconds a round": seconds},
        bars=[Bar("p95", ratio, 3.0, at_most=True)],
    )
