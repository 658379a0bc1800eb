"""Texts to vectors, by way of the cache."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from services.providers.embedding.model import EmbeddingModel, Vectors
from services.providers.embedding.registry import EmbeddingModels
from services.vector.meters import Meters


class VectorCache(Protocol):
    """Where vectors are kept by key. It never fails: what it can't do is as if it knew nothing."""

    async def get(self, keys: Sequence[str]) -> dict[str, bytes]: ...

    async def set(self, values: dict[str, bytes]) -> None: ...


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors of texts, in order, and how many came from the cache."""

    vectors: Vectors
    cached: int


class Embedder:
    """Embeds with a model of the registry; each different text once, and not at all when its vector is cached."""

    def __init__(self, models: EmbeddingModels, cache: VectorCache | None, meters: Meters) -> None:
        self._models = models
        self._cache = cache
        self._meters = meters

    def model(self, name: str = "") -> EmbeddingModel:
        """The model of that name, by default the service's own.

        Raises ModelNotFound.
        """
        return self._models.get(name)

    async def embed(self, model: EmbeddingModel, texts: Sequence[str], *, urgent: bool = False) -> Embedded:
        """One vector a text. Raises what the model raises."""
        keys = [_key(model, text) for text in texts]
        found = await self._cached(model, dict.fromkeys(keys))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if missing:
            made = await self.make(model, list(missing.values()), urgent=urgent)
            fresh = dict(zip(missing, made, strict=True))
            if self._cache is not None:
                await self._cache.set({key: vector.astype("<f4").tobytes() for key, vector in fresh.items()})
            cached = sum(key in found for key in keys)
            found |= fresh
        else:
            cached = len(keys)
        self._meters.texts_cached[model.name] += cached
        vectors = np.stack([found[key] for key in keys]) if keys else np.empty((0, model.dimension), np.float32)
        return Embedded(vectors, cached)

    async def make(self, model: EmbeddingModel, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        """One vector a text, made by the model whatever is cached. Raises what the model raises."""
        made = await model.embed(texts, urgent=urgent)
        self._meters.texts_made[model.name] += len(texts)
        return made

    async def _cached(self, model: EmbeddingModel, keys: dict[str, None]) -> dict[str, Vectors]:
        if self._cache is None:
            return {}
        found = {}
        for key, packed in (await self._cache.get(list(keys))).items():
            vector = np.frombuffer(packed, "<f4") if len(packed) == model.dimension * 4 else None
            # What anybody may have written there is not trusted further than this.
            if vector is not None and np.isfinite(vector).all():
                found[key] = vector
        return found


def _key(model: EmbeddingModel, text: str) -> str:
    return f"{model.fingerprint}:{hashlib.sha256(text.encode()).hexdigest()}"
