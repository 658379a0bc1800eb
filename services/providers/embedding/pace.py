"""How fast an endpoint may be asked, found out from its answers.

Requests at once: halved when the endpoint refuses one for being too many, one more each time as many as are allowed
have been served (additive increase, multiplicative decrease: Chiu and Jain 1989). Texts in one request: halved when it
is refused for its size, and remembered for a while.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from services.runtime.call import remaining
from services.runtime.errors import UpstreamRateLimited

_REMEMBERED_SECONDS: Final = 600.0


class Pace:
    """The pace of one endpoint. Needs a running event loop."""

    def __init__(self, name: str, *, concurrency: int, batch: int) -> None:
        """`concurrency`, `batch`: most requests at once, most texts in one."""
        self._name = name
        self._most = concurrency
        self._allowed = float(concurrency)
        self._busy = 0
        self._lowered = 0.0
        self._not_before = 0.0
        self._freed = asyncio.Event()
        self._whole_batch = batch
        self._batch = batch
        self._forget_at = 0.0

    @property
    def at_once(self) -> int:
        """Requests that may be under way now."""
        return max(1, int(self._allowed))

    @property
    def batch(self) -> int:
        """Texts that one request may hold now."""
        if self._batch < self._whole_batch and _now() >= self._forget_at:
            self._batch = self._whole_batch
        return self._batch

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[float]:
        """Waits for a turn and holds it; gives the moment at which it began, for `refused`.

        Raises UpstreamRateLimited when the endpoint wants to be left alone for longer than the call lasts.
        """
        while True:
            wait = self._not_before - _now()
            if wait <= 0 and self._busy < self.at_once:
                break
            left = remaining()
            if left is not None and wait >= left:
                raise UpstreamRateLimited(
                    f"the provider of {self._name} allows no more requests at the moment", retry_after=wait
                )
            if wait > 0:
                await asyncio.sleep(wait)
            else:
                self._freed.clear()
                await self._freed.wait()
        self._busy += 1
        try:
            yield _now()
        finally:
            self._busy -= 1
            self._freed.set()

    def served(self) -> None:
        """A request was answered."""
        self._allowed = min(self._most, self._allowed + 1 / self._allowed)

    def refused(self, begun: float, wait: float | None) -> None:
        """A request that began at `begun` was one too many; nobody asks again before `wait` seconds have passed."""
        now = _now()
        # Those that were under way together were refused together: once is enough.
        if begun >= self._lowered:
            self._allowed = max(1.0, self._allowed / 2)
            self._lowered = now
        if wait is not None:
            self._not_before = max(self._not_before, now + wait)

    def too_large(self, texts: int) -> None:
        """A request of so many texts, two or more, was too large."""
        self._batch = min(self._batch, texts // 2)
        self._forget_at = _now() + _REMEMBERED_SECONDS


def _now() -> float:
    return asyncio.get_running_loop().time()
