"""Tells how long a processor stood still: `steady_watcher.py FILE PLACE [CORE]`, until its standard input ends.

Sleeps a little, over and over, and looks how late it wakes. In FILE, at PLACE: the seconds lost so far, and when it
last looked, on the clock of `time.monotonic()`.
"""

import contextlib
import mmap
import os
import select
import sys
import time
from pathlib import Path

TICK = 0.005
GRACE = 0.01
"""Sleeps are never exact, and others want the processor too."""
CELL = 16
"""Bytes of a place: two double numbers."""


def main() -> None:
    path, place = sys.argv[1], int(sys.argv[2])
    if len(sys.argv) > 3:
        # Where that is not allowed, it tells of whichever processor it is on.
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {int(sys.argv[3])})
    with Path(path).open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped, memoryview(mapped) as view:
        # Number by number, each whole: `struct` would write zeros first, and a reader would find them.
        numbers = view[place * CELL : (place + 1) * CELL].cast("d")
        lost, last = 0.0, time.monotonic()
        while not select.select([0], [], [], TICK)[0]:
            now = time.monotonic()
            late = now - last - TICK
            if late > GRACE:
                lost += late
            last = now
            numbers[0], numbers[1] = lost, last
        numbers.release()


if __name__ == "__main__":
    main()
