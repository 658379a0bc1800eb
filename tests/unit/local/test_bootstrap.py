"""The bootstrap: readable by an old Python, and clear about what is missing."""

import ast
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from local import bootstrap
from local.install import environment, interpreters

CHECKOUT = Path(__file__).resolve().parents[3]
SOURCES = [
    CHECKOUT / "local" / "__init__.py",
    CHECKOUT / "local" / "bootstrap.py",
    *(CHECKOUT / "local/install").glob("*.py"),
]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_an_old_python_can_read_it(source: Path) -> None:
    tree = ast.parse(source.read_text(), feature_version=(3, 8))
    modules = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert modules <= set(sys.stdlib_module_names) | {"local"}


def _program(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_shim_that_fails_hides_no_python_behind_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shims, real = tmp_path / "shims", tmp_path / "real"
    shims.mkdir()
    real.mkdir()
    name = f"python3.{sys.version_info.minor}"
    _program(shims, name, "echo 'not installed' >&2; exit 127")
    # The real one is the only other program there; other versions of this machine are shadowed by failing shims.
    for _, minor in interpreters.SUPPORTED:
        if minor != sys.version_info.minor:
            _program(shims, f"python3.{minor}", "exit 1")
    expected = _program(real, name, f'exec "{sys.executable}" "$@"')
    monkeypatch.setenv("PATH", os.pathsep.join([str(shims), str(real)]))
    monkeypatch.setattr(interpreters, "_USUAL", ())
    assert interpreters.newest() == str(expected)


def test_without_any_python_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(interpreters, "_USUAL", ())
    assert interpreters.newest() is None
    assert "install" in str(environment.no_python("", "3.11 or newer"))


def test_an_old_python_is_refused_by_name(tmp_path: Path) -> None:
    old = _program(tmp_path, "python3", "echo 3 9 cpython True")
    assert interpreters.version_of(str(old)) == (3, 9)
    assert interpreters.version_of(str(old)) not in interpreters.SUPPORTED
    assert str(old) in str(environment.no_python(str(old), "3.11 or newer"))


def test_pip_comes_from_a_wheel_when_no_python_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that carries the wheel of pip, but no pip that can be run."""
    carrier = tmp_path / "ensurepip" / "_bundled"
    carrier.mkdir(parents=True)
    wheel = carrier / "pip-99.0-py3-none-any.whl"
    (wheel / "pip").mkdir(parents=True)
    (wheel / "pip" / "__main__.py").write_text("print('pip 99.0')")
    carries = _program(
        tmp_path, "python3.11", f'case "$2" in *ensurepip*) echo "{carrier.parent}/__init__.py";; *) exit 1;; esac'
    )
    bare = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    monkeypatch.setattr(environment, "working", lambda: [str(carries)])
    monkeypatch.setattr(environment, "_SYSTEM_WHEELS", tmp_path / "none")
    command = environment.pip(bare, str(carries))
    assert command == [str(bare / "bin" / "python"), str(wheel / "pip")]


def test_without_any_pip_it_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    nothing = _program(tmp_path, "python3.11", "exit 1")
    monkeypatch.setattr(environment, "working", list)
    monkeypatch.setattr(environment, "_SYSTEM_WHEELS", tmp_path / "none")
    with pytest.raises(environment.InstallError, match=r"python3-venv|brew"):
        environment.pip(bare, str(nothing))


def test_an_environment_of_another_checkout_is_not_used() -> None:
    stamp = {"checkout": "/somewhere/else", "interpreter": sys.executable}
    assert not bootstrap._usable(stamp, "")
