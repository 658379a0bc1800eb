"""Points that are stored, changed and deleted one by one."""

import asyncio
import functools
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from services.runtime.call import remaining
from services.runtime.errors import Aborted, DimensionMismatch, InvalidArgument, Violation
from services.vector.collections import Catalogue
from services.vector.embedding import Embedder
from services.vector.filters.tree import Filter
from services.vector.model import Collection, Point, Vector
from services.vector.search import checked
from services.vector.stores.database.connections import Database, Session
from services.vector.stores.database.listener import Hints
from services.vector.stores.points import editing as store
from services.vector.stores.points import selecting, writing
from services.vector.stores.points.writing import Sums, Write
from services.vector.text import words

_ATTEMPTS: Final = 6
_PAUSE: Final = 0.05
_BATCH: Final = 1_000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NewPoint:
    """A point to be stored; without a vector, one is made from the text."""

    id: str
    text: str
    vector: Vector | None
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """A point that was not stored."""

    index: int
    id: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PayloadEdit:
    """What is to become of a payload: `without` goes, then `merged` is set; or `merged` takes the place of all."""

    merged: dict[str, Any]
    without: Sequence[str] = ()
    overwrite: bool = False


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
            return await self._write(collection, lambda session, sums: _store(session, collection, writes, sums))

        return await self._catalogue.on(tenant, name, act)

    async def delete(self, tenant: str, name: str, ids: Sequence[str]) -> int:
        """Deletes the points of these ids; returns how many there were.

        Raises CollectionNotFound, Aborted.
        """

        async def act(collection: Collection) -> int:
            return await self._write(collection, functools.partial(_delete, collection, ids, None))

        return await self._catalogue.on(tenant, name, act)

    async def delete_fitting(self, tenant: str, name: str, filter: Filter) -> int:
        """Deletes the points that fit, in the order of their ids and a transaction for each thousand.

        Returns how many there were. What was deleted before an error stays deleted. Raises CollectionNotFound, Aborted.
        """

        async def act(collection: Collection) -> int:
            deleted, after = 0, None
            while True:
                async with self._database.session() as session:
                    places = await selecting.places(session, collection, filter, None, after, _BATCH)
                if not places:
                    return deleted
                ids = [one.id for one in places]
                deleted += await self._write(collection, functools.partial(_delete, collection, ids, filter))
                after = places[-1]

        return await self._catalogue.on(tenant, name, act)

    async def set_payload(self, tenant: str, name: str, ids: Sequence[str], edit: PayloadEdit) -> list[str]:
        """Changes payloads; returns the ids that don't exist.

        Raises CollectionNotFound, Aborted.
        """

        async def act(collection: Collection) -> list[str]:
            async def write(session: Session, sums: Sums) -> list[str]:
                there = await store.lock(session, collection, ids)
                if edit.overwrite:
                    changed = await store.overwrite_payload(session, collection, list(there), edit.merged)
                else:
                    changed = await store.set_payload(session, collection, list(there), edit.merged, edit.without)
                sums.upserted.extend(changed)
                return [one for one in dict.fromkeys(ids) if one not in there]

            return await self._write(collection, write)

        return await self._catalogue.on(tenant, name, act)

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
        vectors = {place: checked(collection, one.vector, f"points[{place}].vector")
                   for place, one in enumerate(points) if one.vector is not None}  # fmt: skip
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
        return await asyncio.to_thread(_writes, points, vectors, collection.language)


def _writes(points: Sequence[NewPoint], vectors: dict[int, Vector], language: str) -> list[Write]:
    return [
        Write(
            point=Point(id=one.id, payload=one.payload, chunk=None, text=one.text),
            words=words.of_passage(one.text, language),
            text=one.text,
            vector=vectors[place],
        )
        for place, one in enumerate(points)
    ]


async def _delete(collection: Collection, ids: Sequence[str], only: Filter | None, session: Session, sums: Sums) -> int:
    await store.disturb_documents(session, collection, ids)
    await store.lock(session, collection, ids)
    await store.delete(session, collection, ids, sums, only)
    return len(sums.deleted)


async def _store(session: Session, collection: Collection, writes: Sequence[Write], sums: Sums) -> list[Failure]:
    there = await store.lock(session, collection, [one.point.id for one in writes])
    failures = [
        Failure(
            place,
            one.point.id,
            "POINT_OF_DOCUMENT",
            "The id is that of a point of a document. Take another id, or ingest the document again.",
        )
        for place, one in enumerate(writes)
        if there.get(one.point.id) is not None
    ]
    held = {one.id for one in failures}
    # In the order of ids, as all writers do: two that make the same new points wait for each other in one direction.
    free = sorted((one for one in writes if one.point.id not in held), key=lambda one: one.point.id)
    await store.delete(session, collection, [one.point.id for one in free if one.point.id in there], sums)
    await writing.insert(session, collection, free, sums)
    return failures


def _distinct(points: Sequence[NewPoint]) -> None:
    seen: dict[str, int] = {}
    wrong = []
    for place, one in enumerate(points):
        first = seen.setdefault(one.id, place)
        if first != place:
            wrong.append(Violation(f"points[{place}].id", f"is that of points[{first}]; give each point once"))
    if wrong:
        raise InvalidArgument(f"{wrong[0].field} {wrong[0].description}.", violations=wrong)
