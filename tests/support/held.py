"""A table of a collection whose statements wait on the server until they are let go, and that server seen from
outside."""

import asyncio
from collections.abc import Callable
from typing import Any

from services.vector.stores.points.layout import Layout
from tests import bounds
from tests.support.steady import steady

_LOOK_SECONDS = 0.002


class Held:
    """By two connections of the superuser to its database, which the maker closes."""

    def __init__(self, watcher: Any, locker: Any, collection_id: int, table: str) -> None:
        self._watcher = watcher
        self._locker = locker
        self.table = Layout(collection_id)[table]

    async def lock(self) -> None:
        """Lets no statement go on that reads or writes the table."""
        await self._locker.execute(f"BEGIN; LOCK TABLE {self.table} IN ACCESS EXCLUSIVE MODE")

    async def unlock(self) -> None:
        await self._locker.execute("ROLLBACK")

    async def execute(self, statement: str) -> None:
        """Within the transaction of `lock`."""
        await self._locker.execute(statement)

    async def until_waiting(self, alone: int, together: int, by: float | None = None) -> None:
        """Until so many statements for one question by vector wait, and so many for several; see `until`."""
        await self._until((alone, together), lambda several: (len(several) - sum(several), sum(several)), by)

    async def until(self, count: int, by: float | None = None) -> None:
        """Until so many statements wait, of whatever kind, at the time `by` of steady() at the latest."""
        await self._until(count, len, by)

    async def _until(self, wanted: object, told: Callable[[list[bool]], object], by: float | None) -> None:
        end = steady() + bounds.RECOVERY if by is None else by
        while (found := told(await self._waiting())) != wanted:
            assert steady() < end, f"{found} still wait, not {wanted}"
            await asyncio.sleep(_LOOK_SECONDS)

    async def _waiting(self) -> list[bool]:
        """Of each statement of a call that waits, whether it asks several questions by vector."""
        # Once a collection, what looks after them in the background reads points too, which it alone does so.
        rows = await self._watcher.fetch(
            "SELECT query LIKE '%unnest%' AS several FROM pg_stat_activity "
            "WHERE wait_event_type = 'Lock' AND datname = current_database() AND query NOT LIKE '%SKIP LOCKED%'"
        )
        return [row["several"] for row in rows]
