"""The question set of a benchmark: the folder that PERGOLA_EVAL_DIR names."""

import os
from pathlib import Path

from bench._harness.cli import BenchmarkError
from bench.retrieval.questions import DataSet, load


def folder(given: str | None) -> Path:
    """`given`, or what the environment names. Raises BenchmarkError when there is none."""
    named = given or os.environ.get("PERGOLA_EVAL_DIR")
    if not named:
        raise BenchmarkError("Name the folder of the questions: make eval DATA=DIR, or set PERGOLA_EVAL_DIR.")
    if not Path(named).is_dir():
        raise BenchmarkError(f"There is no folder {named}. Name that of the questions: DATA=DIR or PERGOLA_EVAL_DIR.")
    return Path(named)


def data() -> DataSet:
    """What PERGOLA_EVAL_DIR holds. Raises BenchmarkError when it can't be used."""
    try:
        return load(folder(None))
    except (ValueError, OSError) as error:
        raise BenchmarkError(str(error)) from None
