"""The entities a question is about: those it names, and those that the walk visits most."""

from collections.abc import Iterable, Mapping
from typing import Final

from services.graph.model import Entity
from services.graph.retrieval.model import FoundEntity, Scope
from services.graph.store import Reader

CANDIDATES: Final = 4
"""Phrases looked up for each entity that is wanted: parts of names and shared words are phrases, but no entities."""


async def entities(
    store: Reader, scope: Scope, shares: Mapping[str, float], named: Iterable[str], k: int
) -> list[FoundEntity]:
    """At most `k`, best first. `shares`: by phrase, of the one visited most. `named`: phrases of the question.

    Raises StoreUnavailable and DeadlineExceeded.
    """
    best = sorted(shares, key=lambda key: (-shares[key], key))[: CANDIDATES * k]
    if not best:
        return []
    found: dict[str, list[Entity]] = {}
    for one in await store.entities(scope.tenant, scope.graphs, best):
        found.setdefault(one.key, []).append(one)
    said = set(named)
    # A name in two graphs is one name.
    return [
        FoundEntity(
            key,
            max(found[key], key=lambda one: (one.mention_count, one.graph)).name,
            sum(one.mention_count for one in found[key]),
            shares[key],
            key in said,
        )
        for key in best
        if key in found
    ][:k]
