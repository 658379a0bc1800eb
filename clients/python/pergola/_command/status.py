"""`pergola status`"""

import argparse

from pergola._client import Pergola
from pergola._command.output import Output, plural

NAME = "status"
SUMMARY = "Say whether Pergola is there, and what it holds."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has none of its own."""


def run(client: Pergola, _options: argparse.Namespace, output: Output) -> int:
    status = client.status()
    if not status.ready:
        missing = [part for part, state in status.parts.items() if state != "ready"]
        collections = []
        if not output.as_json:
            output.text(f"{status.url}: missing {', '.join(missing)}")
    else:
        collections = list(client.collections())
    if output.as_json:
        output.record(
            {
                "url": status.url,
                "ready": status.ready,
                "parts": dict(status.parts),
                "collections": [
                    {"name": one.name, "documents": one.document_count, "points": one.point_count}
                    for one in collections
                ],
            }
        )
    elif status.ready:
        output.text(f"{status.url}: ready ({', '.join(status.parts)})")
        for one in collections:
            output.text(f"  {one.name}: {plural(one.document_count, 'document')}, {plural(one.point_count, 'point')}")
        if not collections:
            output.text("  no collections yet; `pergola ingest PATH` makes one")
    return 0 if status.ready else 1
