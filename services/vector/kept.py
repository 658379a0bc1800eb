"""Vectors of texts that are no points: embedded once, and kept as long as their collection."""

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np

from services.runtime.errors import CollectionNotFound, DimensionMismatch
from services.vector.collections import Catalogue
from services.vector.embedding import Embedded, Embedder
from services.vector.meters import Meters
from services.vector.model import Collection, Vector
from services.vector.stores import kept as store
from services.vector.stores.database.connections import Database

A_POINT: Final = 32
SPARE: Final = 10_000
"""Kept at most: so many vectors for each point of the collection, and so many more. A passage of usual length has about
ten sentences, names and titles; what is beyond belongs to texts that are gone, and what was not asked for longest goes
first."""


class KeptVectors:
    """Embeds by a collection's model.

    Numbers are rounded to 16 bits before they are handed out, so that the first answer and all later ones agree.
    """

    def __init__(self, database: Database, catalogue: Catalogue, embedder: Embedder, meters: Meters) -> None:
        self._database = database
        self._catalogue = catalogue
        self._embedder = embedder
        self._meters = meters

    async def embed(self, tenant: str, name: str, texts: Sequence[str], *, urgent: bool) -> tuple[str, Embedded]:
        """The name of the collection's model, and one vector a text.

        Raises CollectionNotFound; ModelNotFound and DimensionMismatch when the service has no model that fits the
        collection any more; and what the model raises.
        """
        collection = await self._catalogue.get(tenant, name)
        try:
            return await self._of(collection, texts, urgent)
        except CollectionNotFound:
            self._catalogue.forget(collection)
            # Deleted, or made anew under the same name by another process.
            return await self._of(await self._catalogue.get(tenant, name), texts, urgent)

    async def _of(self, collection: Collection, texts: Sequence[str], urgent: bool) -> tuple[str, Embedded]:
        model = self._embedder.model(collection.embedding_model)
        if model.dimension != collection.dimension:
            raise DimensionMismatch(
                f"{model.name} makes vectors of {model.dimension} numbers, the collection holds {collection.dimension}."
            )
        hashes = [hashlib.sha256(text.encode()).digest() for text in texts]
        async with self._database.session() as session:
            found = await store.find(session, collection, list(dict.fromkeys(hashes)))
        known = sum(one in found for one in hashes)
        missing = {one: text for one, text in zip(hashes, texts, strict=True) if one not in found}
        if missing:
            # Past the cache: these texts are kept here, and nobody else asks for them.
            made = await self._embedder.make(model, list(missing.values()), urgent=urgent)
            fresh = dict(zip(missing, made, strict=True))
            rounded = {one: _rounded(vector) for one, vector in fresh.items()}
            # What 16 bits can't hold is made again each time.
            lasting = {one: vector for one, vector in rounded.items() if np.isfinite(vector).all()}
            async with self._database.session() as session:
                await store.keep(session, collection, lasting)
            found |= fresh | lasting
        self._meters.texts_kept[model.name] += known
        return model.name, Embedded(np.stack([found[one] for one in hashes]), known)


def _rounded(vector: Vector) -> Vector:
    with np.errstate(over="ignore"):
        return vector.astype(np.float16).astype(np.float32)
