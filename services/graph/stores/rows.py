"""The rows of one statement of a caller, as the driver brings them."""

import time
from collections.abc import AsyncGenerator, Sequence
from typing import Final

import neo4j

from services.graph.stores.cypher_values import Json, plan_text, row

_GATHER_SECONDS: Final = 0.05


class BoltRows:
    """A `Rows`."""

    def __init__(self, result: neo4j.AsyncResult, transaction: neo4j.AsyncTransaction, size: int) -> None:
        self._result = result
        self._transaction = transaction
        self._size = size
        self.columns: Sequence[str] = list(result.keys())
        self.finished = False

    async def batches(self) -> AsyncGenerator[Sequence[Sequence[Json]], None]:
        """The first row alone and at once; then as many as came within `_GATHER_SECONDS`."""
        gathered: list[Sequence[Json]] = []
        flushed = 0.0
        async for record in self._result:
            gathered.append(row(record.values()))
            now = time.monotonic()
            if len(gathered) >= self._size or now - flushed > _GATHER_SECONDS:
                yield gathered
                gathered, flushed = [], now
        if gathered:
            yield gathered
        # Some writes are refused only here. Nothing of those who may not write is ever committed.
        await self._transaction.commit()
        self.finished = True

    async def plan(self) -> str:
        summary = await self._result.consume()
        await self._transaction.commit()
        self.finished = True
        return plan_text(summary.plan)
