"""Parts of Pergola for a benchmark, as processes of their own on free ports and in a folder of their own."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench._harness.cli import BenchmarkError
from local import settings
from local.errors import LocalError
from local.stack import Stack

VECTOR = ("postgres", "redis-values", "redis-state", "cache", "vector")
"""The vector service with all it needs."""


@contextlib.contextmanager
def running(folder: Path, parts: Sequence[str], environ: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """The parts, started; `environ` in place of the user's own settings.

    Raises BenchmarkError.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("PERGOLA_")}
    kept = {"PERGOLA_MODELS_DIR": str(settings.CHECKOUT / "build" / "models")}
    stack = Stack(folder, parts=parts, environ=own | kept | dict(environ or {}))
    try:
        stack.start()
    except LocalError as error:
        raise BenchmarkError(f"Pergola did not start: {error}") from None
    try:
        yield stack
    finally:
        stack.stop()
