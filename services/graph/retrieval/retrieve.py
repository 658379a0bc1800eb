"""Retrieve: the indexes of the question's collections, and the texts of what they found."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final

from services.graph.indexes.collection import IndexedCollection, behind
from services.graph.indexes.keeper import Indexes
from services.graph.indexes.reading import key
from services.graph.model import Cursor
from services.graph.points import Points
from services.graph.retrieval import hybrid, steps
from services.graph.retrieval.entities import entities
from services.graph.retrieval.linked import Ranking, rank
from services.graph.retrieval.model import Answer, Detail, FoundEntity, Hit, Scope, Wish
from services.graph.store import Reader
from services.runtime import call
from services.runtime.errors import DeadlineExceeded, Unavailable

_RESERVE: Final = 0.3
"""Seconds of the deadline kept for the texts of what was found, and the way back."""
_WAITING: Final = 0.5
"""Share of the time for an index that is being built; what is left is for searching without it."""
_CANDIDATES: Final = 40
"""Passages that hybrid search is asked for at least: its scores are shares of the best one's."""
_PLAIN: Final = "passages are ranked by hybrid search, without links"


class Retrieval:
    """Finds passages, in the collections and over the links it is given and no others."""

    def __init__(self, indexes: Indexes, peer: Points, store: Reader, *, link_seconds: float) -> None:
        """`link_seconds`: most seconds spent on links; then the answer goes without."""
        self._indexes = indexes
        self._peer = peer
        self._store = store
        self._link_seconds = link_seconds

    async def retrieve(self, scope: Scope, text: str, wish: Wish) -> Answer:
        """At most `wish.k` passages and entities, best first.

        Raises CollectionNotFound; PeerUnavailable and the embedding endpoint's errors when vector can't answer.
        """
        left = call.remaining()
        seconds = self._link_seconds if left is None else max(0.0, min(self._link_seconds, left - _RESERVE))
        deadline = time.monotonic() + seconds
        groups, plain, degraded = await self._where(scope, seconds * _WAITING)
        ranked, heads = await asyncio.gather(
            asyncio.gather(*(self._rank(group, scope, text, wish, deadline) for group in groups)),
            self._heads(groups),
        )
        rankings: list[Ranking] = []
        late: list[IndexedCollection] = []
        for group, first in zip(groups, ranked, strict=True):
            one = first
            if (
                one is not None
                and (lacking := _behind(one, heads))
                and not any(behind(indexed.cursor, heads[indexed.info.name]) for indexed in lacking)
            ):
                # What was lacking came while the index was asked.
                one = await self._rank(group, scope, text, wish, deadline)
            if one is None:
                plain += [indexed.info.name for indexed in group]
                degraded.append(f"{_PLAIN}: time was short")
            else:
                rankings.append(one)
                degraded.append(one.degraded)
                late += _behind(one, heads)
        degraded += [f"what {one.info.name} got last is ranked by hybrid search, without links yet" for one in late]
        detail = _detail(rankings)
        hits = await self._hits(rankings, plain, late, scope, text, wish) if wish.mode != "entities" else []
        found = await self._entities(rankings, scope, wish, degraded) if wish.mode != "passages" else []
        return Answer(hits, found, "; ".join(dict.fromkeys(one for one in degraded if one)), detail)

    async def _where(self, scope: Scope, patience: float) -> tuple[list[list[IndexedCollection]], list[str], list[str]]:
        """The collections by index, those that are in none, and why, where they should be."""
        groups: dict[int, list[IndexedCollection]] = {}
        plain: list[str] = []
        degraded: list[str] = []
        for name in scope.collections:
            indexed = self._indexes.find(scope.tenant, name)
            if indexed is None and (await self._peer.collection(name)).graph:
                try:
                    async with asyncio.timeout(patience):
                        indexed = await self._indexes.reached(scope.tenant, name)
                except TimeoutError:
                    why = self._indexes.missed(scope.tenant, name) or "its passages are still being read"
                    degraded.append(f"{_PLAIN}, in {name}: {why}")
            if indexed is None:
                plain.append(name)
            else:
                groups.setdefault(id(indexed.held), []).append(indexed)
        return list(groups.values()), plain, degraded

    async def _heads(self, groups: Sequence[Sequence[IndexedCollection]]) -> Mapping[str, Cursor]:
        """By collection, where its change feed ends now."""
        names = [one.info.name for group in groups for one in group]
        return dict(zip(names, await asyncio.gather(*map(self._peer.head, names)), strict=True))

    async def _rank(
        self, group: Sequence[IndexedCollection], scope: Scope, text: str, wish: Wish, deadline: float
    ) -> Ranking | None:
        """None: there was no time."""
        if deadline <= time.monotonic():
            return None
        try:
            return await rank(self._peer, group, scope, text, wish, deadline)
        except TimeoutError:
            return None

    async def _hits(
        self,
        rankings: Sequence[Ranking],
        plain: Sequence[str],
        late: Sequence[IndexedCollection],
        scope: Scope,
        text: str,
        wish: Wish,
    ) -> list[Hit]:
        """The best of all indexes and searches: their scores are made of the same parts."""
        best = sorted((one for ranking in rankings for one in ranking.answer.hits), key=lambda one: -one.score)[
            : wish.k
        ]
        ids = steps.wanted(best)
        read = asyncio.gather(*(self._peer.points(name, part) for name, part in ids.items()))
        many = max(_CANDIDATES, wish.k)
        searched = asyncio.gather(
            *(self._plain(name, text, many, scope) for name in plain),
            *(self._fresh(one, text, many, scope) for one in late),
        )
        points = steps.by_id([point for found in await read for point in found])
        linked = [hit for one in best if (hit := steps.hit(text, one, points)) is not None]
        others = [hit for hits in await searched for hit in hits]
        return sorted([*linked, *others], key=lambda hit: -hit.score)[: wish.k]

    async def _fresh(self, indexed: IndexedCollection, text: str, many: int, scope: Scope) -> list[Hit]:
        """Passages of a collection that its index does not have yet."""
        hits = await self._plain(indexed.info.name, text, many, scope)
        lacking = await indexed.held.lacking([key(one.point.collection, one.point.id) for one in hits])
        return [one for one in hits if key(one.point.collection, one.point.id) in lacking]

    async def _plain(self, name: str, text: str, many: int, scope: Scope) -> list[Hit]:
        return hybrid.hits(text, await self._peer.find(name, text, many, scope.filter))

    async def _entities(
        self, rankings: Sequence[Ranking], scope: Scope, wish: Wish, degraded: list[str]
    ) -> list[FoundEntity]:
        shares: dict[str, float] = {}
        named: set[str] = set()
        for one in rankings:
            named.update(one.answer.phrases)
            for name, share in one.answer.entities:
                shares[name] = max(share, shares.get(name, 0.0))
        try:
            async with asyncio.timeout(self._link_seconds):
                return await entities(self._store, scope, shares, named, wish.k)
        except (TimeoutError, DeadlineExceeded, Unavailable):
            degraded.append("entities are left out: the graph store does not answer")
            return []


def _behind(ranking: Ranking, heads: Mapping[str, Cursor]) -> list[IndexedCollection]:
    """Collections with changes up to now that the index did not have when it was asked."""
    both = zip(ranking.collections, ranking.cursors, strict=True)
    return [one for one, cursor in both if behind(cursor, heads[one.info.name])]


def _detail(rankings: Sequence[Ranking]) -> Detail:
    detail = Detail()
    for one in rankings:
        detail.passages += one.passages
        detail.paths += one.answer.paths
        detail.phrases += [phrase for phrase in one.answer.phrases if phrase not in detail.phrases]
        for stage, spent in one.answer.milliseconds.items():
            detail.milliseconds[stage] = detail.milliseconds.get(stage, 0.0) + spent
    return detail
