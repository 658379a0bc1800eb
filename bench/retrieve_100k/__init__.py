"""How Retrieve grows: its p95 with 100,000 passages against 10,000, what an index of 100,000 takes, and its starts.

The passages are the corpus that PERGOLA_EVAL_DIR names and distractors made of it, upserted as points, titles in
front. All vectors are made up: this measures time and memory, not what is found. Each size has a suite of its own.
"""

import shutil
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Final

import grpc
import numpy as np

from bench._harness import machine
from bench._harness.cli import BenchmarkError
from bench._harness.result import Bar, Result, Series
from bench._harness.rounds import alternate
from bench.evaluation import corpus
from bench.evaluation.suite import Suite, running
from bench.retrieval.distractors import distractors
from bench.retrieval.questions import Asked, Text
from bench.retrieve_100k import endpoint

_SMALL: Final = 10_000
_LARGE: Final = 100_000
_K: Final = 10
_NAME: Final = "corpus"
_MOST: Final = 2.5
_READ_SECONDS: Final = 1800.0
_POLL: Final = 0.5
_SETTINGS: Final = {
    # Retrieve finds passages by its own index: neither the graph store's content nor vector's neighbors are asked.
    "PERGOLA_GRAPH_FOLLOW": "false",
    "PERGOLA_VECTOR_DELTA_ROWS": "1000000",
}


def measure(rounds: int, seconds: float) -> Result:  # noqa: ARG001 - a round is all questions once
    """Raises BenchmarkError when Pergola cannot be started, or PERGOLA_EVAL_DIR can't be used."""
    data = corpus.data()
    question = data.questions[0].question
    with ExitStack() as stack:
        settings = _SETTINGS | stack.enter_context(endpoint.serving())
        suites = {count: stack.enter_context(running(settings)) for count in (_SMALL, _LARGE)}
        first = {count: _loaded(suite, data.corpus, count, question) for count, suite in suites.items()}
        contenders: Mapping[str, Callable[[], list[float]]] = {
            f"{count:,} passages": lambda suite=suite: _times(suite, data.questions)  # type: ignore[misc]
            for count, suite in suites.items()
        }
        measured = alternate(contenders, rounds)
        series = [
            Series(name, f"p{percent}", "ms", [float(np.percentile(one, percent)) for one in samples])
            for percent in (95, 50)
            for name, samples in measured.items()
        ]
        for one in series:
            _say(f"{one.contender}: {one.quantity} {one.median:.0f} ms")
        sizes = {count: _gauge(suite, "bytes") / count for count, suite in suites.items()}
        resident = {count: _resident(suite) for count, suite in suites.items()}
        kept = {count: _restarted(suite, count, question) for count, suite in suites.items()}
        files = {count: _forgotten(suite) for count, suite in suites.items()}
        read = {count: _started(suite, count, question) for count, suite in suites.items()}
    for count in suites:
        name = f"{count:,} passages"
        series += [
            Series(name, "start, nothing embedded yet", "s", [first[count]]),
            Series(name, "start from its file", "s", [kept[count]]),
            Series(name, "start without the file", "s", [read[count]]),
            Series(name, "index", "bytes/passage", [sizes[count]]),
            Series(name, "its file", "bytes/passage", [files[count] / count]),
            Series(name, "memory of the process", "MiB", [resident[count] / 2**20]),
        ]
    medians = {(one.contender, one.quantity): one.median for one in series}
    ratio = medians[f"{_LARGE:,} passages", "p95"] / medians[f"{_SMALL:,} passages", "p95"]
    return Result(
        name="retrieve-100k",
        ratio=ratio,
        what=f"p95 of Retrieve with {_LARGE:,} passages against {_SMALL:,} (less is better)",
        series=series,
        settings={"questions a round": len(data.questions), "k": _K, "dimension": endpoint.DIMENSION},
        bars=[Bar("p95", ratio, _MOST, at_most=True)],
        notes=[
            "vectors are made up by an endpoint that answers at once: the times are without a model's",
            "the graph store's follower is off: passages are found without it",
            "a start is from the start of the process until Retrieve answers from the index",
        ],
    )


def _loaded(suite: Suite, texts: Sequence[Text], count: int, question: str) -> float:
    """Stores so many passages while the graph service is down; the seconds of its start with them."""
    began = time.monotonic()
    more = distractors(texts, count - len(texts)) if count > len(texts) else iter(())
    suite.create(_NAME)
    suite.stack.stop_part("graph")
    suite.upsert(_NAME, [f"{one.title}. {one.text}" for one in (*islice(texts, count), *more)])
    _say(f"{count:,} passages stored in {time.monotonic() - began:.0f} s")
    return _started(suite, count, question)


def _started(suite: Suite, count: int, question: str) -> float:
    """Starts the graph service, which is down; seconds until Retrieve answers from its index.

    Raises BenchmarkError when that takes too long.
    """
    began = time.monotonic()
    suite.stack.start_part("graph")
    meanwhile, slowest = 0, 0.0
    while time.monotonic() - began < _READ_SECONDS:
        asked = time.monotonic()
        try:
            suite.retrieve(_NAME, question, _K)
        except BenchmarkError:
            meanwhile, slowest = meanwhile + 1, max(slowest, time.monotonic() - asked)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
        else:
            seconds = time.monotonic() - began
            _wait_for_size(suite, count)
            _say(
                f"{count:,} passages: {seconds:.0f} s to an answer from the index, "
                f"{_gauge(suite, 'bytes') / count:,.0f} bytes a passage; before, {meanwhile} answers by hybrid search, "
                f"the slowest {slowest:.1f} s"
            )
            return seconds
        time.sleep(_POLL)
    raise BenchmarkError(f"the index of {count:,} passages was not there after {_READ_SECONDS:.0f} s")


def _restarted(suite: Suite, count: int, question: str) -> float:
    """The same for one that runs."""
    began = time.monotonic()
    suite.stack.stop_part("graph")
    _say(f"{count:,} passages: stopped in {time.monotonic() - began:.1f} s")
    return _started(suite, count, question)


def _wait_for_size(suite: Suite, count: int) -> None:
    """Returns when the service has looked how large its index is. Raises BenchmarkError when passages are missing."""
    until = time.monotonic() + 60
    while _gauge(suite, "passages") != count:
        if time.monotonic() > until:
            raise BenchmarkError(f"the index has {_gauge(suite, 'passages'):.0f} passages instead of {count}")
        time.sleep(_POLL)


def _gauge(suite: Suite, name: str) -> float:
    """What the graph service tells Prometheus of its one index; 0 before there is one."""
    with urllib.request.urlopen(f"http://{suite.stack.address('graph-metrics')}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(f"pergola_graph_index_{name}{{")), 0.0)


def _forgotten(suite: Suite) -> int:
    """Stops the graph service and removes the file its index is kept in; the bytes of that."""
    suite.stack.stop_part("graph")
    folder = suite.stack.site.data.part("graph-index")
    size = sum(one.stat().st_size for one in folder.iterdir())
    shutil.rmtree(folder)
    return size


def _resident(suite: Suite) -> int:
    """Bytes of the graph service's process."""
    return machine.resident_bytes(known.pid for known in suite.stack.processes_of("graph"))


def _times(suite: Suite, asked: Sequence[Asked]) -> list[float]:
    """Milliseconds of each question."""
    found = []
    for one in asked:
        began = time.perf_counter()
        suite.retrieve(_NAME, one.question, _K)
        found.append(1000 * (time.perf_counter() - began))
    return found


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
