"""`make eval DATA=DIR`: recall of QueryPoints and of Retrieve on a set of questions, through the real services.

The data are read where they lie and never copied: a folder like MuSiQue's, as docs/retrieval.md describes it.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from bench._harness import machine
from bench._harness.cli import BenchmarkError
from bench.evaluation import corpus, triples
from bench.evaluation.suite import Suite, running
from bench.retrieval.questions import Asked, DataSet, load, recall

_K: Final = 10
_DEEPER: Final = 3
"""A document may have several passages among those found: so many times k are asked for."""
_DEPTHS: Final = (2, 5, 10)
_VARIANTS: Final = ("dense", "retrieve", "lower-case", "single-hop", "triples", "untitled")


class _Row(NamedTuple):
    name: str
    result: str
    """Name of its RESULT line; empty: it has none."""
    values: Sequence[float]
    """R@2, R@5, R@10 in percent."""


def main(arguments: Sequence[str]) -> int:
    """Exit codes: 0, 1 when it can't be run."""
    parser = argparse.ArgumentParser(prog="make eval", description=__doc__)
    parser.add_argument("data", nargs="?", help="folder with *_corpus.json and the questions; default PERGOLA_EVAL_DIR")
    parser.add_argument(
        "--variants", type=_variants, default=_VARIANTS, help=f"some of {','.join(_VARIANTS)}; default: all"
    )
    options = parser.parse_args(arguments)
    try:
        folder = corpus.folder(options.data)
        data = load(folder)
        given = triples.load(folder, data) if "triples" in options.variants else {}
        with running() as suite:
            rows = _measure(suite, data, given, options.variants)
    except (BenchmarkError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    _report(rows)
    return 0


def _variants(text: str) -> tuple[str, ...]:
    named = text.split(",")
    if unknown := sorted(set(named) - set(_VARIANTS)):
        raise argparse.ArgumentTypeError(f"no variant {unknown[0]!r}; there are {', '.join(_VARIANTS)}")
    return tuple(named)


def _measure(
    suite: Suite, data: DataSet, given: dict[triples.Triple, list[int]], variants: Sequence[str]
) -> list[_Row]:
    _say(f"{len(data.corpus)} documents, {len(data.questions)} questions")
    rows: list[_Row] = []
    if set(variants) != {"untitled"}:
        _timed("titled", len(data.corpus), lambda: _titled(suite, data))
    if "dense" in variants:
        rows.append(_row("dense", "eval-dense", suite.dense, "titled", data.questions))
    if "retrieve" in variants:
        rows.append(_row("retrieve", "eval-retrieve", suite.retrieve, "titled", data.questions))
    if "lower-case" in variants:
        lower = [Asked(one.question.lower(), one.gold) for one in data.questions]
        rows.append(_row("retrieve, lower case", "eval-lower-case", suite.retrieve, "titled", lower))
    if "single-hop" in variants:
        rows.append(_row("dense, single hop", "", suite.dense, "titled", data.first_hops))
        rows.append(_row("retrieve, single hop", "eval-single-hop", suite.retrieve, "titled", data.first_hops))
    if given:
        refused = triples.give(suite, "titled", given)
        _say(f"  {len(given)} triples given, {refused} refused")
        rows.append(_row("retrieve, triples", "eval-triples", suite.retrieve, "titled", data.questions))
    if "untitled" in variants:
        _timed("untitled", len(data.corpus), lambda: _untitled(suite, data))
        rows.append(_row("dense, untitled", "", suite.dense, "untitled", data.questions))
        rows.append(_row("retrieve, untitled", "eval-untitled", suite.retrieve, "untitled", data.questions))
    return rows


def _titled(suite: Suite, data: DataSet) -> None:
    suite.create("titled")
    suite.ingest("titled", data.corpus)
    suite.followed("titled")


def _untitled(suite: Suite, data: DataSet) -> None:
    suite.create("untitled")
    suite.upsert("untitled", [one.text for one in data.corpus])
    suite.followed("untitled")


def _row(
    name: str, result: str, search: Callable[[str, str, int], list[int]], collection: str, asked: Sequence[Asked]
) -> _Row:
    found = [search(collection, one.question, _DEEPER * _K) for one in asked]
    row = _Row(name, result, [recall(found, list(asked), k) for k in _DEPTHS])
    _say(f"  {name}: " + " ".join(f"{value:.1f}" for value in row.values))
    return row


def _timed(what: str, count: int, act: Callable[[], None]) -> None:
    began = time.monotonic()
    act()
    spent = time.monotonic() - began
    _say(f"  {what}: ingested and followed in {spent:.0f} s, {count / spent:.1f} documents/s")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _report(rows: Sequence[_Row]) -> None:
    for name, value in machine.describe().items():
        print(f"  {name:<22} {value}")
    print(f"{'':24}" + "".join(f"{f'R@{k}':>8}" for k in _DEPTHS))
    for row in rows:
        print(f"{row.name:24}" + "".join(f"{value:8.1f}" for value in row.values))
    for row in rows:
        if row.result:
            print(f"RESULT {row.result} {row.values[1]:.1f} R@5", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
