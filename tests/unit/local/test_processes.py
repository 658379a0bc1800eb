"""Processes are known by number and start together, and end with all they started."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from local.system import processes


@pytest.fixture(params=["this system's way", "by ps"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux reads /proc; other systems ask ps, which Linux has too."""
    if request.param == "by ps":
        monkeypatch.setattr(processes, "_HAS_PROC", False)


@pytest.fixture
def parent() -> Iterator["subprocess.Popen[str]"]:
    """A process with a child in a session of its own, as PostgreSQL's backends are; prints the child's number."""
    script = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()'],"
        " stdin=subprocess.PIPE, start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process
    process.kill()
    process.communicate()


def _child(parent: "subprocess.Popen[str]") -> processes.ProcessId:
    assert parent.stdout is not None
    known = processes.identify(int(parent.stdout.readline()))
    assert known is not None
    return known


@pytest.mark.usefixtures("way")
def test_the_same_process_is_recognized_and_another_is_not() -> None:
    known = processes.identify(os.getpid())
    assert known is not None
    assert known.alive()
    assert not processes.ProcessId(known.pid, known.started + "1").alive()


@pytest.mark.usefixtures("way")
def test_a_process_that_ended_is_gone_before_it_is_waited_for() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert processes.identify(ended.pid) is None
    ended.wait()
    assert processes.identify(ended.pid) is None


@pytest.mark.usefixtures("way")
def test_a_family_is_ended_across_sessions(parent: "subprocess.Popen[str]") -> None:
    child = _child(parent)
    leader = processes.identify(parent.pid)
    assert leader is not None
    assert processes.family(parent.pid) == [leader, child]
    assert processes.end(leader, signal.SIGTERM, 10)
    assert not leader.alive()
    assert not child.alive()


def test_a_held_process_is_ended(parent: "subprocess.Popen[str]") -> None:
    child = _child(parent)
    leader = processes.identify(parent.pid)
    assert leader is not None
    for member in (leader, child):
        processes.send(member, signal.SIGSTOP)
    assert processes.end(leader, signal.SIGTERM, 10)
    assert not child.alive()


def test_one_that_ignores_the_polite_signal_is_killed() -> None:
    script = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); sys.stdin.read()"
    deaf = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert deaf.stdout is not None
    deaf.stdout.readline()
    known = processes.identify(deaf.pid)
    assert known is not None
    assert not processes.end(known, signal.SIGTERM, 0.1)
    deaf.communicate()
    assert deaf.returncode == -signal.SIGKILL


def test_a_process_with_another_start_is_never_signalled(parent: "subprocess.Popen[str]") -> None:
    _child(parent)
    stranger = processes.ProcessId(parent.pid, "another start")
    processes.end(stranger, signal.SIGKILL, 0)
    assert parent.poll() is None
