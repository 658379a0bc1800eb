"""Statements whose callers have left are ended, whenever the store begins with them."""

import asyncio

import pytest

from services.graph.stores.ending import Ending
from services.graph.stores.slots import Slots
from services.runtime.errors import ResourceExhausted, StoreUnavailable
from tests import bounds
from tests.support.steady import steady


class Store:
    """Works on one statement from some time on, until it is told to end it."""

    def __init__(self, begins: float | None) -> None:
        self._begins = None if begins is None else steady() + begins
        self._away = True
        self.ended: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def end(self, _mark: str) -> bool:
        if self._away:
            # Not to be reached once is no answer.
            self._away = False
            raise StoreUnavailable("away")
        if self._begins is None or steady() < self._begins or self.ended.done():
            return False
        self.ended.set_result(steady() - self._begins)
        return True


@pytest.mark.parametrize("begins", [0.0, 0.7])
async def test_it_is_ended_soon_after_it_begins(begins: float) -> None:
    slots = Slots(1)
    slots.take("t")
    store = Store(begins)
    ending = Ending(store.end, slots)
    ending.begin("t", "mark", known=False)
    assert await store.ended < bounds.AFTER_CANCEL
    await ending.close()
    # What was seen and is gone is over.
    slots.take("t")


async def test_what_is_known_and_gone_gives_its_slot_back_at_once() -> None:
    slots = Slots(1)
    slots.take("t")
    with pytest.raises(ResourceExhausted):
        slots.take("t")
    ending = Ending(Store(None).end, slots)
    ending.begin("t", "mark", known=True)
    await ending.close()
    slots.take("t")
