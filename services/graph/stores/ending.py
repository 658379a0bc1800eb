"""Ends, in the store, the statements whose callers have left."""

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable
from typing import Final

from services.graph.stores.slots import Slots
from services.runtime.errors import PergolaError

_SHORTEST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 30.0
_BEGUN_BY: Final = 5.0
"""Seconds after which a server has begun with whatever it was sent, or never will."""
_LAST_SECONDS: Final = 2.0


class Ending:
    """`end` asks the store to end the statements with a mark and says whether there were any; it raises PergolaError
    when the store does not answer."""

    def __init__(self, end: Callable[[str], Awaitable[bool]], slots: Slots) -> None:
        self._end = end
        self._slots = slots
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, holder: str, mark: str, *, known: bool) -> None:
        """Ends the statement with this mark, and then gives back the slot of its holder.

        known: the server shows it until it is over. Otherwise it may not have read it yet, so that not to find it at
        first means nothing.
        """
        # In a context of its own: the call's deadline is over, or nearly, and must not bound the end of its statement.
        task = asyncio.get_running_loop().create_task(self._for_good(mark, known=known), context=contextvars.Context())
        task.add_done_callback(lambda _: self._slots.give_back(holder))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Statements cut short by the stop itself are still ended in the store."""
        ending = set(self._running)
        if ending:
            await asyncio.wait(ending, timeout=_LAST_SECONDS)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _for_good(self, mark: str, *, known: bool) -> None:
        began = time.monotonic()
        while True:
            try:
                running = await self._end(mark)
            except PergolaError:
                pass
            else:
                if not running and (known or time.monotonic() - began >= _BEGUN_BY):
                    return
                known = known or running
            # A quarter of the time so far: a statement that the server begins with late is found soon, and one that
            # can't be ended is not asked for all the time.
            passed = time.monotonic() - began
            await asyncio.sleep(min(max(_SHORTEST_PAUSE, passed / 4), _LONGEST_PAUSE))
