"""Entities by name: its normal form, its beginning, with typing mistakes, or what it means."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

import numpy as np

from services.graph.extraction.text import normal_form
from services.graph.model import Entity
from services.graph.passages.passage import Vectors
from services.graph.reading import typing_mistakes
from services.graph.store import Reader

_BEGINS: Final = 0.9
"""How well a name fits that begins with what was asked."""
_CANDIDATES: Final = 10_000
"""Names that are compared letter by letter, those of the most mentioned entities first."""
_TEXTS_AT_ONCE: Final = 250
_MOST_LETTERS: Final = 256


class Match(StrEnum):
    EXACT = "exact"
    PREFIX = "prefix"
    FUZZY = "fuzzy"
    MEANING = "meaning"


class Scored(NamedTuple):
    entity: Entity
    score: float
    """How well it fits, 0 to 1."""


class Meanings(Protocol):
    """What texts mean, as vectors that can be compared."""

    async def model_for(self, graph: str) -> str:
        """The model whose vectors fit a graph: that of the collection of its name, if there is one."""

    async def embed(self, texts: Sequence[str], model: str) -> Vectors:
        """One vector a text: a row each. Raises PeerUnavailable, Upstream."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for."""

    graph: str
    query: str
    match: Match
    types: Sequence[str]
    """Empty: any."""
    limit: int


class Search:
    """Finds entities. `most_meanings`: names that one search by meaning compares, those most mentioned."""

    def __init__(self, store: Reader, meanings: Meanings, *, most_meanings: int) -> None:
        self._store = store
        self._meanings = meanings
        self._most_meanings = most_meanings

    async def find(self, tenant: str, wanted: Wanted) -> list[Scored]:
        """Best first: by score, then by how many passages mention it, then by key.

        Raises StoreUnavailable, DeadlineExceeded; PeerUnavailable and Upstream for `Match.MEANING`.
        """
        if wanted.match is Match.MEANING:
            return await self._by_meaning(tenant, wanted)
        form = normal_form(wanted.query)
        if not form:
            # Punctuation alone is nobody's name.
            return []
        named = await self._store.named(
            tenant, wanted.graph, form, wanted.types, wanted.limit, longer=wanted.match is not Match.EXACT
        )
        found = [Scored(one.entity, 1.0 if one.whole else _BEGINS) for one in named]
        if wanted.match is Match.FUZZY:
            known = {one.entity.key for one in found}
            found += [one for one in await self._fuzzy(tenant, wanted, form) if one.entity.key not in known]
        return _best(found, wanted.limit)

    async def _fuzzy(self, tenant: str, wanted: Wanted, form: str) -> list[Scored]:
        mistakes = typing_mistakes.allowed(form)
        if not mistakes:
            return []
        lengths = (len(form) - mistakes, len(form) + mistakes)
        pieces = typing_mistakes.pieces(form, mistakes)
        scores: dict[str, float] = {}
        for key, name in await self._store.similar(tenant, wanted.graph, pieces, lengths, wanted.types, _CANDIDATES):
            distance = typing_mistakes.distance(form, name, mistakes)
            if distance <= mistakes:
                scores[key] = max(scores.get(key, 0.0), 1.0 - distance / max(len(form), len(name)))
        # The store tells the most mentioned first, and the sort keeps that order among equals. They are read whole only
        # now: most candidates are far away.
        nearest = sorted(scores, key=lambda key: -scores[key])[: wanted.limit]
        return [Scored(one, scores[one.key]) for one in await self._store.entities(tenant, [wanted.graph], nearest)]

    async def _by_meaning(self, tenant: str, wanted: Wanted) -> list[Scored]:
        entities = await self._store.foremost(tenant, wanted.graph, wanted.types, self._most_meanings)
        if not entities:
            return []
        model = await self._meanings.model_for(wanted.graph)
        texts = [one.name[:_MOST_LETTERS] for one in entities]
        parts = [[wanted.query], *(texts[i : i + _TEXTS_AT_ONCE] for i in range(0, len(texts), _TEXTS_AT_ONCE))]
        matrix = np.concatenate([await self._meanings.embed(part, model) for part in parts])
        matrix = matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
        cosines = np.clip(matrix[1:] @ matrix[0], 0.0, 1.0)
        return _best([Scored(one, float(score)) for one, score in zip(entities, cosines, strict=True)], wanted.limit)


def _best(found: Sequence[Scored], limit: int) -> list[Scored]:
    return sorted(found, key=lambda one: (-one.score, -one.entity.mention_count, one.entity.key))[:limit]
