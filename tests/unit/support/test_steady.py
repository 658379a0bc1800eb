"""The clock that stands still while the machine does: what a processor loses does not count, all else does."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests import bounds, stacks
from tests.support import steady as steadying
from tests.support.steady import Watch, steady, undisturbed


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    watch.close()


def test_what_a_processor_loses_is_told_while_it_stands_still_and_afterwards(watch: Watch) -> None:
    before = watch.lost()
    stopped = watch.watchers[0]
    stopped.send_signal(signal.SIGSTOP)
    end = time.monotonic() + bounds.RECOVERY
    while watch.lost() < before + 0.3:
        assert time.monotonic() < end
    stopped.send_signal(signal.SIGCONT)
    # What looked like a loss of the other one just before may have been none.
    for _ in range(1000):
        assert watch.lost() >= before + 0.25


def test_time_that_was_used_counts() -> None:
    # Another try for a machine that lost all of it.
    for _ in range(10):
        began, steadily = time.monotonic(), steady()
        while time.monotonic() < began + 0.1:
            pass
        if 0.05 < steady() - steadily < 0.2:
            return
    pytest.fail("the clock stands still although the machine does not")


def test_watchers_end_with_who_started_them() -> None:
    # They hold its standard output open as long as they live.
    code = "from tests.support.steady import steady; steady(); print('begun', flush=True); input()"
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=stacks.CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"begun\n"
        parent.kill()
        assert select.select([parent.stdout], [], [], bounds.RECOVERY)[0]
        assert os.read(parent.stdout.fileno(), 1) == b""


async def test_an_attempt_is_made_again_just_where_it_was_disturbed(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steadying, "_watch", watch)
    tried = 0

    async def fails() -> None:
        nonlocal tried
        tried += 1
        if tried == 1:
            watch.watchers[0].send_signal(signal.SIGSTOP)
            began, lost = time.monotonic(), watch.lost()
            while watch.lost() < lost + 0.1:
                assert time.monotonic() < began + bounds.RECOVERY
            watch.watchers[0].send_signal(signal.SIGCONT)
        raise AssertionError

    with pytest.raises(AssertionError):
        await undisturbed(fails)
    assert tried > 1
