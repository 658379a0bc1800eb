"""Points without end: written in batches while more come in, and read no faster than they are written."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from services.runtime.errors import PergolaError
from services.runtime.overlap import overlapped
from services.vector.points.edits import Edits
from services.vector.points.model import Failure, NewPoint

_POINTS: Final = 1_000
_BYTES: Final = 4 * 1024 * 1024
_AT_ONCE: Final = 2
"""Batches: while the database stores one, the words and numbers of the next are prepared."""
_NAMED: Final = 100


@dataclass(frozen=True, slots=True)
class Arrival:
    """A point as it came in, or why there is none. `size`: about what it takes of the memory, in bytes."""

    index: int
    point: NewPoint | Failure
    size: int


@dataclass(slots=True)
class Imported:
    """How an import went; the first failures are named."""

    stored: int = 0
    failed: int = 0
    failures: list[Failure] = field(default_factory=list)


@dataclass(slots=True)
class _Batch:
    arrivals: list[Arrival] = field(default_factory=list)
    size: int = 0
    failures: list[Failure] = field(default_factory=list)
    """Once it is stored."""


class Imports:
    """Stores points as they arrive."""

    def __init__(self, edits: Edits) -> None:
        self._edits = edits

    async def run(self, tenant: str, collection: str, arrivals: AsyncIterator[Sequence[Arrival]]) -> Imported:
        """Stores all points; durable and searchable when it returns.

        What is wrong with one point is its own failure. Of the same id the later point stays. An error that ends the
        import says how far it came. Raises CollectionNotFound, Aborted, and what embedding raises.
        """
        result = Imported()
        through = 0
        # Before anything is sent in vain; and all batches go to the same collection, whatever its name comes to mean.
        incarnation = await self._edits.incarnation(tenant, collection)
        stored: dict[str, asyncio.Event] = {}

        async def store(batch: _Batch) -> _Batch:
            points = [(one.index, one.point) for one in batch.arrivals if isinstance(one.point, NewPoint)]
            ids = {point.id for _, point in points}
            before = {event for id in ids if (event := stored.get(id)) is not None}
            done = asyncio.Event()
            stored.update(dict.fromkeys(ids, done))
            try:
                for event in before:
                    # The later one of two points with the same id must not be overtaken.
                    await event.wait()
                sent = [point for _, point in points]
                failures = await self._edits.upsert_fit(tenant, collection, incarnation, sent)
            finally:
                done.set()
                for id in ids:
                    if stored.get(id) is done:
                        del stored[id]
            batch.failures = [one.point for one in batch.arrivals if isinstance(one.point, Failure)]
            batch.failures.extend(dataclasses.replace(one, index=points[one.index][0]) for one in failures)
            return batch

        try:
            async with aclosing(overlapped(_batches(arrivals), store, _AT_ONCE)) as batches:
                async for batch in batches:
                    _count(result, batch)
                    through = batch.arrivals[-1].index + 1
        except PergolaError as error:
            raise _told(error, through) from None
        return result


async def _batches(arrivals: AsyncIterator[Sequence[Arrival]]) -> AsyncIterator[_Batch]:
    batch = _Batch()
    async for some in arrivals:
        for one in some:
            batch.arrivals.append(one)
            batch.size += one.size
            if len(batch.arrivals) >= _POINTS or batch.size >= _BYTES:
                yield batch
                batch = _Batch()
    if batch.arrivals:
        yield batch


def _count(result: Imported, batch: _Batch) -> None:
    result.failed += len(batch.failures)
    result.stored += len(batch.arrivals) - len(batch.failures)
    room = _NAMED - len(result.failures)
    result.failures.extend(sorted(batch.failures, key=lambda one: one.index)[:room])


def _told(error: PergolaError, through: int) -> PergolaError:
    """The error, with how many points from the first one on need not be sent again."""
    if not through:
        return error
    words = f"{error.message} The first {through:,} points are dealt with; send the others again, or all of them."
    return type(error)(
        words,
        violations=error.violations,
        retry_after=error.retry_after,
        metadata={**error.metadata, "stored_through": str(through)},
    )
