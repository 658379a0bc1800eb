"""The indexes of this process: one a tenant and embedding model, over all collections that ask to be followed."""

import asyncio
import logging
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.graph import looking
from services.graph.feed import Feed
from services.graph.indexes.collection import IndexedCollection
from services.graph.indexes.held import HeldIndex
from services.graph.indexes.snapshots.keeping import Snapshots
from services.graph.indexes.snapshots.standing import IndexKey, Standing
from services.graph.model import Cursor
from services.graph.points import CollectionInfo, Points
from services.graph.store import GivenLog
from services.runtime.call import acting_as
from services.runtime.errors import CollectionNotFound, PergolaError
from services.runtime.identity import DEFAULT_TENANT

log = logging.getLogger(__name__)

_LONGEST_PAUSE: Final = 30.0

Place = tuple[str, str]
"""Tenant and collection."""


@dataclass(slots=True)
class _Run:
    task: "asyncio.Task[None] | None" = None
    indexed: IndexedCollection | None = None
    """What the runs work on, once its model is known."""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when `indexed` is there."""
    failures: int = 0
    not_before: float = 0.0
    missed: str = ""
    """Why the last run failed; empty: it did not."""


class Indexes:
    """Finds the collections that ask to be followed and keeps each in the index of its tenant and model.

    Tenants share nothing: an index has the passages of one.
    """

    def __init__(self, peer: Points, feed: Feed, given: GivenLog, snapshots: Snapshots, *, poll_seconds: float) -> None:
        self._peer = peer
        self._feed = feed
        self._given = given
        self._snapshots = snapshots
        self._poll = poll_seconds
        self._runs: dict[Place, _Run] = {}
        self._held: dict[IndexKey, HeldIndex] = {}
        self._heads: Mapping[Place, Cursor] = {}
        """As the last look found them."""
        self._standing: dict[Place, Standing] = {}
        """Of collections that are in an index since it was loaded, and whose run has not begun yet."""
        self._complained = False
        self._looking, self._opening = asyncio.Lock(), asyncio.Lock()
        self._saving: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Works until it is cancelled."""
        try:
            while True:
                began = time.monotonic()
                try:
                    await self._look()
                    self._complained = False
                except PergolaError as error:
                    if not self._complained:
                        log.warning("can't look for collections to index, trying on: %s", error.message)
                    self._complained = True
                took = time.monotonic() - began
                # For the meters: an index is asked in its own thread alone, and so behind what that is at.
                await asyncio.gather(*(held.measure() for held in list(self._held.values())))
                self._save_due()
                await asyncio.sleep(looking.pause(self._poll, took))
        finally:
            running = [run.task for run in self._runs.values() if run.task is not None]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            if self._saving is not None:
                await asyncio.gather(self._saving, return_exceptions=True)
            for key, held in self._held.items():
                await self._save(key, held)
                held.close()

    def find(self, tenant: str, collection: str) -> IndexedCollection | None:
        """A collection that can be asked now; None: it is not indexed, or not yet."""
        run = self._runs.get((tenant, collection))
        indexed = None if run is None else run.indexed
        return indexed if indexed is not None and indexed.cursor is not None else None

    async def reached(self, tenant: str, collection: str, cursor: Cursor | None = None) -> IndexedCollection:
        """The collection, when questions find everything that its feed has up to `cursor`, or, without one, as soon as
        it can be asked. For as long as it takes.

        Raises CollectionNotFound when it does not ask to be followed, or is gone.
        """
        place = (tenant, collection)
        if place not in self._runs:
            await self._look()
        run = self._runs.get(place)
        if run is None:
            raise CollectionNotFound(f"There is no collection {collection!r} that is followed.")
        await run.begun.wait()
        if run.indexed is None:
            raise CollectionNotFound(f"There is no collection {collection!r} any more.")
        await run.indexed.reached(cursor)
        return run.indexed

    def missed(self, tenant: str, collection: str) -> str:
        """Why a collection is not indexed; empty when it merely takes its time."""
        run = self._runs.get((tenant, collection))
        return "" if run is None else run.missed

    def sizes(self) -> Mapping[IndexKey, HeldIndex]:
        """Every index by tenant, model and dimension."""
        return self._held

    async def _look(self) -> None:
        async with self._looking:
            with acting_as(DEFAULT_TENANT):
                heads = {(source.tenant, source.collection): source.head for source in await self._feed.sources()}
            self._heads = heads
            now = time.monotonic()
            for place, head in heads.items():
                run = self._runs.setdefault(place, _Run())
                if (run.task is None or run.task.done()) and now >= run.not_before:
                    name = f"index {place[1]}"
                    run.task = asyncio.get_running_loop().create_task(self._keep(place, head, run), name=name)
            for place in [place for place, run in self._runs.items() if place not in heads and _ended(run)]:
                del self._runs[place]
            await self._release()

    async def _release(self) -> None:
        """Ends indexes of which no collection is left."""
        for place in [place for place in self._standing if place not in self._heads]:
            info = self._standing.pop(place).info
            held = self._held.get(_key(place[0], info))
            if held is not None:
                await held.drop(info.name)
        used = {id(run.indexed.held) for run in self._runs.values() if run.indexed is not None}
        for key in [key for key, held in self._held.items() if id(held) not in used]:
            # Somebody may be asking it: its thread ends by itself when nobody holds it any more.
            del self._held[key]
        if all(run.indexed is not None for run in self._runs.values()):
            await self._snapshots.sweep(frozenset(self._held))

    def _save_due(self) -> None:
        """Begins to write one index down, if it is time for one."""
        if self._saving is not None and not self._saving.done():
            return
        for key, held in self._held.items():
            read = all(one.cursor is not None for one in self._collections(held))
            if read and self._snapshots.due(key, held):
                self._saving = asyncio.get_running_loop().create_task(self._save(key, held), name="snapshot")
                return

    async def _save(self, key: IndexKey, held: HeldIndex) -> None:
        def standings() -> Sequence[Standing]:
            found = [one.standing() for one in self._collections(held)]
            found += [one for (tenant, _), one in self._standing.items() if _key(tenant, one.info) == key]
            return [one for one in found if one is not None]

        await self._snapshots.save(key, held, standings)

    def _collections(self, held: HeldIndex) -> list[IndexedCollection]:
        """All that this index is of, as far as their runs have begun."""
        indexed = (run.indexed for run in self._runs.values())
        return [one for one in indexed if one is not None and one.held is held]

    async def _keep(self, place: Place, head: Cursor, run: _Run) -> None:
        tenant, name = place
        began = time.monotonic()
        try:
            with acting_as(tenant):
                indexed = await self._indexed(tenant, await self._peer.collection(name), run)
                await indexed.run(head, self._poll)
        except CollectionNotFound:
            run.failures, run.missed = 0, ""
            await self._forget(run)
        except Exception as error:
            if time.monotonic() - began > _LONGEST_PAUSE:
                run.failures = 0
            pause = min(_LONGEST_PAUSE, self._poll * 2**run.failures) * random.uniform(0.5, 1)  # noqa: S311
            run.failures += 1
            run.not_before = time.monotonic() + pause
            where = {"tenant": tenant, "collection": name}
            if isinstance(error, PergolaError):
                run.missed = error.message
                log.warning("indexing stopped, trying again in %.1f s: %s", pause, error.message, extra=where)
            else:
                run.missed = "a fault of the service"
                log.exception("indexing failed, trying again in %.1f s", pause, extra=where)

    async def _indexed(self, tenant: str, info: CollectionInfo, run: _Run) -> IndexedCollection:
        if run.indexed is not None and run.indexed.info != info:
            await self._forget(run)
        if run.indexed is None:
            held = await self._open(_key(tenant, info))
            standing = self._standing.pop((tenant, info.name), None)
            if standing is not None and standing.info != info:
                # Its passages would be read in another way now: reading it anew begins with dropping it.
                standing = None
            run.indexed = IndexedCollection(self._peer, self._feed, self._given, tenant, info, held, standing)
        run.begun.set()
        return run.indexed

    async def _open(self, key: IndexKey) -> HeldIndex:
        """The index of this key, loaded if it was kept. Nothing may be awaited between this and its use: an index that
        no collection uses is given up."""
        async with self._opening:
            if key not in self._held:
                held = HeldIndex(key.dimension)
                mine = {name: head.incarnation for (tenant, name), head in self._heads.items() if tenant == key.tenant}
                for one in await self._snapshots.load(key, held, mine):
                    self._standing[(key.tenant, one.info.name)] = one
                self._held[key] = held
            return self._held[key]

    async def _forget(self, run: _Run) -> None:
        """Of a collection that is gone, or was made anew."""
        indexed, run.indexed = run.indexed, None
        run.begun.set()
        if indexed is not None:
            await indexed.end()
        run.begun = asyncio.Event()


def _key(tenant: str, info: CollectionInfo) -> IndexKey:
    return IndexKey(tenant, info.model, info.dimension)


def _ended(run: _Run) -> bool:
    return run.task is None or run.task.done()
