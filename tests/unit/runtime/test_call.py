"""The current call: who it is for, what it opened, and when it ends."""

import asyncio
from time import monotonic

import pytest

from services.runtime import call
from services.runtime.roles import Role


class Stream:
    """Something that can be cancelled, like a grpc.aio call."""

    def __init__(self, *, done: bool = False) -> None:
        self.cancelled = False
        self._done = done

    def done(self) -> bool:
        return self._done or self.cancelled

    def cancel(self) -> bool:
        self.cancelled = True
        return True


def test_there_is_no_call_outside_of_one() -> None:
    assert call.find() is None
    assert call.remaining() is None
    with pytest.raises(RuntimeError, match="acting_as"):
        call.current()


def test_acting_for_a_tenant() -> None:
    with call.acting_as("acme", request_id="r1", deadline=monotonic() + 5) as acting:
        assert call.current() is acting
        assert (acting.tenant, acting.caller, acting.request_id) == ("acme", "background", "r1")
        assert acting.roles == set(Role)
        left = call.remaining()
        assert left is not None
        assert 4 < left <= 5
        with call.acting_as("globex"):
            assert call.current().tenant == "globex"
            assert call.current().request_id == "r1"
            assert call.remaining() is None
        assert call.current() is acting
    assert call.find() is None
    with call.acting_as("acme") as acting:
        assert len(acting.request_id) == 32


def test_time_that_is_over_is_zero() -> None:
    with call.acting_as("acme", deadline=monotonic() - 1):
        assert call.remaining() == 0.0


def test_what_a_call_opened_ends_with_it() -> None:
    running, finished = Stream(), Stream(done=True)
    with call.acting_as("acme"):
        scope = call.scope.get()
        assert scope is not None
        scope.adopt(running)
        scope.adopt(finished)
    assert running.cancelled
    assert not finished.cancelled
    late = Stream()
    scope.adopt(late)
    assert not late.cancelled


def test_a_long_call_does_not_keep_finished_streams() -> None:
    with call.acting_as("acme"):
        scope = call.scope.get()
        assert scope is not None
        for _ in range(1000):
            scope.adopt(Stream(done=True))
        assert scope.opened is not None
        assert len(scope.opened) <= 64


async def test_a_task_keeps_the_call_it_was_started_in() -> None:
    async def look() -> str:
        await asyncio.sleep(0)
        return call.current().tenant

    with call.acting_as("acme"):
        task = asyncio.ensure_future(look())
    assert await task == "acme"
