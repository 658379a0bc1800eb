"""`make demo`: alone, and beside a suite that runs."""

import re
import subprocess
import sys
from pathlib import Path

from local.system import ports
from local.system.datadir import DataDirectory
from tests import stacks

_SECONDS = 200.0


def _demo(data_dir: Path) -> "subprocess.CompletedProcess[str]":
    environ = stacks.test_environ()
    environ |= {"PERGOLA_DATA_DIR": str(data_dir), "PERGOLA_GATEWAY_PORT": str(ports.choose(set()))}
    return subprocess.run(
        [sys.executable, "-m", "local.demo"],
        cwd=stacks.CHECKOUT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )


def _answers(done: "subprocess.CompletedProcess[str]") -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    answer = done.stdout.partition("$ pergola ask")[2]
    assert re.search(r"^\[\d+\] .*\.md\)?, characters \d+ to \d+$", answer, re.MULTILINE), done.stdout


def test_alone_it_starts_a_suite_and_stops_it(tmp_path: Path) -> None:
    done = _demo(tmp_path / "data")
    _answers(done)
    assert " stopped " in done.stdout
    data = DataDirectory(tmp_path / "data")
    assert data.recorded_processes() == {}
    data.acquire()  # nobody holds it
    data.release()


def test_beside_a_suite_it_uses_that_one(suite: stacks.Suite) -> None:
    suite.write_state()
    done = _demo(suite.stack.data.root)
    _answers(done)
    assert suite.gateway in done.stdout
    assert " stopped " not in done.stdout
