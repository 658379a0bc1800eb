"""Makes a history that fails as short as it can be."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def shortest(whole: Sequence[T], fails: Callable[[Sequence[T]], Awaitable[bool]]) -> list[T]:
    """Parts are left out, large ones first, as long as what is left still fails; `whole` does."""
    left = list(whole)
    size = len(left) // 2
    while size:
        begin = 0
        while begin < len(left):
            fewer = left[:begin] + left[begin + size :]
            if await fails(fewer):
                left = fewer
            else:
                begin += size
        size //= 2
    return left
