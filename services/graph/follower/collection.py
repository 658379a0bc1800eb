"""Follows one collection: its changes go into the graph exactly once."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Final, TypeVar

from services.graph.extraction.names import names_of
from services.graph.extraction.sentences import sentences_of
from services.graph.feed import Change, Changes, Event, Feed, Reset, Text
from services.graph.follower.meters import FollowerMeters
from services.graph.indexes.keeper import Indexes
from services.graph.model import Claim, Cursor, FenceLost, Passage
from services.graph.store import Writer
from services.runtime.errors import CollectionNotFound, CursorMismatch, PeerUnavailable, PergolaError, TenantForbidden

log = logging.getLogger(__name__)

T = TypeVar("T")

_RELEASE_SECONDS: Final = 2.0

CONSUMER: Final = "graph"
"""The name under which changes are acknowledged, and that `wait_for` of the vector service knows."""


@dataclass(frozen=True, slots=True)
class Pace:
    lease_seconds: float
    batch: int
    """Passages in one transaction."""


class CollectionFollower:
    """One run: from the claim to its loss, to the collection's end, or to the first error.

    Whatever happens, what is in the graph and the cursor that says so were committed together, so the next run, here
    or elsewhere, goes on where this one ended.
    """

    def __init__(
        self,
        store: Writer,
        feed: Feed,
        indexes: Indexes,
        tenant: str,
        collection: str,
        pace: Pace,
        meters: FollowerMeters,
    ) -> None:
        self._store = store
        self._feed = feed
        self._indexes = indexes
        self._tenant = tenant
        self._collection = collection
        self._pace = pace
        self._meters = meters

    async def run(self, holder: str, head: Cursor | None) -> bool:
        """Follows until the claim is lost or the collection is gone; `head` None: it was not among the sources.
        Returns whether nothing is left to do; False when another has the claim.

        Raises PergolaError when a store or peer fails.
        """
        if head is None and not await self._gone():
            return True
        claim = await self._store.claim(self._tenant, self._collection, holder, self._pace.lease_seconds)
        if claim is None:
            return False
        log.info("following", extra={"tenant": self._tenant, "collection": self._collection, "fence": claim.fence})
        try:
            if head is not None:
                await self._follow_to_the_end(claim, head)
            await self._clear(claim, given=True)
            await self._store.forget(claim)
            log.info("forgotten", extra={"tenant": self._tenant, "collection": self._collection})
            return True
        except asyncio.CancelledError:
            # The process stops: the next one need not wait for the lease to end.
            await asyncio.shield(self._release(claim))
            raise
        except FenceLost:
            log.info("another follows now", extra={"tenant": self._tenant, "collection": self._collection})
            return False

    async def _gone(self) -> bool:
        """Whether the collection, which is not among the sources, does not exist any more."""
        try:
            return not await self._feed.exists(self._collection)
        except TenantForbidden:
            # A tenant that this installation does not have any more: nobody told us to remove what it had.
            return False

    async def _follow_to_the_end(self, claim: Claim, head: Cursor) -> None:
        """Returns when the collection has been deleted."""
        cursor = claim.cursor
        if cursor is None:
            cursor = await self._start_over(claim, Cursor(head.incarnation, 0))
        try:
            # Of a collection that was deleted: the reset comes with the first event.
            with suppress(CursorMismatch):
                # The run before this one may have committed what it could not acknowledge any more.
                left = await self._feed.acknowledge(self._collection, CONSUMER, cursor)
                self._meters.caught(0, left, self._tenant, self._collection)
            await self._apply_all(claim, cursor)
        except CollectionNotFound:
            return
        raise PeerUnavailable("the change feed ended; it is opened again")

    async def _apply_all(self, claim: Claim, cursor: Cursor) -> None:
        async with (
            aclosing(self._feed.watch(self._collection, CONSUMER, cursor)) as feed,
            aclosing(self._renewing(claim, feed)) as events,
        ):
            async for event in events:
                if isinstance(event, Reset):
                    cursor = await self._start_over(claim, event.cursor)
                elif isinstance(event, Changes):
                    cursor = await self._take(claim, cursor, event)
                    # Who waits for the graph may then ask it: Retrieve of this process finds these passages.
                    await self._kept(claim, self._indexes.reached(self._tenant, self._collection, cursor))
                    left = await self._feed.acknowledge(self._collection, CONSUMER, cursor)
                    self._meters.caught(len(event.items), left, self._tenant, self._collection)

    async def _renewing(self, claim: Claim, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The events; between them the lease is kept."""
        try:
            while True:
                yield await self._kept(claim, anext(events))
        except StopAsyncIteration:
            return

    async def _kept(self, claim: Claim, awaited: Awaitable[T]) -> T:
        """What is awaited; meanwhile the lease is kept."""
        coming = asyncio.ensure_future(awaited)
        try:
            while not (await asyncio.wait({coming}, timeout=self._pace.lease_seconds / 3))[0]:
                await self._store.renew(claim, self._pace.lease_seconds)
            return coming.result()
        finally:
            if not coming.done():
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    async def _take(self, claim: Claim, cursor: Cursor, changes: Changes) -> Cursor:
        items = [item for item in changes.items if item.seq > cursor.seq]
        for begin in range(0, len(items), self._pace.batch):
            part = items[begin : begin + self._pace.batch]
            last = begin + len(part) == len(items)
            after = changes.cursor if last else Cursor(changes.cursor.incarnation, part[-1].seq)
            # Off the loop: this process answers calls meanwhile.
            upserts, deletes = await asyncio.to_thread(derive, part)
            await self._store.apply(claim, cursor, after, upserts, deletes, self._pace.lease_seconds)
            cursor = after
        return cursor

    async def _start_over(self, claim: Claim, cursor: Cursor) -> Cursor:
        # What callers said of passages holds for those that come again, but not for another collection of this name.
        await self._clear(claim, given=claim.incarnation not in ("", cursor.incarnation))
        await self._store.begin(claim, cursor, self._pace.lease_seconds)
        return cursor

    async def _clear(self, claim: Claim, *, given: bool) -> None:
        while not await self._store.clear(claim, self._pace.lease_seconds, given=given):
            pass

    async def _release(self, claim: Claim) -> None:
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._store.release(claim)
        except (PergolaError, FenceLost, TimeoutError):
            log.debug("a claim was not given back; its lease will end by itself")


def derive(changes: Sequence[Change]) -> tuple[list[Passage], list[str]]:
    """The passages that changes leave behind, and the points that are none any more; the last change of a point
    counts."""
    last = {change.point: change.text for change in changes}
    upserts = [passage_of(point, text) for point, text in last.items() if text is not None]
    return upserts, [point for point, text in last.items() if text is None]


def passage_of(point: str, text: Text) -> Passage:
    """What a point's text says."""
    return Passage(
        point,
        text.document,
        text.title,
        text.index,
        tuple(names_of(text.text, text.title, text.heading_path)),
        tuple(sentences_of(text.text)),
        _digest(text),
    )


def _digest(text: Text) -> str:
    whole = "\0".join((text.title, *text.heading_path, text.text))
    return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()
