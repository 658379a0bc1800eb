"""QueryPoints against Chroma's server at equal recall, each asked by its own Python client.

The same 100,000 vectors of 384 dimensions, cosine, k = 10, ids and scores alone. Pergola keeps its defaults; Chroma's
`ef_search` is the lowest of a few at which its recall is at least Pergola's.
"""

import functools
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import numpy as np

from bench._harness import chroma
from bench._harness.cli import BenchmarkError
from bench._harness.result import Bar, Result, Series
from bench._harness.rounds import alternate
from bench._points.callers import CALLERS, Load, Pergola, Rounds, load, median, one_loop, recall
from bench._points.data import Data
from bench._points.service import holding, point_id
from local import settings
from pergola.vector.v1 import point_pb2

_COUNT: Final = 100_000
_K: Final = 10
_PERGOLA: Final = "Pergola QueryPoints"
_CHROMA: Final = f"Chroma {chroma.VERSION}"
_WIDTHS: Final = (20, 50, 100, 150, 200, 300, 400, 600, 1000)
_PROBES: Final = 300


class _Chroma:
    """A server that holds the points, and its client."""

    def __init__(self, caller: chroma.Caller, folder: Path, data: Data) -> None:
        self._caller = caller
        self._queries = str(folder / "queries.npy")
        self._probes = str(folder / "probes.npy")
        vectors, ids = folder / "vectors.npy", folder / "ids.json"
        np.save(vectors, data.vectors)
        np.save(self._queries, data.queries(1000))
        np.save(self._probes, data.queries(_PROBES))
        ids.write_text(json.dumps([point_id(n) for n in range(data.count)]))
        caller.do("create", name="bench", space="cosine")
        took = caller.do("upsert", name="bench", vectors=str(vectors), ids=str(ids), batch=1000)
        print(f"  {data.count} points upserted into Chroma in {took['seconds']:.0f} s", file=sys.stderr, flush=True)

    def widen(self, right: Sequence[set[int]], wanted: float) -> tuple[int, float]:
        """Sets the lowest width of search at which recall is as wanted; returns it with the recall.

        Raises BenchmarkError when there is none.
        """
        for width in _WIDTHS:
            self._caller.do("set_ef", name="bench", ef=width)
            answers = self._caller.do("search", name="bench", vectors=self._probes, k=_K)
            reached = recall([{int(one[1:]) for one in answer} for answer in answers], right)
            if reached >= wanted:
                return width, reached
        raise BenchmarkError(f"Chroma's recall does not reach {wanted:.3f} at any width up to {_WIDTHS[-1]}")

    def load(self, callers: int, seconds: float) -> Load:
        """Its callers are threads."""
        asked = self._caller.do("query", name="bench", vectors=self._queries, k=_K, seconds=seconds, callers=callers)
        return Load(asked["count"], asked["seconds"], asked["latencies"])


def measure(rounds: int, seconds: float) -> Result:
    """Raises BenchmarkError when Pergola cannot be started, or Chroma not be installed or started."""
    data = Data(_COUNT)
    seconds = min(seconds, 4.0)
    installed = chroma.install(settings.data_directory(settings.load(os.environ)) / "bench" / "chroma")
    right = data.nearest(data.queries(_PROBES), _K)
    loads: dict[int, dict[str, list[Load]]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pergola-bench-")))
        service = stack.enter_context(holding(folder / "pergola", data))
        caller, _ = stack.enter_context(chroma.running(installed, folder / "chroma"))
        other = _Chroma(caller, folder, data)
        rounds_of = stack.enter_context(one_loop())
        pergola = Pergola(service)
        rounds_of.run(pergola.open())
        stack.callback(lambda: rounds_of.run(pergola.close()))

        def questions(count: int) -> list[point_pb2.QueryPointsRequest]:
            return [pergola.question(one, k=_K, with_payload=False) for one in data.queries(count)]

        recalls = {_PERGOLA: recall(rounds_of.run(pergola.found(questions(_PROBES))), right)}
        width, recalls[_CHROMA] = other.widen(right, recalls[_PERGOLA])
        asked = questions(1000)
        for callers in (CALLERS, 1):
            loads[callers] = alternate(
                {
                    _PERGOLA: _pergola(rounds_of, pergola, asked, callers, seconds),
                    _CHROMA: functools.partial(other.load, callers, seconds),
                },
                rounds,
            )
    return _result(loads, recalls, width, seconds)


def _pergola(
    rounds_of: Rounds, pergola: Pergola, asked: list[point_pb2.QueryPointsRequest], callers: int, seconds: float
) -> Callable[[], Load]:
    return lambda: rounds_of.run(load(pergola.asking(asked), callers, seconds))


def _result(loads: dict[int, dict[str, list[Load]]], recalls: dict[str, float], width: int, seconds: float) -> Result:
    series, ratios = [], {}
    for callers, found in loads.items():
        for name, samples in found.items():
            series.append(Series(name, f"questions at {callers}", "per second", [one.per_second for one in samples]))
            series.append(Series(name, f"p50 at {callers}", "ms", [one.p50 for one in samples]))
        rates = {name: median(samples, lambda one: one.per_second) for name, samples in found.items()}
        ratios[callers] = rates[_PERGOLA] / rates[_CHROMA]
    return Result(
        name="query-chroma",
        ratio=ratios[CALLERS],
        what=f"QueryPoints against Chroma's server at equal recall, questions/s at {CALLERS} callers "
        f"({ratios[1]:.2f}x at 1)",
        series=series,
        settings={"points": _COUNT, "k": _K, "seconds a round": seconds, "Chroma's ef_search": width}
        | {f"recall, {name}": f"{value:.4f}" for name, value in recalls.items()},
        versions={"chromadb": chroma.VERSION},
        bars=[Bar(f"at {callers} callers", ratio, 1.3) for callers, ratio in ratios.items()],
    )
