"""Questions by vector, gathered: while several are under way, those that come go together in the next statement.

However many ask, a collection has a few statements under way, and connections stay free for all else. A question that
comes while there are fewer is asked at once. Collections don't wait for each other.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from services.runtime.call import acting_as, find
from services.vector.model import Collection, ScoredPoint, Vector
from services.vector.stores.database.connections import Database
from services.vector.stores.points import nearest as store

MOST: Final = store.MOST
_TOGETHER: Final = 16
"""Questions of one statement at most: the first one's answer waits for the last one's."""


@dataclass(slots=True, eq=False)
class _Asked:
    """A question that waits, or is under way with others."""

    vector: Vector
    answer: "asyncio.Future[list[ScoredPoint]]"
    deadline: float | None
    batch: "_Batch | None" = None


@dataclass(slots=True, eq=False)
class _Batch:
    """Questions under way together, for as long as somebody waits for one of them."""

    awaited: int
    task: "asyncio.Task[None] | None" = None


@dataclass(slots=True, eq=False)
class _Line:
    """The questions to one collection."""

    running: int = 0
    """Statements under way."""
    waiting: dict[tuple[int, bool], list[_Asked]] = field(default_factory=dict)
    """By what they have in common: `k`, and whether with payload."""


class Nearest:
    """Asks for the nearest points; `at_once` statements a collection and process."""

    def __init__(self, database: Database, at_once: int) -> None:
        self._database = database
        self._at_once = at_once
        self._lines: dict[int, _Line] = {}

    async def of(self, collection: Collection, vector: Vector, k: int, *, with_payload: bool) -> list[ScoredPoint]:
        """The `k` nearest points, best first; `k` is MOST at most.

        Raises CollectionNotFound, StoreUnavailable, DeadlineExceeded.
        """
        line = self._lines.get(collection.id)
        if line is None:
            line = self._lines[collection.id] = _Line()
        if line.running < self._at_once:
            line.running += 1
            try:
                async with self._database.session() as session:
                    return (await store.find(session, collection, [vector], k, with_payload=with_payload))[0]
            finally:
                self._ended(collection, line)
        call = find()
        one = _Asked(vector, asyncio.get_running_loop().create_future(), call.deadline if call else None)
        common = k, with_payload
        line.waiting.setdefault(common, []).append(one)
        try:
            return await one.answer
        finally:
            if one.batch is None:
                # It left before its turn.
                line.waiting[common].remove(one)
                if not line.waiting[common]:
                    del line.waiting[common]
            else:
                one.batch.awaited -= 1
                if not one.batch.awaited and one.batch.task is not None:
                    # Nobody is left who waits for it; a statement that has ended does not mind.
                    one.batch.task.cancel()

    async def of_each(
        self, collection: Collection, vectors: Sequence[Vector], k: int, *, with_payload: bool
    ) -> list[list[ScoredPoint]]:
        """The same for several vectors, in one statement.

        Raises CollectionNotFound, StoreUnavailable, DeadlineExceeded.
        """
        async with self._database.session() as session:
            return await store.find(session, collection, vectors, k, with_payload=with_payload)

    def _ended(self, collection: Collection, line: _Line) -> None:
        """A statement has ended: the next one, with all that waited for it, or none."""
        if not line.waiting:
            line.running -= 1
            if not line.running:
                self._lines.pop(collection.id, None)
            return
        common = next(iter(line.waiting))
        alike = line.waiting[common]
        asked, rest = alike[:_TOGETHER], alike[_TOGETHER:]
        if rest:
            line.waiting[common] = rest
        else:
            del line.waiting[common]
        batch = _Batch(len(asked))
        for one in asked:
            one.batch = batch
        batch.task = asyncio.create_task(self._together(collection, asked, *common))
        # Not by the task itself: one that is cancelled before its first step never runs.
        batch.task.add_done_callback(lambda _: self._ended(collection, line))

    async def _together(self, collection: Collection, asked: list[_Asked], k: int, with_payload: bool) -> None:
        deadlines = [one.deadline for one in asked if one.deadline is not None]
        # The one with the most time decides: who has less is told by his own call.
        latest = max(deadlines) if len(deadlines) == len(asked) else None
        try:
            with acting_as(collection.tenant, deadline=latest):
                async with self._database.session() as session:
                    found = await store.find(
                        session, collection, [one.vector for one in asked], k, with_payload=with_payload
                    )
        except BaseException as error:
            for one in asked:
                if not one.answer.done():
                    if isinstance(error, Exception):
                        one.answer.set_exception(error)
                    else:
                        one.answer.cancel()
            if not isinstance(error, Exception):
                raise
        else:
            for one, answer in zip(asked, found, strict=True):
                if not one.answer.done():
                    one.answer.set_result(answer)
