"""`make run`, from its start to each way in which it can end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.system import ports, processes
from local.system.datadir import DataDirectory
from tests import stacks

START_SECONDS = 150.0
STOP_SECONDS = 90.0


class Run:
    """One `python -m local`, with what it printed."""

    def __init__(self, data_dir: Path, gateway_port: int, **settings: str) -> None:
        environ = stacks.test_environ() | settings
        environ |= {"PERGOLA_DATA_DIR": str(data_dir), "PERGOLA_GATEWAY_PORT": str(gateway_port)}
        self.data = DataDirectory(data_dir)
        self.gateway = f"http://127.0.0.1:{gateway_port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local"],
            cwd=stacks.CHECKOUT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self._lines.append(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def output(self) -> str:
        return "".join(self._lines)

    def wait_ready(self) -> "Run":
        return self.wait_line(r"^Pergola is ready")

    def wait_line(self, pattern: str) -> "Run":
        """Waits until a line has come that the pattern is found in; fails when the run ends before."""
        with self._news:
            self._news.wait_for(lambda: self._has(pattern) or self._ended, START_SECONDS)
            assert self._has(pattern), self.output
        return self

    def _has(self, pattern: str) -> bool:
        return any(re.search(pattern, line) for line in self._lines)

    def parts(self) -> dict[str, list[processes.ProcessId]]:
        """All processes of each part, as they run now."""
        return {part: processes.family(known.pid) for part, known in self.data.recorded_processes().items()}

    def end(self, number: signal.Signals | None = None) -> int:
        """Sends a signal, if one is given, and waits for the end; returns the exit code."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(STOP_SECONDS)
        self._reader.join(STOP_SECONDS)
        return code


def _alive(parts: dict[str, list[processes.ProcessId]]) -> dict[str, list[processes.ProcessId]]:
    return {part: left for part, members in parts.items() if (left := [one for one in members if one.alive()])}


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data directory whose processes are ended, whatever a test does."""
    yield tmp_path / "data"
    for known in DataDirectory(tmp_path / "data").recorded_processes().values():
        processes.end(known, signal.SIGKILL, 0)


@pytest.fixture
def port() -> int:
    return ports.choose(set())


def test_interrupt_stops_everything_and_the_data_stay(data_dir: Path, port: int) -> None:
    run = Run(data_dir, port).wait_ready()
    assert set(run.parts()) == {
        "postgres", "redis-values", "redis-state", "graph-store", "cache", "vector", "graph", "chat", "edge", "gateway",
    }  # fmt: skip
    for part in run.parts():
        assert f"  {part} " in run.output
    state = run.data.running_state()
    assert state is not None
    assert state["gateway"] == run.gateway
    assert state["supervisor"]["pid"] == run.process.pid
    before = run.parts()
    assert run.end(signal.SIGINT) == 0
    assert _alive(before) == {}
    assert run.data.running_state() is None
    stopped = [line.split()[0] for line in run.output.splitlines() if " stopped " in line]
    assert stopped[:6] == ["edge", "gateway", "chat", "graph", "vector", "cache"]

    again = Run(data_dir, port).wait_ready()
    before = again.parts()
    assert again.end(signal.SIGTERM) == 0
    assert _alive(before) == {}


def test_a_second_run_is_told_who_holds_the_data(data_dir: Path, port: int) -> None:
    first = Run(data_dir, port).wait_ready()
    second = Run(data_dir, ports.choose({port}))
    assert second.end() == 2
    assert f"process {first.process.pid}, running since" in second.output
    assert "PERGOLA_DATA_DIR" in second.output
    assert first.process.poll() is None
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    assert first.end(signal.SIGTERM) == 0


def test_what_a_killed_run_left_is_ended_by_the_next(data_dir: Path, port: int) -> None:
    killed = Run(data_dir, port).wait_ready()
    left = killed.parts()
    killed.end(signal.SIGKILL)
    assert set(_alive(left)) == set(left)
    run = Run(data_dir, port).wait_ready()
    assert _alive(left) == {}
    assert run.end(signal.SIGTERM) == 0


def test_a_number_that_was_given_out_again_is_left_alone(data_dir: Path) -> None:
    """A record of a process that has gone must not end the one that has its number now."""
    data = DataDirectory(data_dir)
    data.acquire()
    bystander = processes.ProcessId(os.getpid(), "another start")
    data.record_processes({"cache": bystander})
    assert data.recorded_processes() == {}
    processes.end(bystander, signal.SIGKILL, 0)
    data.release()


def test_a_part_that_dies_is_named_and_ends_the_run(data_dir: Path, port: int) -> None:
    run = Run(data_dir, port).wait_ready()
    parts = run.parts()
    processes.send(parts["graph"][0], signal.SIGKILL)
    assert run.end() == 1
    assert "graph was ended by SIGKILL. The last lines of its log:" in run.output
    assert _alive(parts) == {}


def test_a_part_that_cannot_start_is_named_with_its_log(data_dir: Path, port: int) -> None:
    run = Run(data_dir, port, PERGOLA_VECTOR_WORKERS="many")
    assert run.end() == 1
    assert "vector ended with code" in run.output
    assert "PERGOLA_VECTOR_WORKERS" in run.output
    assert run.parts() == {}


def test_a_taken_port_is_named_before_anything_starts(data_dir: Path, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        run = Run(data_dir, port)
        assert run.end() == 2
    assert f"Port {port}" in run.output
    assert "PERGOLA_GATEWAY_PORT" in run.output
    assert list((data_dir / "logs").iterdir()) == []
    assert not (data_dir / "postgres").exists()


def test_a_signal_during_the_start_stops_it(data_dir: Path, port: int) -> None:
    run = Run(data_dir, port)
    run.wait_line(r"postgres +ready")
    assert run.end(signal.SIGTERM) == 0
    assert "Pergola is ready" not in run.output
    assert run.parts() == {}


def test_a_second_signal_kills_what_does_not_end(data_dir: Path, port: int) -> None:
    run = Run(data_dir, port).wait_ready()
    parts = run.parts()
    # A part that ignores the polite signal: held after it was asked.
    for member in parts["chat"]:
        processes.send(member, signal.SIGSTOP)
    run.process.send_signal(signal.SIGINT)
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 0
    assert _alive(parts) == {}


def test_the_state_file_is_readable_json(data_dir: Path, port: int) -> None:
    run = Run(data_dir, port).wait_ready()
    state = json.loads((data_dir / "run" / "state.json").read_text())
    assert set(state) == {"supervisor", "since", "gateway", "addresses", "replaced", "logs"}
    assert state["addresses"]["gateway"] == f"127.0.0.1:{port}"
    run.end(signal.SIGTERM)
