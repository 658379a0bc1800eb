"""The cache: memory over a store that all replicas share.

What a reader may rely on:

- A value written through this process is seen by every later read through it.
- A value written through another process is seen at the latest `staleness_bound` seconds after that write: what is in
  memory is given out for that long after the moment it was asked for from the store, and not longer. Reads of one
  process never go back to an older value that the store no longer has, unless the store itself does (a failover).
- A read that was on its way while this process wrote or deleted the same key answers its own caller only; it leaves
  nothing in memory.
- Nothing lives longer than its time to live.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence

from services.cache.limits import Limits
from services.cache.memory import Memory, Slot
from services.cache.meters import Meters
from services.cache.store import TOO_MUCH, Store, Stored
from services.cache.value import Entry, Value, pack, unpack
from services.runtime.errors import PayloadTooLarge, ValueTooLarge


class Cache:
    """Named values; names come from `address`. Not for several threads."""

    def __init__(
        self, store: Store, memory: Memory, limits: Limits, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._memory = memory
        self._limits = limits
        self.meters = Meters(memory)
        self._clock = clock
        # The last read that was begun of each key, as long as it runs and nothing has happened that it may have missed.
        self._fills: dict[bytes, object] = {}
        # Writes of each key that are not settled.
        self._writing: Counter[bytes] = Counter()

    async def get(self, key: bytes) -> Entry | None:
        """The value, or None. Raises StoreUnavailable when it is not in memory and the store does not answer."""
        now = self._clock()
        slot = self._memory.get(key, now)
        if slot is not None:
            self.meters.from_memory += 1
            return _entry(slot.data, _left(slot, now))
        fill = self._begin_fill(key)
        try:
            stored = await self._store.read(key)
            self._end_fill(key, fill, now, stored)
        finally:
            self._drop_fill(key, fill)
        return self._found(stored)

    async def get_many(self, keys: Sequence[bytes]) -> list[Entry | None]:
        """One answer a key, in order. Raises StoreUnavailable; PayloadTooLarge when one answer cannot hold them all."""
        now = self._clock()
        found: dict[bytes, Entry | None] = {}
        held = 0
        for key in keys:
            slot = self._memory.get(key, now)
            if slot is not None and slot.data is not None:
                self.meters.from_memory += 1
                found[key] = _entry(slot.data, _left(slot, now))
                held += len(slot.data)
        room = self._limits.max_answer_bytes - held
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        if missing:
            fills = [(key, self._begin_fill(key)) for key in missing]
            try:
                read = await self._store.read_many(missing, room)
                for (key, fill), stored in zip(fills, read, strict=True):
                    self._end_fill(key, fill, now, stored)
                    found[key] = self._found(stored)
            finally:
                for key, fill in fills:
                    self._drop_fill(key, fill)
        elif room < 0:
            raise PayloadTooLarge(TOO_MUCH)
        return [found[key] for key in keys]

    async def set(self, values: Sequence[tuple[bytes, Value]], ttl_ms: int | None) -> None:
        """Stores values, all for `ttl_ms` milliseconds (None: the default); the last of a repeated key counts.

        Raises ValueTooLarge, and then nothing is stored; StoreUnavailable, and then any of them may be.
        """
        for _, value in values:
            if len(value.content) > self._limits.max_value_bytes:
                raise ValueTooLarge(
                    f"a value of {len(value.content)} bytes is larger than the {self._limits.max_value_bytes} bytes "
                    "a cached value may have; store it in parts or elsewhere"
                )
        ttl = self._limits.default_ttl_ms if ttl_ms is None else ttl_ms
        packed = {key: pack(value) for key, value in values}
        began = self._clock()
        write = self._store.set(list(packed.items()), ttl)
        self._begin_write(list(packed))

        def keep(key: bytes) -> None:
            self._keep(key, packed[key], began, ttl)

        write.settled.add_done_callback(lambda settled: self._end_write(settled, list(packed), keep))
        await write.finish()

    async def delete(self, key: bytes) -> bool:
        """Deletes a value; whether there was one. Raises StoreUnavailable, and then it may be gone or not."""
        write = self._store.delete(key)
        self._begin_write([key])
        write.settled.add_done_callback(lambda settled: self._end_write(settled, [key], self._memory.discard))
        return await write.finish() > 0

    # --- what a read leaves in memory ---

    def _begin_fill(self, key: bytes) -> object:
        fill = object()
        # While a write is on its way nobody can say on which side of it a read falls.
        if key not in self._writing:
            self._fills[key] = fill
        return fill

    def _end_fill(self, key: bytes, fill: object, began: float, stored: Stored | None) -> None:
        if self._fills.get(key) is fill:
            if stored is None:
                self._memory.discard(key)
            else:
                self._keep(key, stored.data, began, stored.ttl_ms)

    def _drop_fill(self, key: bytes, fill: object) -> None:
        if self._fills.get(key) is fill:
            del self._fills[key]

    def _keep(self, key: bytes, data: bytes, began: float, ttl_ms: int | None) -> None:
        """`began`: before the store was asked, so that neither bound is ever counted from too late a moment."""
        if self._limits.staleness_bound <= 0:
            return
        # The store counts whole milliseconds and may drop a value up to one of them earlier.
        expires = None if ttl_ms is None else began + (ttl_ms - 1) / 1000
        usable = began + self._limits.staleness_bound
        self._memory.put(key, data, usable_until=usable if expires is None else min(usable, expires), expires=expires)

    def _found(self, stored: Stored | None) -> Entry | None:
        if stored is None:
            self.meters.missed += 1
            return None
        self.meters.from_store += 1
        return _entry(stored.data, stored.ttl_ms)

    # --- what a write does to memory ---

    def _begin_write(self, keys: Sequence[bytes]) -> None:
        for key in keys:
            self._writing[key] += 1
            self._fills.pop(key, None)
            self._memory.forget(key)

    def _end_write(self, settled: asyncio.Future[int], keys: Sequence[bytes], apply: Callable[[bytes], None]) -> None:
        succeeded = not settled.cancelled() and settled.exception() is None
        for key in keys:
            self._writing[key] -= 1
            if self._writing[key]:
                # A later write of ours is on its way; that one decides what memory holds.
                continue
            del self._writing[key]
            if succeeded:
                apply(key)


def _left(slot: Slot, now: float) -> int | None:
    return None if slot.expires is None else math.ceil((slot.expires - now) * 1000)


def _entry(data: bytes | None, ttl_ms: int | None) -> Entry | None:
    value = unpack(data or b"")
    return None if value is None else Entry(value, ttl_ms)
