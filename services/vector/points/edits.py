"""Points that are stored, changed and deleted one by one."""

import asyncio
import dataclasses
import functools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, TypeVar

from services.runtime.call import remaining
from services.runtime.errors import Aborted, CollectionNotFound, DimensionMismatch, InvalidArgument, Violation
from services.vector.collections import Catalogue
from services.vector.embedding import Embedder
from services.vector.filters.tree import Filter
from services.vector.model import Collection, Point
from services.vector.points import steps
from services.vector.points.model import Failure, NewPoint, PayloadEdit
from services.vector.stores.database.connections import Database, Session
from services.vector.stores.database.listener import Hints
from services.vector.stores.points import selecting, writing
from services.vector.stores.points.writing import Sums, Write
from services.vector.vectors import all_checked, checked

_ATTEMPTS: Final = 10
_PAUSE: Final = 0.05
_BATCH: Final = 1_000
T = TypeVar("T")


class Edits:
    """Writes points."""

    def __init__(self, database: Database, hints: Hints, catalogue: Catalogue, embedder: Embedder) -> None:
        self._database = database
        self._hints = hints
        self._catalogue = catalogue
        self._embedder = embedder

    async def upsert(self, tenant: str, name: str, points: Sequence[NewPoint]) -> list[Failure]:
        """Stores points, in the place of those with the same ids; durable and searchable when it returns.

        Returns the points that could not be stored because of what is there. Raises CollectionNotFound,
        DimensionMismatch, InvalidVector, InvalidArgument for an id that comes twice, UpstreamError and its kin, and
        Aborted when other writers of the same points always come first.
        """
        _distinct(points)

        async def act(collection: Collection) -> list[Failure]:
            writes = await self._prepared(collection, points)
            return await self._write(collection, functools.partial(steps.store, collection, writes))

        return await self._catalogue.on(tenant, name, act)

    async def incarnation(self, tenant: str, name: str) -> str:
        """Which collection has that name now, by the database itself.

        Raises CollectionNotFound.
        """
        self._catalogue.forget(await self._catalogue.get(tenant, name))
        return (await self._catalogue.get(tenant, name)).incarnation

    async def upsert_fit(self, tenant: str, name: str, incarnation: str, points: Sequence[NewPoint]) -> list[Failure]:
        """Like `upsert`, but what is wrong with a point is its own failure, and of the same id the last one counts.

        Raises CollectionNotFound, also when the collection of that name is another `incarnation`; UpstreamError and its
        kin, Aborted.
        """

        async def act(collection: Collection) -> list[Failure]:
            if collection.incarnation != incarnation:
                raise CollectionNotFound(f"The collection {name!r} was deleted meanwhile.")
            failures: list[Failure] = []
            last: dict[str, int] = {}
            for place, point in enumerate(points):
                try:
                    _fit(self._embedder, collection, point)
                except InvalidArgument as error:
                    failures.append(Failure(place, point.id, error.reason, error.message))
                else:
                    last[point.id] = place
            places = list(last.values())
            if places:
                writes = await self._prepared(collection, [points[place] for place in places])
                held = await self._write(collection, functools.partial(steps.store, collection, writes))
                failures.extend(dataclasses.replace(one, index=places[one.index]) for one in held)
            return failures

        return await self._catalogue.on(tenant, name, act)

    async def delete(self, tenant: str, name: str, ids: Sequence[str]) -> int:
        """Deletes the points of these ids; returns how many there were.

        Raises CollectionNotFound, Aborted.
        """

        async def act(collection: Collection) -> int:
            return await self._write(collection, functools.partial(steps.delete, collection, ids, None))

        return await self._catalogue.on(tenant, name, act)

    async def delete_fitting(self, tenant: str, name: str, filter: Filter) -> int:
        """Deletes the points that fit, in the order of their ids and a transaction for each thousand.

        Returns how many there were. What was deleted before an error stays deleted. Raises CollectionNotFound, Aborted.
        """

        async def act(collection: Collection) -> int:
            deleted = 0
            async for ids in self._fitting(collection, filter):
                deleted += await self._write(collection, functools.partial(steps.delete, collection, ids, filter))
            return deleted

        return await self._catalogue.on(tenant, name, act)

    async def set_payload(self, tenant: str, name: str, ids: Sequence[str], edit: PayloadEdit) -> list[str]:
        """Changes payloads; returns the ids that don't exist.

        Raises CollectionNotFound, Aborted.
        """

        async def act(collection: Collection) -> list[str]:
            there = await self._write(collection, functools.partial(steps.edit, collection, ids, None, edit))
            return [one for one in dict.fromkeys(ids) if one not in there]

        return await self._catalogue.on(tenant, name, act)

    async def set_payload_fitting(self, tenant: str, name: str, filter: Filter, edit: PayloadEdit) -> int:
        """Changes the payloads of the points that fit, in the order of their ids and a transaction for each thousand.

        Returns how many there were. What was changed before an error stays changed. Raises CollectionNotFound, Aborted.
        """

        async def act(collection: Collection) -> int:
            count = 0
            async for ids in self._fitting(collection, filter):
                count += len(
                    await self._write(collection, functools.partial(steps.edit, collection, ids, filter, edit))
                )
            return count

        return await self._catalogue.on(tenant, name, act)

    async def _fitting(self, collection: Collection, filter: Filter) -> AsyncIterator[list[str]]:
        """The ids of points that fit, a thousand at a time."""
        after = None
        while True:
            async with self._database.session() as session:
                places = await selecting.places(session, collection, filter, None, after, _BATCH)
            if not places:
                return
            yield [one.id for one in places]
            after = places[-1]

    async def _write(self, collection: Collection, write: Callable[[Session, Sums], Awaitable[T]]) -> T:
        """Runs `write` in a transaction that publishes what it summed up; again, when another writer came first."""
        for attempt in range(1, _ATTEMPTS + 1):
            sums = Sums()
            try:
                async with self._database.transaction(collection.tenant) as session:
                    answer = await write(session, sums)
                    changed = bool(sums.upserted or sums.deleted)
                    if changed:
                        await writing.publish(session, collection, sums)
            except Aborted:
                left = remaining()
                if attempt == _ATTEMPTS or (left is not None and left < 2 * _PAUSE * attempt):
                    raise
                # Writers that met once would meet again at the same pace.
                await asyncio.sleep(random.uniform(0, _PAUSE * attempt))  # noqa: S311 - no secret
            else:
                if changed:
                    self._hints.send("change", str(collection.id))
                return answer
        raise AssertionError("the last attempt returns or raises")

    async def _prepared(self, collection: Collection, points: Sequence[NewPoint]) -> list[Write]:
        given = {place: one.vector for place, one in enumerate(points) if one.vector is not None}
        vectors = all_checked(collection, given)
        texts = [place for place in range(len(points)) if place not in vectors]
        if texts:
            model = self._embedder.model(collection.embedding_model)
            if model.dimension != collection.dimension:
                raise DimensionMismatch(
                    f"The collection has {collection.dimension} dimensions, which no embedding model of it makes: "
                    "give vectors.",
                    violations=[
                        Violation(f"points[{place}].vector", f"must be given, with {collection.dimension} numbers")
                        for place in texts
                    ],
                )
            made = await self._embedder.embed(model, [points[place].text for place in texts])
            vectors |= dict(zip(texts, made.vectors, strict=True))
        return [
            Write(
                point=Point(id=one.id, payload=one.payload, chunk=None, text=one.text),
                text=one.text,
                vector=vectors[place],
            )
            for place, one in enumerate(points)
        ]


def _fit(embedder: Embedder, collection: Collection, point: NewPoint) -> None:
    """Raises DimensionMismatch or InvalidVector when the collection can't take the point."""
    if point.vector is not None:
        checked(collection, point.vector)
    elif embedder.model(collection.embedding_model).dimension != collection.dimension:
        raise DimensionMismatch(
            f"The collection has {collection.dimension} dimensions, which its embedding model does not make: give a "
            "vector."
        )


def _distinct(points: Sequence[NewPoint]) -> None:
    seen: dict[str, int] = {}
    wrong = []
    for place, one in enumerate(points):
        first = seen.setdefault(one.id, place)
        if first != place:
            wrong.append(Violation(f"points[{place}].id", f"is that of points[{first}]; give each point once"))
    if wrong:
        raise InvalidArgument(f"{wrong[0].field} {wrong[0].description}.", violations=wrong)
