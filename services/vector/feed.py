"""The change feed: who may be followed, what changed, and how far each consumer is."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from services.runtime.errors import CollectionNotFound, CursorMismatch
from services.vector.collections import Catalogue
from services.vector.model import Change, Collection, Consumer, Cursor
from services.vector.stores import collections as collection_store
from services.vector.stores import consumers, waiting
from services.vector.stores.database.connections import Database
from services.vector.stores.database.listener import Hints
from services.vector.stores.points import changes as store

_CHANGES: Final = 500
_BYTES: Final = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """A collection that asks to be followed."""

    tenant: str
    collection: str
    head: Cursor


@dataclass(frozen=True, slots=True)
class Reset:
    """The consumer must forget what it derived; what follows begins behind this cursor."""

    cursor: Cursor


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes in order, and the place behind them."""

    changes: Sequence[Change]
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing new; where the feed ends."""

    head: Cursor


class Feed:
    """Reads the feeds of collections.

    A feed that was compacted begins anew with what is left. Whoever has begun there needs no deletion that was gone by
    then, and has that number in the incarnation of its cursors: `<incarnation>.<number>`.
    """

    def __init__(
        self, database: Database, hints: Hints, catalogue: Catalogue, *, poll: float, heartbeat: float
    ) -> None:
        self._database = database
        self._hints = hints
        self._catalogue = catalogue
        self._poll = poll
        self._heartbeat = heartbeat

    async def sources(self) -> list[Source]:
        """Collections of every tenant that ask to be followed, in the order of tenant and name."""
        followed = await collection_store.all_followed(self._database)
        counted = await collection_store.counts(self._database, followed)
        return [
            Source(one.tenant, one.name, Cursor(one.incarnation, counted[one.id].seq))
            for one in followed
            if one.id in counted
        ]

    async def watch(
        self, tenant: str, name: str, consumer: str, after: Cursor | None, *, with_vector: bool = False
    ) -> AsyncIterator[Reset | Batch | Idle]:
        """Changes behind `after`, by default behind the acknowledged one, and then those that come, without end.

        Raises CollectionNotFound, also when the collection is deleted meanwhile.
        """
        collection = await self._present(tenant, name)
        async with self._database.transaction(tenant) as session:
            if after is None:
                after = await consumers.acknowledged(session, name, consumer)
            head = await store.head(session, collection)
        place = Cursor(collection.incarnation, 0)
        # A collection made anew, or a database brought back from an older state.
        foreign = after is not None and (_base(after) != collection.incarnation or after.seq > head)
        if after is not None and not foreign:
            place = after
        loop = asyncio.get_running_loop()
        async with self._hints.waiting("change", str(collection.id)) as woken:
            told = loop.time()
            while True:
                woken.clear()
                read = await self._read(collection, place.seq, with_vector)
                changes, forgotten = read.changes, read.forgotten
                if foreign or forgotten > max(place.seq, _since(place)):
                    # A consumer that stands at the beginning has nothing to forget.
                    told_anew = foreign or place.seq > 0
                    place, foreign = _beginning(collection, forgotten), False
                    if told_anew:
                        yield Reset(place)
                        told = loop.time()
                        continue
                if changes:
                    place = Cursor(place.incarnation, changes[-1].seq)
                    yield Batch(changes, place)
                    told = loop.time()
                    continue
                if loop.time() - told >= self._heartbeat:
                    yield Idle(place)
                    told = loop.time()
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(self._poll, self._heartbeat)):
                        await woken.wait()

    async def acknowledge(self, tenant: str, name: str, consumer: str, cursor: Cursor) -> int:
        """Remembers that a consumer has committed everything up to `cursor`; returns how many changes it is behind.

        Raises CollectionNotFound, CursorMismatch.
        """
        collection = await self._present(tenant, name)
        async with self._database.transaction(tenant) as session:
            head = await store.head(session, collection)
            if _base(cursor) != collection.incarnation or cursor.seq > head:
                raise CursorMismatch(
                    "That cursor is not of this collection's feed. Watch the changes anew: a reset comes first."
                )
            kept = await consumers.acknowledge(session, tenant, name, consumer, cursor)
        async with self._database.transaction(tenant) as session:
            settled = await waiting.settle(session, tenant, collection.id)
        for job in settled:
            self._hints.send("job", job)
        return max(0, head - kept.seq)

    async def consumers(self, tenant: str, name: str, after: str, size: int) -> tuple[Sequence[Consumer], bool]:
        """Consumers behind the name `after`, and whether there are more.

        Raises CollectionNotFound.
        """
        collection = await self._present(tenant, name)
        async with self._database.transaction(tenant) as session:
            head = await store.head(session, collection)
            found = await consumers.page(session, collection, head, after, size + 1)
        return found[:size], len(found) > size

    async def _present(self, tenant: str, name: str) -> Collection:
        """The collection, after making sure that the row is not one of a deleted collection."""
        collection = await self._catalogue.get(tenant, name)
        try:
            async with self._database.session() as session:
                await store.head(session, collection)
        except CollectionNotFound:
            self._catalogue.forget(collection)
            return await self._catalogue.get(tenant, name)
        return collection

    async def _read(self, collection: Collection, seq: int, with_vector: bool) -> store.Read:
        most = max(1, min(_CHANGES, _BYTES // (4 * collection.dimension))) if with_vector else _CHANGES
        try:
            async with self._database.session() as session:
                return await store.after(session, collection, seq, most, _BYTES, with_vector=with_vector)
        except CollectionNotFound:
            self._catalogue.forget(collection)
            raise


def _base(cursor: Cursor) -> str:
    """The collection's own incarnation."""
    return cursor.incarnation.partition(".")[0]


def _since(cursor: Cursor) -> int:
    """Number of the last deletion that was gone when the cursor's reader began; 0: none was."""
    number = cursor.incarnation.partition(".")[2]
    return int(number) if number.isdecimal() else 0


def _beginning(collection: Collection, forgotten: int) -> Cursor:
    return Cursor(f"{collection.incarnation}.{forgotten}" if forgotten else collection.incarnation, 0)
