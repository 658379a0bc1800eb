"""All points of a collection, a batch at a time."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from services.vector.collections import Catalogue
from services.vector.filters.tree import Filter, Order
from services.vector.model import Collection, Point
from services.vector.stores.database.connections import Database
from services.vector.stores.points import selecting, writing
from services.vector.stores.points.selecting import Place

_PLACES: Final = 5_000
"""Places looked up at a time: in the order of a field, each such look reads all points."""


def text(place: Place) -> str:
    """A place as text."""
    return msgspec.json.encode(place).decode()


def place(text: str) -> Place:
    """A place from the text that was made of it."""
    return msgspec.json.decode(text, type=Place)


class Scroll:
    """Reads points in order. Holds no connection while the caller is at work."""

    def __init__(self, database: Database, catalogue: Catalogue) -> None:
        self._database = database
        self._catalogue = catalogue

    async def batches(
        self,
        tenant: str,
        name: str,
        filter: Filter | None,
        order: Order | None,
        *,
        after: Place | None,
        limit: int | None,
        size: int,
        with_vector: bool,
    ) -> AsyncIterator[tuple[list[Point], Place]]:
        """Points behind `after`, at most `limit`, `size` at a time, each batch with the place of its last point.

        A point that goes away between the look for its place and the reading is left out. Raises CollectionNotFound.
        """

        async def begin(collection: Collection) -> tuple[Collection, list[Place]]:
            return collection, await self._places(collection, filter, order, after, limit)

        collection, places = await self._catalogue.on(tenant, name, begin)
        while places:
            for first in range(0, len(places), size):
                part = places[first : first + size]
                yield await self._read(collection, part, with_vector=with_vector), part[-1]
            if limit is not None:
                limit -= len(places)
            whole = len(places) == _PLACES
            places = await self._places(collection, filter, order, places[-1], limit) if whole else []

    async def _places(
        self, collection: Collection, filter: Filter | None, order: Order | None, after: Place | None, limit: int | None
    ) -> list[Place]:
        most = _PLACES if limit is None else min(_PLACES, limit)
        async with self._database.session() as session:
            return await selecting.places(session, collection, filter, order, after, most)

    async def _read(self, collection: Collection, places: list[Place], *, with_vector: bool) -> list[Point]:
        ids = [one.id for one in places]
        async with self._database.session() as session:
            found = {one.id: one for one in await writing.get(session, collection, ids, with_vector=with_vector)}
        return [found[id] for id in ids if id in found]
