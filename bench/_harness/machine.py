"""The machine a benchmark ran on, and keeping processes on its cores."""

import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path


def describe() -> dict[str, str]:
    """Processor, cores, memory, system, Python, and the commit of the checkout."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "commit": _commit(),
    }


def can_pin() -> bool:
    """Whether processes can be kept on cores of their own here: at least two cores, on Linux."""
    return hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1


def split_cores() -> tuple[set[int], set[int]]:
    """One core for what is measured, the others for everything else."""
    cores = sorted(os.sched_getaffinity(0))
    return {cores[0]}, set(cores[1:])


def pin(pids: Iterable[int], cores: set[int]) -> None:
    """Keeps processes, with all threads they have, on `cores`; what they start later stays there too."""
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time that processes have used so far, in steps of 10 ms. Linux only."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_bytes(pids: Iterable[int]) -> int:
    """Memory that processes have in use, shared pages counted in each. Linux only."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"
