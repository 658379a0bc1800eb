"""A graph that a test fills as a follower would, without a feed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from services.graph.feed import Text
from services.graph.follower.collection import passage_of
from services.graph.model import Claim, Cursor
from services.graph.store import GraphStore

LEASE = 60.0


@dataclass
class Followed:
    """A claim on a graph, and how far it is. A point's document is its id, its chunk 0."""

    store: GraphStore
    claim: Claim
    cursor: Cursor

    @classmethod
    async def begin(cls, store: GraphStore, tenant: str, graph: str = "docs", incarnation: str = "one") -> Self:
        claim = await store.claim(tenant, graph, "follower of a test", LEASE)
        assert claim is not None
        cursor = claim.cursor
        if cursor is None:
            cursor = Cursor(incarnation, 0)
            await store.begin(claim, cursor, LEASE)
        return cls(store, claim, cursor)

    async def change(self, texts: Mapping[str, str | None]) -> None:
        """Point → its text, the first line the title; None: it is deleted."""
        after = self.cursor._replace(seq=self.cursor.seq + 1)
        upserts = [
            passage_of(point, Text(point, *_parted(text), 0, ())) for point, text in texts.items() if text is not None
        ]
        deletes = [point for point, text in texts.items() if text is None]
        await self.store.apply(self.claim, self.cursor, after, upserts, deletes, LEASE)
        self.cursor = after

    async def reset(self, incarnation: str, *, given: bool) -> None:
        """Forgets everything, as when the feed says so."""
        while not await self.store.clear(self.claim, LEASE, given=given):
            pass
        self.cursor = Cursor(incarnation, 0)
        await self.store.begin(self.claim, self.cursor, LEASE)


def _parted(text: str) -> tuple[str, str]:
    title, _, rest = text.partition("\n")
    return title, rest
