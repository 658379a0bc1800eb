"""Keeps one collection's passages in an index."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import aclosing, suppress
from typing import Final

import numpy as np

from services.graph.feed import Change, Changes, Feed, Reset
from services.graph.indexes import reading
from services.graph.indexes.given import GivenMentions
from services.graph.indexes.held import HeldIndex
from services.graph.indexes.snapshots.standing import Standing
from services.graph.indexes.together import ahead, together
from services.graph.model import Cursor
from services.graph.passages.passage import Passage
from services.graph.points import CollectionInfo, Embedded, Points
from services.graph.store import GivenLog
from services.runtime.errors import CollectionNotFound, PeerUnavailable, PergolaError

log = logging.getLogger(__name__)

_WATCHER: Final = "graph-index"
"""Its name at the feed. It acknowledges nothing: where it is, is of no use to another process."""
_PHRASES: Final = 2048
_AT_ONCE: Final = 500
_HEAR_EVERY: Final = 2.0
"""Seconds, at least: each collection asks the graph store."""
_HEAR_SECONDS: Final = 5.0
"""Most time for the graph store to tell what was said by hand: passages are not kept waiting for it."""


def base(cursor: Cursor) -> str:
    """The incarnation of the collection itself: vector's cursors also say how much of the feed was gone."""
    return cursor.incarnation.partition(".")[0]


def behind(cursor: Cursor | None, head: Cursor) -> bool:
    """Whether an index that is so far with a collection lacks something up to `head`."""
    return cursor is None or base(cursor) != head.incarnation or cursor.seq < head.seq


class IndexedCollection:
    """Reads all of a collection once, then follows its changes, over any number of runs.

    What a question finds is what the collection held at `cursor`, or something newer.
    """

    def __init__(
        self,
        peer: Points,
        feed: Feed,
        given: GivenLog,
        tenant: str,
        info: CollectionInfo,
        held: HeldIndex,
        standing: Standing | None = None,
    ) -> None:
        """`standing`: how far `held` is with it already."""
        self.info = info
        self.held = held
        self.cursor: Cursor | None = None if standing is None else standing.cursor
        """Everything up to here is in the index; None: it is being read."""
        self._peer = peer
        self._feed = feed
        self._log = given
        self._given = GivenMentions(tenant, info.name, None if standing is None else standing.given)
        self._turn = asyncio.Lock()
        """Held by whoever changes passages: what was read of a point must not overtake what came later."""
        self._moved = asyncio.Event()
        self._gone = False

    async def run(self, head: Cursor, poll_seconds: float) -> None:
        """Until something fails, and so without end. `head`: a place that the collection's feed has reached.

        Raises CollectionNotFound when it was deleted or made anew, PergolaError when the vector service fails.
        """
        if self.cursor is None:
            await self._read(head)
        else:
            # A run that ended may have put passages in and not come to their phrases.
            async with self._turn:
                await self._settle()
        await together(self._poll(poll_seconds), self._follow())

    async def end(self) -> None:
        """Takes the collection out of the index; who waits for it gets CollectionNotFound."""
        self._gone = True
        self._move(None)
        await self.held.drop(self.info.name)

    def standing(self) -> Standing | None:
        """How far the index is with it: a view; None while it is read."""
        return None if self.cursor is None else Standing(self.info, self.cursor, self._given.given)

    async def reached(self, cursor: Cursor | None = None) -> None:
        """Returns when everything up to `cursor` is in the index, or, without one, when it was read once.

        Raises CollectionNotFound when the collection is gone.
        """
        while True:
            if self._gone or (cursor is not None and base(cursor) != self.info.incarnation):
                raise CollectionNotFound(f"There is no collection {self.info.name!r} any more.")
            if self.cursor is not None and (cursor is None or self.cursor.seq >= cursor.seq):
                return
            await self._moved.wait()

    def _move(self, cursor: Cursor | None) -> None:
        self.cursor = cursor
        # Wakes those who wait now; whoever comes later waits for the next time.
        self._moved.set()
        self._moved = asyncio.Event()

    async def _read(self, head: Cursor) -> None:
        began = time.monotonic()
        # What is changed while it is read comes again by the feed, behind `head`.
        await self.held.drop(self.info.name)
        await self._hear()
        self._given.taken(self._given.changed)
        count = 0
        async with (
            aclosing(self._peer.scroll(self.info.name)) as batches,
            aclosing(ahead(batches, self._passages)) as read,
        ):
            # While vector looks up what one part needs, the one before goes in.
            async for passages in read:
                await self.held.put(passages)
                count += len(passages)
        await self._settle()
        await self.held.measure()
        seconds = self.held.read_seconds = time.monotonic() - began
        log.info("indexed", extra={"collection": self.info.name, "passages": count, "seconds": round(seconds, 1)})
        self._move(head)

    async def _follow(self) -> None:
        assert self.cursor is not None  # noqa: S101 - it was read
        async with aclosing(self._feed.watch(self.info.name, _WATCHER, self.cursor, with_vector=True)) as events:
            async for event in events:
                if isinstance(event, Reset):
                    if base(event.cursor) != self.info.incarnation:
                        raise CollectionNotFound("The collection was made anew.")
                    # What is gone from the feed this index has not seen: the next run reads what is there.
                    self._move(None)
                    raise PeerUnavailable("the change feed was compacted; the collection is read anew")
                if isinstance(event, Changes):
                    async with self._turn:
                        await self._apply(event.items)
                    self._move(event.cursor)
        raise PeerUnavailable("the change feed ended; it is opened again")

    async def _apply(self, changes: Sequence[Change]) -> None:
        last = {one.point: one for one in changes}
        await self.held.delete([reading.key(self.info.name, one.point) for one in last.values() if one.text is None])
        await self._put(
            [
                Embedded(one.point, one.text, one.vector)
                for one in last.values()
                if one.text is not None and one.vector is not None
            ]
        )
        await self._settle()

    async def _put(self, points: Sequence[Embedded]) -> None:
        await self.held.put(await self._passages(points))

    async def _passages(self, points: Sequence[Embedded]) -> list[Passage]:
        given = [self._given.of(one.id) for one in points]
        return await reading.passages(self._peer, self.info.name, points, given)

    async def _settle(self) -> None:
        """Gets vectors for phrases that lead somewhere now and did not before."""
        while wanted := await self.held.wanted(_PHRASES):
            vectors = await reading.embed(self._peer, self.info.name, wanted)
            await self.held.learn(wanted, np.stack([vectors[one] for one in wanted]))

    async def _poll(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(max(seconds, _HEAR_EVERY))
            await self._hear()
            if changed := sorted(self._given.changed):
                async with self._turn:
                    for first in range(0, len(changed), _AT_ONCE):
                        part = changed[first : first + _AT_ONCE]
                        await self._put(await self._peer.passages(self.info.name, part))
                        self._given.taken(part)
                    await self._settle()

    async def _hear(self) -> None:
        """Reads what was given by hand, if the graph store answers."""
        # Questions are answered without it; what was said meanwhile is heard when it is back.
        with suppress(PergolaError, TimeoutError):
            async with asyncio.timeout(_HEAR_SECONDS):
                await self._given.poll(self._log)
