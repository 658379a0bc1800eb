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
    try:
        os.waitpid(stopped.pid, os.WUNTRACED)
        # Time itself has to pass; the clock sees it at once.
        time.sleep(0.3)
        # What looked like a loss of the other one just before may have been none.
        assert watch.lost() >= before + 0.25
    finally:
        # A stopped one would not see that it is to end.
        stopped.send_signal(signal.SIGCONT)
    continued = time.monotonic()
    while watch.looks()[0] < continued:
        assert time.monotonic() < continued + bounds.RECOVERY
    assert watch.lost() >= before + 0.25


def test_without_one_of_its_watchers_it_tells_nothing(watch: Watch) -> None:
    watch.watchers[0].kill()
    watch.watchers[0].wait()
    with pytest.raises(RuntimeError, match="has ended"):
        watch.lost()


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


@pytest.mark.parametrize("disturbed", [0, 1, 20])
async def test_an_attempt_is_made_again_just_where_it_was_disturbed(
    monkeypatch: pytest.MonkeyPatch, disturbed: int
) -> None:
    made = 0

    def now() -> float:
        return time.monotonic() - min(made, disturbed)

    async def fails() -> None:
        nonlocal made
        made += 1
        raise AssertionError(made)

    monkeypatch.setattr(steadying, "steady", now)
    with pytest.raises(AssertionError) as caught:
        await undisturbed(fails)
    assert caught.value.args == (min(disturbed + 1, 5),)


async def test_an_attempt_that_succeeds_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0

    async def succeeds_then() -> None:
        nonlocal made
        made += 1
        assert made == 2

    monkeypatch.setattr(steadying, "steady", lambda: time.monotonic() - made)
    await undisturbed(succeeds_then)
    assert made == 2
