"""Work that overlaps: while the caller is busy with one result, the next ones are being made."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def overlapped(
    source: AsyncIterator[T], work: Callable[[T], Awaitable[R]], at_once: int
) -> AsyncGenerator[R, None]:
    """What `work` makes of each item, in the order of `source`, with at most `at_once` items in work.

    The work on the items that follow goes on while the caller is busy with one. What `source` or `work` raises is
    raised in its turn, after everything before it was handed out. Closing the generator cancels what is in work.
    """
    running: deque[asyncio.Task[R]] = deque()
    failed: BaseException | None = None
    ended = False
    try:
        while True:
            while not ended and len(running) < at_once:
                try:
                    item = await anext(source)
                except StopAsyncIteration:
                    ended = True
                except Exception as error:
                    failed, ended = error, True
                else:
                    running.append(asyncio.ensure_future(work(item)))
            if not running:
                break
            result = await running[0]
            running.popleft()
            yield result
        if failed is not None:
            raise failed
    finally:
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
            for task in running:
                # Taken note of, or the loop would complain about what nobody waited for.
                _ = task.cancelled() or task.exception()
