"""What callers write by hand, on any store that speaks Cypher."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from services.graph.model import (
    Deleted,
    Entity,
    GivenPage,
    Merge,
    NewEntity,
    NewRelation,
    Refusal,
    RelationKey,
    Stored,
)
from services.graph.stores.bolt import Transaction, Work
from services.graph.stores.place import Place
from services.graph.stores.queue import Queue
from services.graph.stores.statements import entities as of_entities
from services.graph.stores.statements.writing import editing, merging, since

T = TypeVar("T")


class StoreEditor(ABC):
    """An `Editor` and a `GivenLog`: the same on every store but for where a tenant's graph stands."""

    _queue: Queue
    """Those of one process that write one graph need not meet in the store."""

    @abstractmethod
    def _place(self, tenant: str) -> Place:
        """Where a tenant's graphs are."""

    @abstractmethod
    async def _make(self, tenant: str) -> None:
        """Whatever must be there before the tenant's first write; cheap after the first time."""

    @abstractmethod
    async def _read(self, tenant: str, work: Work[T], nothing: Callable[[], T]) -> T:
        """`work` in a transaction that is not committed; `nothing()` for a tenant that nobody wrote for."""

    @abstractmethod
    async def _write(self, tenant: str, work: Work[T]) -> T:
        """`work` in a transaction that is committed, repeated as a whole when it met another one."""

    async def upsert_entities(self, tenant: str, graph: str, entities: Sequence[NewEntity]) -> Stored:
        return await self._edit(tenant, graph, lambda tx, place: editing.upsert_entities(tx, place, graph, entities))

    async def upsert_relations(self, tenant: str, graph: str, relations: Sequence[NewRelation]) -> Stored:
        return await self._edit(tenant, graph, lambda tx, place: editing.upsert_relations(tx, place, graph, relations))

    async def delete_entities(self, tenant: str, graph: str, keys: Sequence[str]) -> Deleted:
        return await self._edit(tenant, graph, lambda tx, place: editing.delete_entities(tx, place, graph, keys))

    async def delete_relations(self, tenant: str, graph: str, relations: Sequence[RelationKey]) -> list[Refusal]:
        return await self._edit(tenant, graph, lambda tx, place: editing.delete_relations(tx, place, graph, relations))

    async def merge(self, tenant: str, graph: str, merge: Merge) -> Entity:
        async def work(transaction: Transaction, place: Place) -> Entity:
            await merging.merge(transaction, place, graph, merge)
            return (await of_entities.keyed(transaction, [place.inside(graph, merge.target)]))[0]

        return await self._edit(tenant, graph, work)

    async def undo_merge(self, tenant: str, graph: str, id: str) -> list[Entity]:
        async def work(transaction: Transaction, place: Place) -> list[Entity]:
            old = await merging.undo(transaction, place, graph, id)
            keys = [old.target, *old.sources]
            found = {
                one.key: one for one in await of_entities.keyed(transaction, [place.inside(graph, key) for key in keys])
            }
            return [found[key] for key in keys if key in found]

        return await self._edit(tenant, graph, work)

    async def given_since(self, tenant: str, graph: str, seq: int, limit: int, begun: int = 0) -> GivenPage:
        place = self._place(tenant)
        return await self._read(
            tenant,
            lambda tx: since.since(tx, place, graph, seq, limit, begun),
            lambda: GivenPage(0, seq > 0, (), False, {}, 0),
        )

    async def _edit(self, tenant: str, graph: str, work: Callable[[Transaction, Place], Awaitable[T]]) -> T:
        await self._make(tenant)
        place = self._place(tenant)
        async with self._queue.turn(tenant, graph):
            return await self._write(tenant, lambda transaction: work(transaction, place))
