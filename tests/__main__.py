"""All tests, in two sessions of pytest side by side, each on servers of its own: `python -m tests`.

Most tests wait for a server more than they work, so that one session leaves half of two cores idle. What a session
prints comes line by line, with its number in front. The last lines name every test that failed, with its reason, and
the slowest ones, and count the tests of both: whoever sees only the end of a long log still learns what to look at. A
signal ends both sessions, which stop what they started before.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_SECOND: Final = ("tests/integration/graph",)
"""What the second session runs, on both graph stores; the first has everything else. About half of the time each."""

_REASON_LINES: Final = 12
_SLOWEST: Final = 10


def main() -> int:
    # Apart from each other, so that neither takes the other's servers for those of a run that was killed.
    roots = [Path(tempfile.gettempdir()) / f"pergola-tests-{os.getuid()}" / str(number) for number in (1, 2)]
    with tempfile.TemporaryDirectory(prefix="pergola-reports-") as folder:
        reports = [Path(folder) / f"{number}.xml" for number in (1, 2)]
        choices = [[f"--ignore={path}" for path in _SECOND], list(_SECOND)]
        sessions: list[subprocess.Popen[str]] = []
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _received, _frame: _end(sessions))
        for choice, root, report in zip(choices, roots, reports, strict=True):
            sessions.append(_start(choice, root, report))
        readers = [
            threading.Thread(target=_relay, args=(number, session)) for number, session in enumerate(sessions, 1)
        ]
        for reader in readers:
            reader.start()
        codes = [session.wait() for session in sessions]
        for reader in readers:
            reader.join()
        suites = [suite for report in reports for suite in _suites(report)]
    found = sum((_counted(suite) for suite in suites), Counter[str]())
    cases = [case for suite in suites for case in suite.iter("testcase")]
    for case in sorted(cases, key=_seconds, reverse=True)[:_SLOWEST]:
        print(f"{_seconds(case):6.1f} s  {_name(case)}")
    for case in cases:
        for failure in (*case.iter("failure"), *case.iter("error")):
            print(f"FAILED {_name(case)}")
            # Pytest ends a report with the error and its place.
            for line in (failure.text or failure.get("message") or "").splitlines()[-_REASON_LINES:]:
                print(f"  {line}")
    failed = found["failures"] + found["errors"]
    passed = found["tests"] - failed - found["skipped"]
    print(f"{passed} passed, {failed} failed, {found['skipped']} skipped", flush=True)
    return max(codes, key=abs)


def _start(choice: Sequence[str], root: Path, report: Path) -> "subprocess.Popen[str]":
    root.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", f"--junitxml={report}", *choice],
        env=os.environ | {"PYTEST_DEBUG_TEMPROOT": str(root), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # Ctrl-C comes from here as well, and once.
        start_new_session=True,
    )


def _end(sessions: Sequence["subprocess.Popen[str]"]) -> None:
    for session in sessions:
        if session.poll() is None:
            session.terminate()


def _relay(number: int, session: "subprocess.Popen[str]") -> None:
    assert session.stdout is not None
    for line in session.stdout:
        print(f"{number}| {line}", end="", flush=True)


def _suites(report: Path) -> list[ET.Element]:
    """What a session's tests came to; nothing where it ended before it could say so."""
    if not report.exists():
        return []
    # Written by our own session a moment ago.
    return list(ET.parse(report).getroot().iter("testsuite"))  # noqa: S314


def _counted(suite: ET.Element) -> Counter[str]:
    return Counter({name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")})


def _name(case: ET.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"


def _seconds(case: ET.Element) -> float:
    return float(case.get("time", "0"))


if __name__ == "__main__":
    sys.exit(main())
