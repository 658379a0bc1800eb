"""QueryPoints against the bare database: the same statement, prepared on asyncpg connections of the same login.

k = 10, 384 dimensions, 100,000 points, answers with payload and text. At 8 callers it is processor time that decides
(the baseline has two processes at work a question, Pergola three), at one caller the way there and back.
"""

import importlib.metadata
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench._harness.result import Bar, Result, Series
from bench._points.callers import CALLERS, Load, Pergola, Raw, Rounds, median, one_loop
from bench._points.data import Data
from bench._points.service import holding

K: Final = 10
COUNT: Final = 100_000
QUESTIONS: Final = 1000
_PERGOLA: Final = "Pergola QueryPoints"
_RAW: Final = "prepared asyncpg"
_WANTED: Final = {CALLERS: 0.90, 1: 0.55}


def measure(rounds: int, seconds: float) -> Result:
    """Raises BenchmarkError when Pergola cannot be started."""
    data = Data(COUNT)
    queries = data.queries(QUESTIONS)
    seconds = min(seconds, 4.0)
    loads: dict[int, dict[str, list[Load]]] = {}
    with contenders(data) as (rounds_of, pergola, raw):
        asks = {_PERGOLA: pergola.asking([pergola.question(one, k=K) for one in queries]), _RAW: raw.asking(queries)}
        for callers in _WANTED:
            loads[callers] = rounds_of.measure(asks, callers, seconds, rounds)
    ratios = {callers: _ratio(found) for callers, found in loads.items()}
    return Result(
        name="query",
        ratio=ratios[CALLERS],
        what=f"QueryPoints against the same statement on prepared asyncpg, questions/s at {CALLERS} callers "
        f"({ratios[1]:.2f}x at 1)",
        series=[one for callers, found in loads.items() for one in _series(callers, found)],
        settings={"points": COUNT, "dimensions": data.dimension, "k": K, "seconds a round": seconds},
        versions={name: importlib.metadata.version(name) for name in ("asyncpg", "grpcio", "uvloop")},
        bars=[Bar(f"at {callers} callers", ratios[callers], wanted) for callers, wanted in _WANTED.items()],
    )


@contextmanager
def contenders(data: Data) -> Iterator[tuple[Rounds, Pergola, Raw]]:
    """A service that holds the points, and both ways to ask it, connected."""
    with (
        tempfile.TemporaryDirectory(prefix="pergola-bench-") as folder,
        holding(Path(folder) / "pergola", data) as service,
        one_loop() as rounds,
    ):
        pergola, raw = Pergola(service), Raw(service, CALLERS, K)
        rounds.run(pergola.open())
        rounds.run(raw.open())
        try:
            yield rounds, pergola, raw
        finally:
            rounds.run(raw.close())
            rounds.run(pergola.close())


def _ratio(found: dict[str, list[Load]]) -> float:
    return median(found[_PERGOLA], lambda one: one.per_second) / median(found[_RAW], lambda one: one.per_second)


def _series(callers: int, found: dict[str, list[Load]]) -> list[Series]:
    series = []
    for name, samples in found.items():
        series.append(Series(name, f"questions at {callers}", "per second", [one.per_second for one in samples]))
        series.append(Series(name, f"p50 at {callers}", "ms", [one.p50 for one in samples]))
    return series
