"""How long the change feed keeps what everybody has read."""

import logging
from typing import Final

from services.vector.model import Collection
from services.vector.stores import consumers
from services.vector.stores.database.connections import Database
from services.vector.stores.points import changes

log = logging.getLogger(__name__)

_DAY: Final = 86_400.0
_LOOKED_AT: Final = 100_000
"""Changes that one round looks at, and drops, at most."""
_BATCH: Final = 5_000
"""Changes dropped in a transaction: writers wait for it at the collection's head, for some milliseconds."""


class Retention:
    """Compacts feeds: drops what all consumers have acknowledged and is old, and consumers that never come back."""

    def __init__(self, database: Database, *, keep_days: float, consumer_days: float, least: int = 1_000) -> None:
        """`least`: changes below which a round, which reads the whole feed once, is not worth it."""
        self._database = database
        self._keep = keep_days * _DAY
        self._silent = consumer_days * _DAY
        self._least = least

    async def tend(self, collection: Collection) -> int:
        """One round; returns how many changes were dropped.

        Raises CollectionNotFound, StoreUnavailable.
        """
        async with self._database.session() as session:
            head = await changes.head(session, collection)
        async with self._database.transaction(collection.tenant) as session:
            dropped = await consumers.drop_silent(session, collection, head, self._silent)
            slowest = await consumers.slowest(session, collection)
        if dropped:
            log.info("silent consumers were dropped", extra={"collection": collection.id, "consumers": dropped})
        async with self._database.session() as session:
            if not await changes.ripe(session, collection, self._least, self._keep):
                return 0
            limit = await changes.limit(
                session, collection, head if slowest is None else slowest, self._keep, _LOOKED_AT
            )
            if not limit:
                return 0
            gone = await changes.superseded(session, collection, limit, _LOOKED_AT)
        for first in range(0, len(gone.seqs), _BATCH):
            part = changes.Superseded(gone.seqs[first : first + _BATCH], gone.final[first : first + _BATCH])
            async with self._database.session() as session:
                await changes.drop(session, collection, part)
        if len(gone.seqs) < _LOOKED_AT:
            async with self._database.session() as session:
                await changes.compacted(session, collection, limit)
        return len(gone.seqs)
