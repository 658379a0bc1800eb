"""What the indexes say: the ranking of one question in each of them."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.graph.indexes.collection import IndexedCollection
from services.graph.indexes.reading import key
from services.graph.model import Cursor
from services.graph.passages.index.index import PassageIndex
from services.graph.passages.passage import Vector
from services.graph.passages.query.retrieve import Answer, retrieve
from services.graph.passages.query.scope import Scope as Within
from services.graph.points import Filter, Points
from services.graph.retrieval.entities import CANDIDATES
from services.graph.retrieval.model import Scope, Wish

FITTING: Final = 20_000
"""Passages of a collection that a filter may leave when links are looked for among all of them."""
_LIKELY: Final = 1_000
"""The likeliest of more."""
MANY_FIT: Final = f"the filter leaves more than {FITTING:,} passages: the {_LIKELY:,} likeliest of a collection count"


@dataclass(frozen=True, slots=True)
class Ranking:
    """The answer of one index."""

    collections: Sequence[IndexedCollection]
    cursors: Sequence[Cursor | None]
    """How far the index was with each of them."""
    answer: Answer
    passages: int
    """Among which it looked."""
    degraded: str


async def rank(
    peer: Points, group: Sequence[IndexedCollection], scope: Scope, text: str, wish: Wish, deadline: float
) -> Ranking:
    """`group`: collections of one index. `deadline`: on the clock of `time.monotonic`; what would begin later is left
    out. Raises what the vector service raises."""
    names = [one.info.name for one in group]
    vector, fitting = await asyncio.gather(
        peer.embed([text], group[0].info.model), _fitting(peer, names, scope.filter, text)
    )
    only, degraded = fitting

    def ask(index: PassageIndex) -> Ranking:
        # Before anything is looked up: what is in the index by now may be more, but not less.
        cursors = [one.cursor for one in group]
        within = Within(index, collections=names, graphs=scope.graphs, only=only)
        found = retrieve(
            within, text, _one(vector), wish.k, hops=wish.hops, entities=CANDIDATES * wish.k, deadline=deadline
        )
        return Ranking(group, cursors, found, int(within.found.sum()), degraded or found.degraded)

    async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
        return await group[0].held.ask(ask)


def _one(vectors: Vector) -> Vector:
    first: Vector = vectors[0]
    return first


async def _fitting(
    peer: Points, collections: Sequence[str], filter: Filter | None, text: str
) -> tuple[set[str] | None, str]:
    """Ids in the index of the passages that fit; None: all do."""
    if filter is None:
        return None, ""
    found: set[str] = set()
    degraded = ""
    for name in collections:
        ids = await peer.matching(name, filter, FITTING + 1)
        if len(ids) > FITTING:
            ids = [one.point.id for one in await peer.find(name, text, _LIKELY, filter)]
            degraded = MANY_FIT
        found.update(key(name, one) for one in ids)
    return found, degraded
