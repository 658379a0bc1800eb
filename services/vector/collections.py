"""Collections: made, found, listed, deleted; and the process's copy of the catalogue."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar
from uuid import uuid4

import msgspec

from services.providers.embedding.registry import EmbeddingModels
from services.runtime.errors import CollectionNotFound, DimensionMismatch, LanguageFixed, UnknownLanguage, Violation
from services.vector.model import ChunkMode, Collection, Counts, Distance, Neighbors, Storage
from services.vector.stores import collections as store
from services.vector.stores import requests
from services.vector.stores.database.connections import Database
from services.vector.stores.database.listener import Hints
from services.vector.stores.requests import Request
from services.vector.text.stemming import LANGUAGES

_TRUSTED_SECONDS: Final = 30.0
"""How long a row is believed without a hint that it changed. A stale one does no harm: a deleted collection's tables
are gone, which makes the reader look again."""
_MOST_ROWS: Final = 10_000
K1: Final = 1.2
B: Final = 0.75
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spec:
    """What a caller may say of a new collection; what is absent follows from the model and the settings."""

    name: str
    dimension: int | None = None
    distance: Distance = "cosine"
    embedding_model: str = ""
    storage: Storage | None = None
    graph: bool = False
    chunk_mode: ChunkMode | None = None
    chunk_tokens: int | None = None
    chunk_overlap: int | None = None
    neighbors: Neighbors | None = None
    language: str = ""
    """Of the stems by which words are found; empty: none."""
    k1: float = K1
    b: float = B


class Catalogue:
    """Rows of the catalogue by tenant and name, kept for a while, so that a query touches no shared table."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._rows: dict[tuple[str, str], tuple[Collection, float]] = {}
        hints.on("catalogue", self._heard)

    async def get(self, tenant: str, name: str) -> Collection:
        """The tenant's collection of that name.

        Raises CollectionNotFound.
        """
        kept = self._rows.get((tenant, name))
        if kept is not None and kept[1] > time.monotonic():
            return kept[0]
        async with self._database.transaction(tenant) as session:
            found = await store.find(session, name)
        if found is None:
            self._rows.pop((tenant, name), None)
            raise CollectionNotFound(f"There is no collection {name!r}. Create it, or list those there are.")
        if len(self._rows) >= _MOST_ROWS:
            self._rows.clear()
        self._rows[tenant, name] = (found, time.monotonic() + _TRUSTED_SECONDS)
        return found

    async def on(self, tenant: str, name: str, act: Callable[[Collection], Awaitable[T]]) -> T:
        """Runs `act` on the tenant's collection of that name; once more when the row that was kept is out of date.

        Raises CollectionNotFound, and what `act` raises.
        """
        collection = await self.get(tenant, name)
        try:
            return await act(collection)
        except CollectionNotFound:
            self.forget(collection)
            # Deleted, or made anew under the same name by another process.
            return await act(await self.get(tenant, name))

    def forget(self, collection: Collection) -> None:
        """Look again next time."""
        self._rows.pop((collection.tenant, collection.name), None)

    def _heard(self, key: str) -> None:
        if not key:
            self._rows.clear()
            return
        for place in [place for place, (row, _) in self._rows.items() if str(row.id) == key]:
            del self._rows[place]


class Collections:
    """The tenant's collections."""

    def __init__(
        self, database: Database, hints: Hints, catalogue: Catalogue, models: EmbeddingModels, storage: Storage
    ) -> None:
        self._database = database
        self._hints = hints
        self._catalogue = catalogue
        self._models = models
        self._storage = storage

    async def create(self, tenant: str, spec: Spec, request: Request) -> Collection:
        """Makes an empty collection.

        Raises CollectionExists, RequestIdReused, ModelNotFound, UnknownLanguage, and DimensionMismatch when the
        dimension is not that of the model.
        """
        if spec.language and spec.language not in LANGUAGES:
            text = f"must be empty or one of {', '.join(LANGUAGES)}"
            raise UnknownLanguage(
                f"There are no stems of {spec.language!r}: the language {text}.",
                violations=[Violation("collection.lexical.language", text)],
            )
        model = self._models.get(spec.embedding_model)
        if spec.dimension not in (None, model.dimension) and spec.embedding_model:
            raise DimensionMismatch(
                f"{model.name} makes vectors of {model.dimension} numbers. Leave `dimension` away, or name no model."
            )
        values = {
            "name": spec.name,
            "incarnation": uuid4().hex,
            "dimension": spec.dimension or model.dimension,
            "distance": spec.distance,
            "storage": spec.storage or self._storage,
            "embedding_model": model.name,
            "graph": spec.graph,
            "chunk_mode": spec.chunk_mode,
            "chunk_tokens": spec.chunk_tokens,
            "chunk_overlap": spec.chunk_overlap,
            "neighbors": spec.neighbors,
            "language": spec.language,
            "k1": spec.k1,
            "b": spec.b,
        }
        async with self._database.owner(tenant) as session:
            first = await requests.begin(session, tenant, request)
            if first is not None:
                return msgspec.json.decode(first, type=Collection)
            made = await store.create(session, self._database.app_user, tenant, values)
            await requests.finish(session, tenant, request, msgspec.json.encode(made))
        self._hints.send("catalogue", str(made.id))
        return made

    async def get(self, tenant: str, name: str) -> tuple[Collection, Counts]:
        """A collection with its counts.

        Raises CollectionNotFound.
        """
        async with self._database.transaction(tenant) as session:
            found = await store.find(session, name)
        counted = {} if found is None else await store.counts(self._database, [found])
        if found is None or found.id not in counted:
            raise CollectionNotFound(f"There is no collection {name!r}. Create it, or list those there are.")
        return found, counted[found.id]

    async def update(
        self,
        tenant: str,
        name: str,
        *,
        language: str | None,
        k1: float | None,
        b: float | None,
        neighbors: Neighbors | Literal[""] | None,
    ) -> tuple[Collection, Counts]:
        """Changes how words are scored, from the next query on, and whose passages see their neighbours (empty: as the
        settings say), from the next ingestion on; None leaves a value as it is.

        Raises CollectionNotFound, and LanguageFixed for another language than the collection has.
        """
        async with self._database.transaction(tenant) as session:
            changed = await store.change(session, name, k1=k1, b=b, neighbors=neighbors)
            if language is not None and language != changed.language:
                raise LanguageFixed(
                    f"The words of {name!r} are stored by {changed.language or 'no'} stems, and stay so. Make another "
                    "collection with that language, and ingest into it.",
                    violations=[Violation("collection.lexical.language", "can't be changed")],
                )
        self._catalogue.forget(changed)
        self._hints.send("catalogue", str(changed.id))
        return await self.get(tenant, name)

    async def page(self, tenant: str, after: str, size: int) -> tuple[Sequence[tuple[Collection, Counts]], str]:
        """Collections behind the name `after`, at most `size`, and the name behind which there are more, or ""."""
        async with self._database.transaction(tenant) as session:
            found = await store.page(session, after, size + 1)
        counted = await store.counts(self._database, found[:size])
        last = found[size - 1].name if len(found) > size else ""
        return [(one, counted[one.id]) for one in found[:size] if one.id in counted], last

    async def delete(self, tenant: str, name: str) -> None:
        """Deletes a collection with everything in it.

        Raises CollectionNotFound.
        """
        async with self._database.owner(tenant) as session:
            gone, cancelled = await store.delete(session, name)
        self._catalogue.forget(gone)
        self._hints.send("catalogue", str(gone.id))
        self._hints.send("change", str(gone.id))
        for job in cancelled:
            self._hints.send("fence", job)
            self._hints.send("job", job)
