"""A clock that stands still while the machine does.

The host of a virtual machine may take its processors away for some tenths of a second. A promise of 250 ms is then
broken by nobody, and a test of it must not fail. So a small process on each processor does nothing but sleep and look
how late it wakes (steady_watcher.py), and what it lost does not count.
"""

import atexit
import contextlib
import itertools
import mmap
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from tests.support.steady_watcher import CELL, GRACE, TICK

_WATCHER: Final = Path(__file__).with_name("steady_watcher.py")
_START_SECONDS: Final = 30.0
_ATTEMPTS: Final = 5
_MOST: Final = 8
"""Watchers at most: a machine of so many processors has one to spare."""


class Watch:
    """Watchers of the processors this process may use; where nobody tells which those are, one watcher wherever it is.

    Raises RuntimeError when one does not begin.
    """

    def __init__(self) -> None:
        pinned = sys.platform == "linux"
        cores = [[str(core)] for core in sorted(os.sched_getaffinity(0))[:_MOST]] if pinned else [[]]
        self._count = len(cores)
        with tempfile.NamedTemporaryFile(prefix="pergola-steady-") as file:
            file.truncate(self._count * CELL)
            self._numbers = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")
            self.watchers = [
                subprocess.Popen(
                    [sys.executable, "-I", "-S", str(_WATCHER), file.name, str(place), *core],
                    stdin=subprocess.PIPE,
                    # Ctrl-C is not for them: the clock is read until its user has ended.
                    start_new_session=True,
                )
                for place, core in enumerate(cores)
            ]
            self._until_all_look()

    def lost(self) -> float:
        """Seconds, of all processors together: a call goes through several processes, each on a processor of its own.

        Where two stand still at once it counts twice, so that a bound is then longer than it says.

        One that stands still at the moment counts too: who asks may be the first that goes on.
        """
        return self.read()[1]

    def read(self) -> tuple[float, float]:
        """The time of `time.monotonic()`, and what was lost by then.

        Raises RuntimeError when a watcher has ended: its processor would seem to stand still ever after.
        """
        if any(watcher.poll() is not None for watcher in self.watchers):
            raise RuntimeError("a watcher of the processors has ended")
        told = [self._told(place) for place in range(self._count)]
        # Once, and after what was told: a stall up to here is in both numbers, and a later one in neither.
        now = time.monotonic()
        lates = [now - last - TICK for _, last in told]
        return now, sum(lost for lost, _ in told) + sum(late for late in lates if late > GRACE)

    def looks(self) -> list[float]:
        """When each watcher last looked; 0: not yet."""
        return [self._told(place)[1] for place in range(self._count)]

    def close(self) -> None:
        """Ends the watchers."""
        for watcher in self.watchers:
            assert watcher.stdin is not None
            watcher.stdin.close()
            watcher.wait()
        self._numbers.release()

    def _told(self, place: int) -> tuple[float, float]:
        """What was lost, and the last look: of one moment, which two readings that are equal tell."""
        while True:
            first, second = (self._numbers[2 * place : 2 * place + 2].tolist() for _ in range(2))
            if first == second:
                return first[0], first[1]

    def _until_all_look(self) -> None:
        end = time.monotonic() + _START_SECONDS
        while not all(self.looks()):
            if time.monotonic() > end:
                self.close()
                raise RuntimeError("a watcher of the processors did not begin in time")
            time.sleep(TICK)


_starting = threading.Lock()
_watch: Watch | None = None


def steady() -> float:
    """Seconds on the clock of `time.monotonic()`, without those in which a processor stood still.

    To be compared with another moment of the same clock. The first call starts the watchers.
    """
    global _watch
    with _starting:
        if _watch is None:
            _watch = Watch()
            atexit.register(_end)
    now, lost = _watch.read()
    return now - lost


async def undisturbed(attempt: Callable[[], Awaitable[object]]) -> None:
    """An attempt that fails where it is stopped for some hundredths of a second: made again when it was.

    Raises the last AssertionError where a machine lets none of a few be.
    """
    for attempts in itertools.count(1):
        began, steadily = time.monotonic(), steady()
        try:
            await attempt()
        except AssertionError:
            if attempts == _ATTEMPTS or time.monotonic() - began - (steady() - steadily) < GRACE:
                raise
        else:
            return


def _end() -> None:
    if _watch is not None:
        with contextlib.suppress(OSError):
            _watch.close()
