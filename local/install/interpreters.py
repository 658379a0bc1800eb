"""Finds an interpreter that the suite runs on. Standard library only, and readable by Python 3.8."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SUPPORTED = ((3, 14), (3, 13), (3, 12), (3, 11))

# Folders where interpreters are that a PATH may lack.
_USUAL = ("/usr/local/bin", "/usr/bin", "/opt/homebrew/bin", "/opt/local/bin")

# Executed, because a name on the PATH may be a version manager's shim for something that is not installed.
_PROBE = "import sys, ssl, venv, ctypes; print(*sys.version_info[:2], sys.implementation.name, sys.maxsize > 2**32)"


def version_of(program: str) -> tuple[int, int] | None:
    """(major, minor) of a CPython of 64 bits that works and has the modules needed, else None."""
    try:
        done = subprocess.run([program, "-c", _PROBE], capture_output=True, text=True, check=False, env=clean_environ())
    except OSError:
        return None
    words = done.stdout.split()
    if done.returncode != 0 or len(words) != 4 or words[2:] != ["cpython", "True"]:
        return None
    return int(words[0]), int(words[1])


def newest() -> str | None:
    """The newest supported interpreter of this machine, or None."""
    for major, minor in SUPPORTED:
        for program in [*_all(f"python{major}.{minor}"), *_all("python3"), *_all("python")]:
            if version_of(program) == (major, minor):
                return program
    return None


def working() -> list[str]:
    """Every supported interpreter, newest first: another one may have what the chosen one lacks."""
    found = []
    for major, minor in SUPPORTED:
        found += [program for program in _all(f"python{major}.{minor}") if version_of(program) == (major, minor)]
    return found + [program for program in _all("python3") if program not in found and version_of(program)]


def _all(name: str) -> list[str]:
    """Every program of that name, in the order of the PATH; a first one that fails does not hide the next."""
    folders = [*os.environ.get("PATH", os.defpath).split(os.pathsep), *_USUAL]
    found = [shutil.which(name, path=folder) for folder in dict.fromkeys(folders) if folder]
    return [str(Path(program).absolute()) for program in found if program]


def clean_environ() -> dict[str, str]:
    """The environment without what would make a Python look for modules elsewhere, or pip install elsewhere."""
    dropped = (
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONSAFEPATH",
        "PYTHONSTARTUP",
        "VIRTUAL_ENV",
        "__PYVENV_LAUNCHER__",
        "PIP_USER",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_ROOT",
        "PIP_REQUIRE_VIRTUALENV",
        "PIP_PYTHON",
        "PIP_DRY_RUN",
    )
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    kept.update(PYTHONNOUSERSITE="1", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1")
    return kept
