"""Log files of the parts: one a part, the one of the run before kept beside it."""

from pathlib import Path
from typing import BinaryIO

_TAIL_LINES = 12
_TAIL_BYTES = 16_384


def open_log(path: Path) -> BinaryIO:
    """Opens a fresh log for a part that is about to start; what was there becomes `<name>.log.1`."""
    if path.exists() and path.stat().st_size:
        path.replace(path.with_name(path.name + ".1"))
    path.touch(mode=0o600)
    return path.open("ab")


def tail(path: Path, lines: int = _TAIL_LINES) -> str:
    """The last lines of a log, indented; a line that says so when it is empty."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        text = ""
    last = text.rstrip().splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in last) or "    (it is empty)"
