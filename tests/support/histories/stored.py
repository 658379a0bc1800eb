"""A graph in a store, asked as the services ask it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.graph.model import Merge, NewEntity, NewRelation, RelationKey
from services.graph.store import GraphStore
from services.runtime.errors import PergolaError
from tests.support.followed import Followed
from tests.support.histories.graphs import Named, Undone
from tests.support.histories.left import Told, Unsaid


@dataclass
class StoredGraph:
    """One graph of a tenant; an `Answers` of graphs.py."""

    store: GraphStore
    tenant: str
    name: str
    followed: Followed

    @classmethod
    async def begin(cls, store: GraphStore, tenant: str, name: str = "docs") -> "StoredGraph":
        return cls(store, tenant, name, await Followed.begin(store, tenant, name))

    async def change(self, texts: Mapping[str, str | None]) -> None:
        await self.followed.change(texts)

    async def reset(self) -> None:
        await self.followed.reset(self.followed.cursor.incarnation, given=False)

    async def tell(self, entities: Sequence[NewEntity]) -> Told:
        stored = await self.store.upsert_entities(self.tenant, self.name, entities)
        return Told([one.place for one in stored.refused], stored.keys, stored.created)

    async def relate(self, relations: Sequence[NewRelation]) -> Told:
        stored = await self.store.upsert_relations(self.tenant, self.name, relations)
        return Told([one.place for one in stored.refused], (), stored.created)

    async def unsay(self, keys: Sequence[str]) -> Unsaid:
        return Unsaid(*await self.store.delete_entities(self.tenant, self.name, keys))

    async def unrelate(self, relations: Sequence[RelationKey]) -> list[int]:
        return [one.place for one in await self.store.delete_relations(self.tenant, self.name, relations)]

    async def names(self, keys: Sequence[str]) -> Named:
        return {one.key: one.name for one in await self.store.entities(self.tenant, [self.name], keys)}

    async def merge(self, merge: Merge) -> str:
        try:
            await self.store.merge(self.tenant, self.name, merge)
        except PergolaError as error:
            return error.reason
        return ""

    async def undo(self, id: str) -> Undone:
        try:
            return Undone("", [one.key for one in await self.store.undo_merge(self.tenant, self.name, id)])
        except PergolaError as error:
            return Undone(error.reason, ())
