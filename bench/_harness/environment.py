"""Environments of their own for what Pergola is measured against: what they need never meets what Pergola needs."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench._harness.cli import BenchmarkError


def install(folder: Path, name: str, version: str, requirement: str) -> Path:
    """Makes the environment in `folder` with `requirement`==`version` from PyPI, unless it is there; returns `folder`.

    Raises BenchmarkError.
    """
    stamp = folder / f"{name}-{version}-python{sys.version_info.major}.{sys.version_info.minor}"
    if stamp.exists():
        return folder
    print(f"  installing {requirement} {version} into {folder}", file=sys.stderr, flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _do(name, [sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)])
    # The pip of this environment installs into that one: it has none of its own.
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    _do(name, [*pip, "--disable-pip-version-check", "--only-binary", ":all:", f"{requirement}=={version}"])
    stamp.touch()
    return folder


def _do(name: str, command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"{name} could not be installed:\n{done.stderr.strip()[-2000:]}")
