"""Upserts that are durable and found by every search, against Chroma's server, each by its own Python client.

Into a collection of 50,000 indexed points of 384 dimensions, new ones, 1,000 a call, one caller: vectors alone, and
with texts. Pergola moves vectors under its index in the background meanwhile, as it always does.
"""

import functools
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np

from bench._harness import chroma
from bench._harness.result import Bar, Result, Series
from bench._harness.rounds import alternate
from bench._points.data import Data
from bench._points.service import Service, load, running
from local import settings
from pergola.vector.v1 import point_pb2, point_pb2_grpc

_COUNT: Final = 50_000
_A_ROUND: Final = 3_000
_A_CALL: Final = 1_000
_DELTA_ROWS: Final = 10_000
"""The service's default."""
_PERGOLA: Final = "Pergola UpsertPoints"
_CHROMA: Final = f"Chroma {chroma.VERSION}"


def measure(rounds: int, seconds: float) -> Result:  # noqa: ARG001 - a round takes as long as its points do
    """Raises BenchmarkError when Pergola cannot be started, or Chroma not be installed or started."""
    held = Data(_COUNT)
    fresh = Data(2 * (rounds + 1) * _A_ROUND, seed=8)
    installed = chroma.install(settings.data_directory(settings.load(os.environ)) / "bench" / "chroma")
    rates: dict[str, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pergola-bench-")))
        service = stack.enter_context(running(folder / "pergola", _DELTA_ROWS))
        caller, _ = stack.enter_context(chroma.running(installed, folder / "chroma"))
        load(service, held, "bench")
        channel = stack.enter_context(grpc.insecure_channel(service.address))
        pergola = _Pergola(service, channel)
        other = _Chroma(caller, folder, held)
        parts = iter(range(0, fresh.count, _A_ROUND))
        # Each contender gets the same points, once: a round of one names the part that the other one gets as well.
        for kind, with_text in (("vectors", False), ("vectors and texts", True)):
            mine, its = itertools.tee(itertools.islice(parts, rounds + 1))
            contenders: Mapping[str, Callable[[], float]] = {
                _PERGOLA: functools.partial(pergola.upsert, fresh, mine, with_text=with_text),
                _CHROMA: functools.partial(other.upsert, fresh, its, with_text=with_text),
            }
            rates[kind] = alternate(contenders, rounds)
    return _result(rates)


class _Pergola:
    def __init__(self, service: Service, channel: grpc.Channel) -> None:
        self._service = service
        self._stub: Any = point_pb2_grpc.PointServiceStub(channel)

    def upsert(self, data: Data, parts: Iterator[int], *, with_text: bool) -> float:
        """Points a second."""
        first = next(parts)
        # Texts are there beforehand, for Chroma's client too; messages are made within the time, as its are.
        texts = {n: data.text(n) if with_text else "" for n in range(first, first + _A_ROUND)}
        began = time.perf_counter()
        for start in range(first, first + _A_ROUND, _A_CALL):
            request = point_pb2.UpsertPointsRequest(collection="bench")
            for n in range(start, start + _A_CALL):
                one = request.points.add(id=f"new{n}", text=texts[n])
                one.vector.packed = data.vectors[n].astype("<f4").tobytes()
            answer = self._stub.UpsertPoints(request, timeout=120)
            assert answer.stored_count == _A_CALL
        return _A_ROUND / (time.perf_counter() - began)


class _Chroma:
    def __init__(self, caller: chroma.Caller, folder: Path, held: Data) -> None:
        self._caller = caller
        self._folder = folder
        caller.do("create", name="bench", space="cosine")
        took = self._send(held, range(held.count), "p", with_text=True)
        print(f"  {held.count} points upserted into Chroma in {took:.0f} s", file=sys.stderr, flush=True)

    def upsert(self, data: Data, parts: Iterator[int], *, with_text: bool) -> float:
        """Points a second."""
        first = next(parts)
        return _A_ROUND / self._send(data, range(first, first + _A_ROUND), "new", with_text=with_text)

    def _send(self, data: Data, numbers: range, prefix: str, *, with_text: bool) -> float:
        vectors, ids, texts = (self._folder / name for name in ("vectors.npy", "ids.json", "texts.json"))
        np.save(vectors, data.vectors[numbers.start : numbers.stop])
        ids.write_text(json.dumps([f"{prefix}{n}" for n in numbers]))
        texts.write_text(json.dumps([data.text(n) for n in numbers]))
        given = {"documents": str(texts)} if with_text else {}
        took = self._caller.do("upsert", name="bench", vectors=str(vectors), ids=str(ids), batch=_A_CALL, **given)
        return float(took["seconds"])


def _result(rates: Mapping[str, Mapping[str, list[float]]]) -> Result:
    series = [
        Series(name, f"upserts, {kind}", "per second", values)
        for kind, found in rates.items()
        for name, values in found.items()
    ]
    medians = {(one.contender, one.quantity): one.median for one in series}
    ratios = {kind: medians[_PERGOLA, f"upserts, {kind}"] / medians[_CHROMA, f"upserts, {kind}"] for kind in rates}
    return Result(
        name="upsert",
        ratio=ratios["vectors"],
        what=f"UpsertPoints against Chroma's server, points/s into {_COUNT} indexed ones "
        f"({ratios['vectors and texts']:.1f}x with texts)",
        series=series,
        settings={"indexed points": _COUNT, "points a round": _A_ROUND, "points a call": _A_CALL, "callers": 1},
        versions={"chromadb": chroma.VERSION},
        bars=[Bar(kind, ratio, 5.0) for kind, ratio in ratios.items()],
        notes=["Durable means what each promises by default: a commit that is flushed here, SQLite's log there."],
    )
