"""Keeps one collection's passages in an index."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

from services.graph.feed import Change, Changes, Feed, Reset
from services.graph.indexes import reading
from services.graph.indexes.held import HeldIndex
from services.graph.model import Cursor
from services.graph.points import CollectionInfo, Embedded, Points
from services.runtime.errors import CollectionNotFound, PeerUnavailable

log = logging.getLogger(__name__)

_WATCHER: Final = "graph-index"
"""Its name at the feed. It acknowledges nothing: where it is, is of no use to another process."""
_PHRASES: Final = 2048


class IndexedCollection:
    """Reads all of a collection once, then follows its changes.

    What a question finds is what the collection held at `cursor`, which only moves forward, or something newer.
    """

    def __init__(self, peer: Points, feed: Feed, info: CollectionInfo, held: HeldIndex, mentions: GivenMentions) -> None:
        self.info = info
        self.held = held
        self.cursor: Cursor | None = None
        """Everything up to here is in the index; None: it is being read."""
        self._peer = peer
        self._feed = feed
        self._mentions = mentions
        self._moved = asyncio.Event()
        self._gone = False

    async def run(self, head: Cursor) -> None:
        """Until the collection is deleted, which takes its passages out of the index, or the first error.

        `head`: a place that its feed has reached. Raises PergolaError when the vector service fails.
        """
        try:
            await self._read(head)
            while True:
                await self._follow()
        except CollectionNotFound:
            await self.held.drop(self.info.name)
        finally:
            self._gone = True
            self._move(None)

    async def reached(self, cursor: Cursor) -> None:
        """Returns when everything up to `cursor` is in the index.

        Raises PeerUnavailable when that can't be waited for any more: the run has ended.
        """
        while True:
            if self._gone:
                raise PeerUnavailable("the passage index is built anew")
            if self.cursor is not None and self.cursor.incarnation == cursor.incarnation and self.cursor >= cursor:
                return
            await self._moved.wait()

    async def ready(self) -> None:
        """Returns when the collection was read once. Raises as `reached`."""
        while self.cursor is None:
            if self._gone:
                raise PeerUnavailable("the passage index is built anew")
            await self._moved.wait()

    def _move(self, cursor: Cursor | None) -> None:
        self.cursor = cursor
        # Wakes those who wait now; whoever comes later waits for the next time.
        self._moved.set()
        self._moved = asyncio.Event()

    async def _read(self, head: Cursor) -> None:
        # What is changed while it is read comes again by the feed, behind `head`.
        await self.held.drop(self.info.name)
        count = 0
        async with aclosing(self._peer.scroll(self.info.name)) as batches:
            async for points in batches:
                await self._put(points)
                count += len(points)
        await self._settle()
        log.info("indexed", extra={"collection": self.info.name, "passages": count})
        self._move(head)

    async def _follow(self) -> None:
        """Until the feed says that what is here is of no use any more; then reads everything again."""
        assert self.cursor is not None  # noqa: S101 - it was read
        async with aclosing(self._feed.watch(self.info.name, _WATCHER, self.cursor, with_vector=True)) as events:
            async for event in events:
                if isinstance(event, Changes):
                    await self._apply(event.items)
                    self._move(event.cursor)
                elif isinstance(event, Reset):
                    if event.cursor.incarnation != self.info.incarnation:
                        raise PeerUnavailable("the collection was made anew")
                    self._move(None)
                    await self._read(event.cursor)
                    return
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
        given = [self._mentions.of(self.info.name, one.id) for one in points]
        await self.held.put(await reading.passages(self._peer, self.info.name, points, given))

    async def _settle(self) -> None:
        """Gets vectors for phrases that lead somewhere now and did not before."""
        while wanted := await self.held.wanted(_PHRASES):
            vectors = await reading.embed(self._peer, self.info.name, wanted)
            await self.held.learn(list(vectors), list(vectors.values()))
