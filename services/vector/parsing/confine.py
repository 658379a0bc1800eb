"""What a worker's process may not do, whatever a file makes its libraries do. Held by the kernel."""

import contextlib
import os
import resource
import sys
from pathlib import Path
from typing import Final

from services.vector.parsing.model import Limits

_GRACE: Final = 2
"""Seconds of CPU beyond a task's time; only when the pool is gone does a task get that far."""
_LINUX: Final = sys.platform == "linux"


class Confinement:
    """The limits of this process: those that hold for good, and those of a task."""

    def __init__(self) -> None:
        # Opened now: later there is no way to open anything.
        self._sizes = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC) if _LINUX else -1
        self._base = 0

    def close_in(self) -> None:
        """From here on: no file, no socket (there is no number left for one), no byte written to a file, no process, no
        core dump. Whatever is needed must have been imported before."""
        spare = os.dup(0)
        os.close(spare)
        _hard(resource.RLIMIT_NOFILE, spare)
        _hard(resource.RLIMIT_FSIZE, 0)
        _hard(resource.RLIMIT_CORE, 0)
        # It counts threads, too: they must have been started. Not every system lets it be zero; a process that could be
        # started could still open nothing.
        with contextlib.suppress(OSError, ValueError):
            _hard(resource.RLIMIT_NPROC, 0)
        self._base = self._address_space()

    def begin(self, limits: Limits) -> None:
        """A task's limits of memory (Linux; elsewhere the pool watches alone) and of CPU time."""
        if _LINUX:
            _soft(resource.RLIMIT_AS, self._base + limits.memory_bytes)
        used = resource.getrusage(resource.RUSAGE_SELF)
        _soft(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + limits.seconds) + _GRACE)

    def end(self) -> None:
        """Room again, to answer with."""
        if _LINUX:
            _soft(resource.RLIMIT_AS, resource.RLIM_INFINITY)

    def _address_space(self) -> int:
        """Bytes; 0 where it is not limited."""
        if not _LINUX:
            return 0
        return int(os.pread(self._sizes, 64, 0).split()[0]) * resource.getpagesize()


def quiet() -> int:
    """Takes standard output away from libraries that might print; returns the descriptor that leads to the pool."""
    pipe = os.dup(1)
    nowhere = os.open(Path(os.devnull), os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return pipe


def _hard(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (wanted, wanted))


def _soft(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
