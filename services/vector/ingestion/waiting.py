"""Looks after jobs that wait for consumers of the change feed.

They end with the acknowledgement itself; this is for those whose last look was lost with a process, and says so in the
job when a consumer does not come.
"""

import asyncio
import logging

from services.runtime.errors import PergolaError
from services.vector.stores import waiting
from services.vector.stores.database.connections import Database
from services.vector.stores.database.listener import Hints

log = logging.getLogger(__name__)


class Waiting:
    """One look every `poll` seconds; `patience`: seconds of waiting until a job gets a warning."""

    def __init__(self, database: Database, hints: Hints, *, poll: float, patience: float) -> None:
        self._database = database
        self._hints = hints
        self._poll = poll
        self._patience = patience

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            try:
                await self.look()
            except PergolaError as error:
                log.info("waiting jobs were not looked at: %s", error.reason)
            await asyncio.sleep(self._poll)

    async def look(self) -> None:
        """Completes the jobs that wait for nobody any more, and warns of those that wait too long."""
        for tenant, collection_id in await waiting.places(self._database):
            async with self._database.transaction(tenant) as session:
                changed = await waiting.settle(session, tenant, collection_id)
                changed += await waiting.warn(session, tenant, collection_id, self._patience)
            for job in changed:
                self._hints.send("job", job)
