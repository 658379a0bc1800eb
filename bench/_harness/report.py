"""The report: for people, for programs, and the last line for both."""

import dataclasses
import datetime
import json
from pathlib import Path
from typing import Any

from bench._harness import machine
from bench._harness.result import Result, Series


def show(result: Result) -> None:
    """Prints everything; the last line is `RESULT <name> <ratio>x <what against what>`."""
    parts = {"machine": machine.describe(), "versions": result.versions, "settings": result.settings}
    for title, values in parts.items():
        print(f"{title}:")
        for name, value in values.items():
            print(f"  {name:<22} {value}")
    print("medians:")
    for one in result.series:
        rounds = len(one.values)
        print(
            f"  {one.contender:<24} {one.quantity:<26} {one.median:>10.2f} {one.unit:<14} "
            f"(±{one.spread:.0%} over {rounds} rounds)"
        )
    for bar in result.bars:
        wanted = f"at {'most' if bar.at_most else 'least'} {bar.wanted:.2f}x"
        print(f"bar: {bar.what}: {bar.ratio:.2f}x, wanted {wanted}: {'reached' if bar.reached else 'NOT reached'}")
    for note in result.notes:
        print(f"note: {note}")
    ratio = f"{result.ratio:.1f}" if result.ratio >= 10 else f"{result.ratio:.2f}"
    print(f"RESULT {result.name} {ratio}x {result.what}", flush=True)


def write(result: Result, path: Path) -> None:
    """Everything as one JSON object."""
    content = {
        "name": result.name,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "ratio": result.ratio,
        "what": result.what,
        "machine": machine.describe(),
        "versions": result.versions,
        "settings": result.settings,
        "series": [_series(one) for one in result.series],
        "bars": [{**dataclasses.asdict(bar), "reached": bar.reached} for bar in result.bars],
        "notes": list(result.notes),
    }
    path.write_text(json.dumps(content, indent=1) + "\n")


def _series(one: Series) -> dict[str, Any]:
    return {**dataclasses.asdict(one), "values": list(one.values), "median": one.median, "spread": one.spread}
