"""The virtual environment and its pip, also where Python comes without one. Readable by Python 3.8."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from local.install.interpreters import clean_environ, working

_SYSTEM_WHEELS = Path("/usr/share/python-wheels")


class InstallError(Exception):
    """The installation cannot go on; the message says what is missing and which command gets it."""


def make(interpreter: str, environment: Path) -> list[str]:
    """Makes an empty environment and returns the command that is its pip.

    Raises InstallError when no pip can be found anywhere on this machine.
    """
    shutil.rmtree(environment, ignore_errors=True)
    whole = _run([interpreter, "-m", "venv", str(environment)])
    if whole.returncode != 0:  # Debian and Ubuntu ship Python without ensurepip
        shutil.rmtree(environment, ignore_errors=True)
        bare = _run([interpreter, "-m", "venv", "--without-pip", str(environment)])
        if bare.returncode != 0:
            raise InstallError(f"{interpreter} cannot make a virtual environment:\n{_last_lines(bare)}")
    return pip(environment, interpreter)


def pip(environment: Path, interpreter: str) -> list[str]:
    """The command that installs into `environment`: its own pip, another Python's, or one from a wheel on this machine.

    Raises InstallError that names the package to install, when there is none.
    """
    python = str(environment / "bin" / "python")
    own = [python, "-m", "pip"]
    if _works(own):
        return own
    pythons = [interpreter, *working()]
    for other in pythons:
        foreign = [other, "-m", "pip", "--python", python]  # from pip 22.3 on
        if _works(foreign):
            return foreign
    for wheel in _pip_wheels(pythons):
        from_wheel = [python, str(wheel / "pip")]
        if _works(from_wheel):
            return from_wheel
    raise InstallError(
        f"{interpreter} comes without pip, and no other pip was found. Install it, then try again:\n"
        + _advice(
            debian=f"apt-get install -y python3-venv   (or {Path(interpreter).name}-venv)",
            fedora="dnf install -y python3-pip",
            macos="brew install python@3.13",
        )
    )


def _pip_wheels(pythons: list[str]) -> list[Path]:
    """Wheels of pip that Pythons of this machine carry to install it with, newest first."""
    wheels = list(_SYSTEM_WHEELS.glob("pip-*.whl"))
    for python in dict.fromkeys(pythons):
        found = _run([python, "-c", "import ensurepip; print(ensurepip.__file__)"])
        if found.returncode == 0:
            wheels += (Path(found.stdout.strip()).parent / "_bundled").glob("pip-*.whl")
    return sorted(wheels, key=lambda wheel: _numbers(wheel.name), reverse=True)


def _numbers(name: str) -> list[int]:
    return [int(part) for part in name.split("-")[1].split(".") if part.isdigit()]


def install(pip_command: list[str], arguments: list[str]) -> None:
    """Runs pip. Only wheels, every one by its hash: nothing of what is downloaded is run to install it.

    Raises InstallError with the last lines that pip said.
    """
    # Not compiled here: most modules are never imported, and the others are compiled when they are.
    options = ["--quiet", "--require-hashes", "--no-compile", "--only-binary", ":all:"]
    command = [*pip_command, "install", *options, *arguments]
    done = _run(command)
    if done.returncode != 0:
        raise InstallError(
            f"pip could not install the locked requirements:\n{_last_lines(done)}\n"
            "Check the connection to your package index, then try again; what was downloaded is kept."
        )


def no_python(wanted: str, supported: str) -> InstallError:
    """What to say when there is no usable interpreter; `wanted` is what PYTHON was set to, or ''."""
    if wanted:
        return InstallError(f"PYTHON={wanted} is not a working CPython {supported} of 64 bits; name another one.")
    return InstallError(
        f"Python {supported} is needed, and none that works was found. Install one, then try again:\n"
        + _advice(
            debian="apt-get install -y python3 python3-venv",
            fedora="dnf install -y python3.13",
            macos="brew install python@3.13",
        )
        + "\nOr name one that is elsewhere: make run PYTHON=/path/to/python3"
    )


def _advice(debian: str, fedora: str, macos: str) -> str:
    if sys.platform == "darwin":
        return f"  {macos}"
    return f"  Debian, Ubuntu:  {debian}\n  Fedora, RHEL:    {fedora}"


def _works(pip_command: list[str]) -> bool:
    try:
        return _run([*pip_command, "--version"]).returncode == 0
    except OSError:
        return False


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=clean_environ())


def _last_lines(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()[-15:]
    return "\n".join(f"  {line}" for line in lines)
