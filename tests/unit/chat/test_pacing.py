"""A source and its reader, each at its own pace."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from services.chat import pacing
from services.chat.pacing import HEARTBEAT, Paced
from services.runtime.errors import DeadlineExceeded


class Source:
    """Yields what is put into it; an exception is raised, None ends it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.taken = 0
        self.closed = asyncio.Event()

    async def items(self) -> AsyncGenerator[Any, None]:
        try:
            while (item := await self.queue.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                self.taken += 1
                yield item
        finally:
            self.closed.set()

    def put(self, *items: Any) -> None:
        for item in items:
            self.queue.put_nowait(item)


async def read(paced: Paced[Any]) -> list[Any]:
    async with aclosing(paced.items()) as items:
        return [item async for item in items]


def opened(source: Source, heartbeat: float = 60, seconds: float | None = None) -> aclosing[AsyncGenerator[Any, None]]:
    return aclosing(Paced(source.items(), heartbeat=heartbeat, seconds=seconds).items())


async def test_the_first_piece_leaves_at_once_and_the_rest_together() -> None:
    source = Source()
    source.put("a")
    async with opened(source) as items:
        assert await anext(items) == "a"
        source.put("b", "c", 7, "d", "e", None)
        await source.closed.wait()
        assert [item async for item in items] == ["bc", 7, "de"]


async def test_a_source_that_never_waits_lets_its_first_piece_out() -> None:
    source = Source()
    source.put("a", "b", "c", None)
    assert await read(Paced(source.items(), heartbeat=60)) == ["a", "bc"]


async def test_bytes_are_joined_too() -> None:
    source = Source()
    source.put(b"a", b"b", None)
    assert b"".join(await read(Paced(source.items(), heartbeat=60))) == b"ab"


async def test_an_error_comes_after_what_came_before_it() -> None:
    source = Source()
    source.put("a", "b", ValueError("over"))
    got = []

    async def take() -> None:
        async with opened(source) as items:
            async for item in items:
                got.append(item)  # noqa: PERF401

    with pytest.raises(ValueError, match="over"):
        await take()
    assert "".join(got) == "ab"


async def test_an_idle_source_gives_heartbeats() -> None:
    source = Source()
    async with opened(source, heartbeat=0.01) as items:
        assert await anext(items) is HEARTBEAT
        assert await anext(items) is HEARTBEAT
        source.put("a")
        item = await anext(items)
        while item is HEARTBEAT:
            item = await anext(items)
        assert item == "a"


async def test_leaving_closes_the_source() -> None:
    source = Source()
    source.put("a")
    async with opened(source) as items:
        await anext(items)
    assert source.closed.is_set()


async def test_cancelling_the_reader_closes_the_source() -> None:
    source = Source()
    reader = asyncio.create_task(read(Paced(source.items(), heartbeat=60)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert source.closed.is_set()


async def test_a_reader_that_falls_behind_holds_the_source_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "CAPACITY", 10)
    source = Source()
    source.put(*["12345"] * 20, None)
    async with opened(source) as items:
        text = await anext(items)
        for _ in range(50):
            await asyncio.sleep(0)
        assert source.taken <= 6
        async for item in items:
            text += item
    assert text == "12345" * 20


async def test_stop_ends_without_an_error() -> None:
    source = Source()
    source.put("a")
    paced: Paced[Any] = Paced(source.items(), heartbeat=60)
    async with aclosing(paced.items()) as items:
        assert await anext(items) == "a"
        waiting = asyncio.ensure_future(anext(items, None))
        await asyncio.sleep(0)
        paced.stop()
        assert await waiting is None
    assert source.closed.is_set()


async def test_the_deadline_comes_as_an_error() -> None:
    source = Source()
    source.put("a")
    async with opened(source, seconds=pacing.MARGIN + 0.02) as items:
        assert await anext(items) == "a"
        with pytest.raises(DeadlineExceeded):
            await anext(items)
    assert source.closed.is_set()


async def test_an_interval_gathers_pieces() -> None:
    source = Source()

    async def drip() -> None:
        for number in range(40):
            source.put(str(number % 10))
            await asyncio.sleep(0.001)
        source.put(None)

    dripping = asyncio.create_task(drip())
    pieces = await read(Paced(source.items(), heartbeat=60, interval=0.02))
    await dripping
    assert "".join(pieces) == "0123456789" * 4
    assert len(pieces) < 20
    assert pieces[0] == "0"
