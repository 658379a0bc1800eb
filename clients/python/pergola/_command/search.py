"""`pergola search QUESTION`"""

import argparse
import dataclasses

from pergola._client import Pergola
from pergola._command.output import Output, shortened
from pergola._command.types import positive
from pergola._passages import Passage

NAME = "search"
SUMMARY = "Show the passages that fit a question best."
_PASSAGE_WIDTH = 300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question", metavar="QUESTION", nargs="+", help="the question; quotes are not needed")
    parser.add_argument("--collection", default="docs", help="where to search (default: %(default)s)")
    parser.add_argument("--k", type=positive, help="how many passages (default: 10; with --mode graph 8)")
    parser.add_argument(
        "--mode",
        choices=["hybrid", "dense", "lexical", "graph"],
        default="hybrid",
        help="by meaning and words (default), by meaning, by words, or along shared names with the path",
    )


def run(client: Pergola, options: argparse.Namespace, output: Output) -> int:
    found = client.search(" ".join(options.question), collection=options.collection, mode=options.mode, k=options.k)
    if output.as_json:
        for passage in found.items:
            output.record(dataclasses.asdict(passage))
    else:
        for number, passage in enumerate(found.items, start=1):
            _print(number, passage, output)
    if not found.items:
        output.note(f"nothing was found in {options.collection!r}")
    if found.degraded:
        output.note(f"note: {found.degraded}")
    return 0


def _print(number: int, passage: Passage, output: Output) -> None:
    where = " › ".join([passage.document or passage.id, *passage.heading_path])
    output.text(f"{number:3}. {passage.score:.3f}  {where}")
    output.text(f"     {shortened(passage.text, _PASSAGE_WIDTH)}")
    if passage.path:
        output.text("     found by: " + " → ".join(shortened(step, 80) for step in passage.path))
