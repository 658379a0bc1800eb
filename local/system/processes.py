"""Processes of the operating system: who they are, what they started, and how they are ended.

A process is known by its number and its start time together, because numbers are given out again.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_HAS_PROC = sys.platform == "linux"
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process that cannot be confused with a later one of the same number."""

    pid: int
    started: str
    """Opaque; equal for the same process only. Never empty."""

    def alive(self) -> bool:
        return start_time(self.pid) == self.started


def identify(pid: int) -> ProcessId | None:
    """The identity of a running process, or None when there is none of that number."""
    started = start_time(pid)
    return ProcessId(pid, started) if started else None


def start_time(pid: int) -> str:
    """When a process started, as an opaque text, or '' when it does not run (a zombie does not)."""
    if _HAS_PROC:
        fields = _stat(pid)
        if fields is None or fields[0] in "ZX":
            return ""
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{fields[19]}"
    # A fixed zone and language, so that two runs under different settings read the same text.
    environ = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    state, _, started = done.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else started.strip()


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on; the name before them may contain anything, brackets too."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _parents() -> dict[int, int]:
    if _HAS_PROC:
        parents = {}
        for entry in os.listdir(_PROC):  # noqa: PTH208 - names alone are wanted, and there are many
            if entry.isdigit() and (fields := _stat(int(entry))) is not None:
                parents[int(entry)] = int(fields[1])
        return parents
    done = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True)
    pairs = (line.split() for line in done.stdout.splitlines())
    return {int(pid): int(parent) for pid, parent in pairs}


def family(pid: int) -> list[ProcessId]:
    """A process and all its descendants, the process first.

    A group is not enough: PostgreSQL's backends make groups of their own.
    """
    children: dict[int, list[int]] = {}
    for child, parent in _parents().items():
        children.setdefault(parent, []).append(child)
    found: list[ProcessId] = []
    queue = [pid]
    while queue:
        current = queue.pop(0)
        if (known := identify(current)) is not None:
            found.append(known)
        queue.extend(children.get(current, ()))
    return found


def send(process: ProcessId, number: signal.Signals) -> None:
    """Signals a process if it still is the one that is meant."""
    if process.alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def wait_gone(processes: Iterable[ProcessId], seconds: float) -> list[ProcessId]:
    """Waits until none of `processes` runs; returns those that still do after `seconds`."""
    left = [process for process in processes if process.alive()]
    end = time.monotonic() + seconds
    while left and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
        left = [process for process in left if process.alive()]
    return left


def end(leader: ProcessId, polite: signal.Signals, seconds: float) -> bool:
    """Ends a process with all it started; returns whether it went by itself within `seconds`.

    The descendants are listed before the first signal, because those whose parent is gone cannot be found any more.
    """
    members = family(leader.pid) if leader.alive() else []
    send(leader, polite)
    for member in members:  # one that is held would never see the signal
        send(member, signal.SIGCONT)
    left = wait_gone(members, seconds)
    for member in left:
        send(member, signal.SIGKILL)
    wait_gone(left, 5.0)
    return not left
