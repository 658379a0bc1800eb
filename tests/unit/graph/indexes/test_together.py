"""What is done at the same time ends together."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.graph.indexes.together import ahead, together


async def _forever(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("forever")


async def _fails() -> None:
    await asyncio.sleep(0)
    raise ValueError("as it is")


async def test_the_first_failure_ends_the_others_and_is_raised_as_it_is() -> None:
    ended: list[str] = []
    with pytest.raises(ValueError, match="as it is"):
        await together(_forever(ended), _fails())
    assert ended == ["forever"]
    task = asyncio.create_task(together(_forever(ended), _forever(ended)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["forever"] * 3


async def _numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


@pytest.mark.parametrize("count", [0, 1, 2, 9])
async def test_one_is_prepared_while_the_one_before_is_worked_on(count: int) -> None:
    begun: list[int] = []

    async def prepare(number: int) -> int:
        begun.append(number)
        await asyncio.sleep(0)
        return number * number

    found = []
    async for one in ahead(_numbers(count), prepare):
        found.append(one)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(begun) == min(count, len(found) + 1)
    assert found == [number * number for number in range(count)]


async def test_what_cannot_be_prepared_ends_it() -> None:
    async def prepare(number: int) -> int:
        if number == 2:
            raise ValueError("no two")
        return number

    found: list[int] = []

    async def take() -> None:
        async for one in ahead(_numbers(5), prepare):
            found.append(one)  # noqa: PERF401 - those before the failure count

    with pytest.raises(ValueError, match="no two"):
        await take()
    assert found == [0, 1]
