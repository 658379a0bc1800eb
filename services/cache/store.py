"""What the cache asks of its second level, the store that all replicas share."""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

TOO_MUCH: Final = "the values are larger than one answer may be; ask for fewer keys at once"
"""The text of a PayloadTooLarge."""


class Stored(NamedTuple):
    """A packed value as the store holds it."""

    data: bytes
    ttl_ms: int | None
    """Milliseconds it has to live, rounded up; None: it does not expire."""


class Write(Protocol):
    """A write on its way."""

    settled: asyncio.Future[int]
    """How many keys the store changed, or a StoreUnavailable. It becomes done when nothing of this write can happen
    any more through this process, even if its caller has long gone: a caller that is cancelled does not settle it."""

    async def finish(self) -> int:
        """Waits until it is settled. Whoever is cancelled here, or out of time, gives it up if it was not sent yet; if
        it was, the outcome is open."""


class Store(Protocol):
    """Every method raises StoreUnavailable when the store does not answer in time: within the current call's deadline,
    with a little left to say so, and never later than the store's own limit."""

    async def read(self, key: bytes) -> Stored | None: ...

    async def read_many(self, keys: Sequence[bytes], max_bytes: int) -> list[Stored | None]:
        """One answer a key, in order. PayloadTooLarge when the values exceed `max_bytes` together."""

    def set(self, values: Sequence[tuple[bytes, bytes]], ttl_ms: int) -> Write:
        """Begins to store values; writes of this process reach the store in the order they were begun."""

    def delete(self, key: bytes) -> Write:
        """Begins to delete a value."""
