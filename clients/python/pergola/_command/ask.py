"""`pergola ask QUESTION`"""

import argparse

from pergola._client import Pergola
from pergola._command.output import Output, shortened
from pergola._command.types import positive
from pergola.chat.v1 import chat_pb2

NAME = "ask"
SUMMARY = "Ask a question; the answer cites passages of your documents."
_PASSAGE_WIDTH = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question", metavar="QUESTION", nargs="+", help="the question; quotes are not needed")
    parser.add_argument(
        "--collection", action="append", help="where passages come from (default: docs); may be given again"
    )
    parser.add_argument("--k", type=positive, help="how many passages the model may see, 1 to 100 (default: 8)")
    parser.add_argument(
        "--mode",
        choices=["graph", "vector"],
        default="graph",
        help="graph (default): also passages that share names with those found; vector: search alone",
    )
    parser.add_argument("--model", default="", help="the model; default: the service's own")


def run(client: Pergola, options: argparse.Namespace, output: Output) -> int:
    events = client.ask(
        " ".join(options.question),
        collections=options.collection or ["docs"],
        mode=options.mode,
        k=options.k,
        model=options.model,
    )
    if output.as_json:
        for event in events:
            output.record(event)
        return 0
    began = False
    try:
        for event in events:
            kind = event.WhichOneof("event")
            if kind == "content":
                began = True
                output.text(event.content, end="")
            elif kind == "citations":
                _end_line(output, began)
                _print_citations(event.citations, output)
                began = False
            elif kind == "done":
                _end_line(output, began)
                began = False
                _print_done(event.done, output)
    finally:
        _end_line(output, began)
    return 0


def _end_line(output: Output, began: bool) -> None:
    if began:
        output.text("")


def _print_citations(citations: chat_pb2.Citations, output: Output) -> None:
    for citation in citations.items:
        name = citation.title if citation.title and citation.title != citation.document else ""
        document = f"{name} ({citation.document})" if name else citation.document
        output.text(f"\n[{citation.number}] {document}, characters {citation.start} to {citation.end}")
        output.text(f"    “{shortened(citation.text, _PASSAGE_WIDTH)}”")
        if citation.path:
            output.text("    found by: " + " → ".join(shortened(step, 80) for step in citation.path))


def _print_done(done: chat_pb2.Done, output: Output) -> None:
    if done.degraded:
        output.note(f"note: {done.degraded}")
    if done.finish_reason not in ("", "stop"):
        output.note(f"note: the answer ended early ({done.finish_reason})")
    cached = ", from the cache" if done.cached else ""
    output.note(f"answered by {done.model}{cached}")
