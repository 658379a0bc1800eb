"""Things that are done at the same time, of which the first failure is everybody's."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
S = TypeVar("S")


async def together(*parts: Coroutine[Any, Any, object]) -> None:
    """Returns when all are done; when one fails the others are cancelled, and its error is raised as it is."""
    tasks = [asyncio.ensure_future(one) for one in parts]
    try:
        await asyncio.gather(*tasks)
    finally:
        await _ended(tasks)


async def ahead(items: AsyncIterator[T], prepare: Callable[[T], Awaitable[S]]) -> AsyncGenerator[S, None]:
    """What `prepare` makes of each item, in order; one is prepared while the one before is worked on."""
    coming: asyncio.Future[S] | None = None
    try:
        async for item in items:
            before, coming = coming, asyncio.ensure_future(prepare(item))
            if before is not None:
                yield await before
        if coming is not None:
            yield await coming
    finally:
        if coming is not None:
            await _ended([coming])


async def _ended(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for one in tasks:
        one.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
