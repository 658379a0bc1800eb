"""The reading half of a store, over Bolt: the same on every store but for where a tenant's graph stands."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from services.graph.model import Entity, Mention
from services.graph.stores.bolt import Work
from services.graph.stores.place import Place
from services.graph.stores.statements import reading

T = TypeVar("T")


class StoreReader(ABC):
    """A `Reader`, but for what the store can do at all."""

    @abstractmethod
    def _place(self, tenant: str) -> Place:
        """Where a tenant's graphs are."""

    @abstractmethod
    async def _read(self, tenant: str, work: Work[T], nothing: Callable[[], T]) -> T:
        """`work` in a transaction that is not committed; `nothing()` for a tenant that nobody wrote for."""

    async def search(self, tenant: str, graph: str, key: str, limit: int) -> list[Entity]:
        place = self._place(tenant)
        return await self._read(tenant, lambda tx: reading.search(tx, place, graph, key, limit), list)

    async def entities(self, tenant: str, graphs: Sequence[str], keys: Sequence[str]) -> list[Entity]:
        place = self._place(tenant)
        uids = sorted(place.inside(graph, key) for graph in graphs for key in keys)
        return await self._read(tenant, lambda tx: reading.entities(tx, uids), list)

    async def sizes(self, tenant: str, graphs: Sequence[str]) -> Mapping[str, int]:
        place = self._place(tenant)
        uids = [place.graph(graph) for graph in graphs]
        return await self._read(tenant, lambda tx: reading.sizes(tx, uids), dict)

    async def mentions(self, tenant: str, passages: Sequence[tuple[str, str]]) -> list[Mention]:
        place = self._place(tenant)
        uids = sorted(place.inside(graph, passage) for graph, passage in passages)
        return await self._read(tenant, lambda tx: reading.mentions(tx, uids), list)

    async def mentioning(self, tenant: str, names: Sequence[tuple[str, str]], limit: int) -> list[Mention]:
        place = self._place(tenant)
        uids = sorted(place.inside(graph, key) for graph, key in names)
        return await self._read(tenant, lambda tx: reading.mentioning(tx, uids, limit), list)
