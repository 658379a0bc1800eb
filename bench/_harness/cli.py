"""The command line of every benchmark."""

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench._harness import report
from bench._harness.result import Result


class BenchmarkError(Exception):
    """A benchmark cannot be run here; the message says why and what to do."""


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark that the arguments name. Exit codes: 0, 1 when it cannot be run, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures Pergola against something else.")
    parser.add_argument("name", metavar="NAME", choices=names(), help=f"one of: {', '.join(names())}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    parser.add_argument("--rounds", type=int, default=5, help="how often each contender is measured (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each time (%(default)s)")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be above 0")
    measure: Callable[[int, float], Result] = importlib.import_module(f"bench.{options.name.replace('-', '_')}").measure
    try:
        result = measure(options.rounds, options.seconds)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    if options.json is not None:
        report.write(result, options.json)
    report.show(result)
    return 0


def names() -> list[str]:
    """The benchmarks there are: modules and packages of `bench` with a function `measure(rounds, seconds)`."""
    folder = Path(__file__).resolve().parents[1]
    sources = [*folder.glob("[!_]*.py"), *folder.glob("[!_]*/__init__.py")]
    found = [path for path in sources if "\ndef measure(" in path.read_text("utf-8")]
    stems = (path.parent.name if path.stem == "__init__" else path.stem for path in found)
    return sorted(stem.replace("_", "-") for stem in stems)
