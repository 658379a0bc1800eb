"""What callers write by hand."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from services.graph import drafts
from services.graph.model import Deleted, Entity, Merge, NewEntity, NewRelation, Refusal, RelationKey, Stored
from services.graph.store import Editor
from services.runtime.errors import InvalidArgument, Violation

MAX_MENTIONS: Final = 10_000
"""In one call."""


class Editing:
    """Writes to any graph. Raises StoreUnavailable, after which it may have been done or not, and DeadlineExceeded."""

    def __init__(self, store: Editor) -> None:
        self._store = store

    async def upsert_entities(self, tenant: str, graph: str, batch: Sequence[NewEntity]) -> Stored:
        """Stores those that can be. Raises InvalidArgument for too many mentions."""
        _bounded("entities", sum(len(one.mentions) for one in batch))
        checked = drafts.entities(batch)
        keys = [""] * len(batch)
        stored = Stored((), 0, ())
        if checked.good:
            stored = await self._store.upsert_entities(tenant, graph, checked.good)
            for place, key in zip(checked.places, stored.keys, strict=True):
                keys[place] = key
        return Stored(keys, stored.created, _together(checked.refused, checked.places, stored.refused))

    async def upsert_relations(self, tenant: str, graph: str, batch: Sequence[NewRelation]) -> Stored:
        """Stores those that can be. Raises InvalidArgument for too many mentions."""
        _bounded("relations", sum(len(one.mentions) for one in batch))
        checked = drafts.relations(batch)
        stored = Stored((), 0, ())
        if checked.good:
            stored = await self._store.upsert_relations(tenant, graph, checked.good)
        return Stored((), stored.created, _together(checked.refused, checked.places, stored.refused))

    async def delete_entities(self, tenant: str, graph: str, keys: Sequence[str]) -> Deleted:
        return await self._store.delete_entities(tenant, graph, list(dict.fromkeys(keys)))

    async def delete_relations(self, tenant: str, graph: str, batch: Sequence[RelationKey]) -> list[Refusal]:
        return await self._store.delete_relations(tenant, graph, batch)

    async def merge(self, tenant: str, graph: str, target: str, sources: Sequence[str]) -> tuple[Merge, Entity]:
        """Raises EntityNotFound, AlreadyMerged; InvalidArgument when the target is among the sources."""
        if target in sources:
            text = "the target can't become part of itself; leave it out of the sources"
            raise InvalidArgument(text, violations=[Violation(f"sources[{sources.index(target)}]", text)])
        merge = Merge(str(uuid.uuid4()), graph, target, tuple(sources), datetime.now(UTC))
        return merge, await self._store.merge(tenant, graph, merge)

    async def undo_merge(self, tenant: str, graph: str, id: str) -> list[Entity]:
        """Raises MergeNotFound, MergedSince."""
        return await self._store.undo_merge(tenant, graph, id.lower())


def _bounded(field: str, mentions: int) -> None:
    if mentions > MAX_MENTIONS:
        text = f"at most {MAX_MENTIONS} mentions in one call, here are {mentions}; send fewer at a time"
        raise InvalidArgument(text, violations=[Violation(field, text)])


def _together(refused: Sequence[Refusal], places: Sequence[int], later: Sequence[Refusal]) -> list[Refusal]:
    """All refusals by their places in the batch of the call."""
    return sorted((*refused, *(one._replace(place=places[one.place]) for one in later)))
