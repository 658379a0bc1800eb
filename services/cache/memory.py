"""The first level: values in this process, bounded by bytes and by number.

Admission and eviction are S3-FIFO (Yang, Zhang, Qiu, Yue and Rashmi, "FIFO queues are all you need for cache
eviction", SOSP 2023). What is new waits in a small queue (a tenth of the room); only what is asked for again moves on
to the main queue, where each pass costs an entry one of its hits. So an ingestion that reads every key once, which is
how embeddings are looked up, cannot wash out what is hot. A hit moves nothing: it is one lookup and one addition.

Written here rather than taken from a library: those in Python bound the number of entries and not their bytes, and
here values between ten bytes and megabytes share the room.
"""

from collections import OrderedDict
from typing import Final

_SMALL_SHARE: Final = 0.1
_MAX_HITS: Final = 3
_LARGEST_SHARE: Final = 8
"""A value larger than this part of the room stays in Redis alone: it would push out too much."""
_OVERHEAD_BYTES: Final = 250
"""What an entry costs beside key and value: the slot and its places in two tables."""


class Slot:
    """A place in memory. It outlives the value in it, so that a value that is written often keeps its rank."""

    __slots__ = ("data", "expires", "hits", "in_main", "size", "usable_until")

    def __init__(self) -> None:
        self.data: bytes | None = None
        self.usable_until = 0.0
        """When the value may no longer be given out: too old to be sure of, or expired."""
        self.expires: float | None = None
        """When the value's time to live ends; None: it does not expire."""
        self.hits = 0
        self.size = 0
        self.in_main = False


class Memory:
    """A map from address to value; times are on the caller's clock, in seconds. Not for several threads."""

    def __init__(self, *, max_bytes: int, max_entries: int) -> None:
        self.max_bytes = max_bytes
        self.max_entries = max_entries
        self.bytes = 0
        self._slots: dict[bytes, Slot] = {}
        self._small: OrderedDict[bytes, Slot] = OrderedDict()
        self._main: OrderedDict[bytes, Slot] = OrderedDict()
        self._small_bytes = 0
        # Hashes of keys that left the small queue unasked for; asked for again soon, they go straight to the main one.
        self._ghosts: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._slots)

    def get(self, key: bytes, now: float) -> Slot | None:
        """The slot of a value that may be given out at `now`, or None."""
        slot = self._slots.get(key)
        if slot is None:
            return None
        if slot.hits < _MAX_HITS:
            slot.hits += 1
        return slot if slot.data is not None and now < slot.usable_until else None

    def put(self, key: bytes, data: bytes, *, usable_until: float, expires: float | None) -> None:
        """Keeps a value, and lets go of others when there is no room."""
        size = len(key) + len(data) + _OVERHEAD_BYTES
        if size * _LARGEST_SHARE > self.max_bytes or self.max_entries < 1:
            self.discard(key)
            return
        slot = self._slots.get(key)
        if slot is None:
            slot = self._admit(key)
        self._resize(slot, size)
        slot.data = data
        slot.usable_until = usable_until
        slot.expires = expires
        while self.bytes > self.max_bytes or len(self._slots) > self.max_entries:
            self._evict()

    def forget(self, key: bytes) -> None:
        """Drops a value at once; its place and rank stay for the one that is being written."""
        slot = self._slots.get(key)
        if slot is not None and slot.data is not None:
            self._resize(slot, len(key) + _OVERHEAD_BYTES)
            slot.data = None

    def discard(self, key: bytes) -> None:
        """Drops a value and its place."""
        slot = self._slots.pop(key, None)
        if slot is not None:
            del (self._main if slot.in_main else self._small)[key]
            self._resize(slot, 0)

    def _admit(self, key: bytes) -> Slot:
        slot = Slot()
        if hash(key) in self._ghosts:
            del self._ghosts[hash(key)]
            slot.in_main = True
        (self._main if slot.in_main else self._small)[key] = slot
        self._slots[key] = slot
        return slot

    def _resize(self, slot: Slot, size: int) -> None:
        self.bytes += size - slot.size
        if not slot.in_main:
            self._small_bytes += size - slot.size
        slot.size = size

    def _evict(self) -> None:
        """One step of the sweep: at least one queue gets shorter or one entry loses a hit."""
        small_full = (
            self._small_bytes >= self.max_bytes * _SMALL_SHARE or len(self._small) >= self.max_entries * _SMALL_SHARE
        )
        if self._small and (small_full or not self._main):
            self._evict_small()
        else:
            self._evict_main()

    def _evict_small(self) -> None:
        key, slot = self._small.popitem(last=False)
        self._small_bytes -= slot.size
        if slot.hits > 0:
            slot.in_main = True
            slot.hits = 0
            self._main[key] = slot
            return
        del self._slots[key]
        self.bytes -= slot.size
        self._ghosts[hash(key)] = None
        while len(self._ghosts) > max(len(self._main), 16):
            self._ghosts.popitem(last=False)

    def _evict_main(self) -> None:
        key, slot = self._main.popitem(last=False)
        if slot.hits > 0:
            slot.hits -= 1
            self._main[key] = slot
            return
        del self._slots[key]
        self.bytes -= slot.size
