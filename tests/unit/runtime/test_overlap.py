"""Work that overlaps keeps its order, its bounds and its errors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from services.runtime.overlap import overlapped


class Works:
    """Work that ends when it is let go, and knows what runs."""

    def __init__(self) -> None:
        self.gates: dict[int, asyncio.Event] = {}
        self.cancelled: list[int] = []
        self.changed = asyncio.Condition()

    async def __call__(self, item: int) -> int:
        self.gates[item] = asyncio.Event()
        async with self.changed:
            self.changed.notify_all()
        try:
            await self.gates[item].wait()
        except asyncio.CancelledError:
            self.cancelled.append(item)
            raise
        if item < 0:
            raise ValueError(item)
        return item * 10

    async def begun(self, *items: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: set(items) <= self.gates.keys())


async def numbers(*items: int, then: Exception | None = None) -> AsyncIterator[int]:
    for item in items:
        yield item
    if then is not None:
        raise then


async def test_the_next_is_in_work_while_one_is_handled_and_the_order_stays() -> None:
    works = Works()
    async with aclosing(overlapped(numbers(1, 2, 3, 4), works, 2)) as results:
        first = asyncio.ensure_future(anext(results))
        await works.begun(1, 2)
        assert set(works.gates) == {1, 2}
        works.gates[2].set()
        works.gates[1].set()
        assert await first == 10
        second = asyncio.ensure_future(anext(results))
        await works.begun(3)
        assert await second == 20
        third = asyncio.ensure_future(anext(results))
        await works.begun(4)
        works.gates[4].set()
        works.gates[3].set()
        assert (await third, await anext(results)) == (30, 40)
        with pytest.raises(StopAsyncIteration):
            await anext(results)


async def test_errors_come_after_everything_before_them() -> None:
    works = Works()
    async with aclosing(overlapped(numbers(1, -2, 3), works, 3)) as results:
        first = asyncio.ensure_future(anext(results))
        await works.begun(1, -2, 3)
        works.gates[-2].set()
        works.gates[1].set()
        assert await first == 10
        with pytest.raises(ValueError, match="-2"):
            await anext(results)
    assert works.cancelled == [3]

    works = Works()
    async with aclosing(overlapped(numbers(1, then=KeyError("source")), works, 3)) as results:
        first = asyncio.ensure_future(anext(results))
        await works.begun(1)
        works.gates[1].set()
        assert await first == 10
        with pytest.raises(KeyError, match="source"):
            await anext(results)


async def test_what_is_in_work_ends_with_the_caller() -> None:
    works = Works()

    async def use() -> None:
        async with aclosing(overlapped(numbers(1, 2, 3), works, 2)) as results:
            async for _ in results:
                pass

    user = asyncio.create_task(use())
    await works.begun(1, 2)
    user.cancel()
    with pytest.raises(asyncio.CancelledError):
        await user
    assert sorted(works.cancelled) == [1, 2]
