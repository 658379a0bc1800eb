"""The reading half of a store, over Bolt: the same on every store but for where a tenant's graph stands."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from services.graph.model import Entity, Evidence, Mention, Named, Relation, RelationKey, Stats
from services.graph.reading.along import Along, Step
from services.graph.stores.bolt import Work
from services.graph.stores.place import Place
from services.graph.stores.statements import entities, evidence, reading, relations, whole

T = TypeVar("T")


class StoreReader(ABC):
    """A `Reader`, but for what the store can do at all."""

    @abstractmethod
    def _place(self, tenant: str) -> Place:
        """Where a tenant's graphs are."""

    @abstractmethod
    async def _read(self, tenant: str, work: Work[T], nothing: Callable[[], T]) -> T:
        """`work` in a transaction that is not committed; `nothing()` for a tenant that nobody wrote for."""

    # By key.

    async def entities(self, tenant: str, graphs: Sequence[str], keys: Sequence[str]) -> list[Entity]:
        place = self._place(tenant)
        uids = sorted(place.inside(graph, key) for graph in graphs for key in keys)
        return await self._read(tenant, lambda tx: entities.keyed(tx, uids), list)

    async def resolve(self, tenant: str, graph: str, keys: Sequence[str]) -> Mapping[str, Entity]:
        place = self._place(tenant)
        return await self._read(tenant, lambda tx: entities.resolve(tx, place, graph, keys), dict)

    async def relations(self, tenant: str, graph: str, wanted: Sequence[RelationKey]) -> list[Relation]:
        place = self._place(tenant)
        return await self._read(tenant, lambda tx: relations.relations(tx, place, graph, wanted), list)

    async def evidence_of_entities(
        self, tenant: str, graph: str, keys: Sequence[str], each: int
    ) -> Mapping[str, Sequence[Evidence]]:
        place = self._place(tenant)
        return await self._read(tenant, lambda tx: evidence.of_entities(tx, place, graph, keys, each), dict)

    async def evidence_of_relations(
        self, tenant: str, graph: str, wanted: Sequence[RelationKey], each: int
    ) -> Mapping[RelationKey, Sequence[Evidence]]:
        place = self._place(tenant)
        return await self._read(tenant, lambda tx: evidence.of_relations(tx, place, graph, wanted, each), dict)

    # By name.

    async def named(
        self, tenant: str, graph: str, form: str, types: Sequence[str], limit: int, *, longer: bool
    ) -> list[Named]:
        place = self._place(tenant)
        return await self._read(
            tenant, lambda tx: entities.named(tx, place, graph, form, types, limit, longer=longer), list
        )

    async def similar(
        self,
        tenant: str,
        graph: str,
        pieces: Sequence[str],
        lengths: tuple[int, int],
        types: Sequence[str],
        limit: int,
    ) -> list[tuple[str, str]]:
        place = self._place(tenant)
        return await self._read(
            tenant, lambda tx: entities.similar(tx, place, graph, pieces, lengths, types, limit), list
        )

    async def foremost(self, tenant: str, graph: str, types: Sequence[str], limit: int) -> list[Entity]:
        place = self._place(tenant)
        return await self._read(tenant, lambda tx: entities.foremost(tx, place, graph, types, limit), list)

    # Along relations.

    async def steps(
        self, tenant: str, graph: str, keys: Sequence[str], along: Along, *, each: int, most: int
    ) -> list[Step]:
        place = self._place(tenant)
        return await self._read(
            tenant, lambda tx: relations.steps(tx, place, graph, keys, along, each=each, most=most), list
        )

    async def edges(
        self, tenant: str, graph: str, keys: Sequence[str], along: Along, *, most: int, always: Sequence[str] = ()
    ) -> list[Step]:
        place = self._place(tenant)
        return await self._read(
            tenant, lambda tx: relations.edges(tx, place, graph, keys, along, most=most, always=always), list
        )

    async def neighbors(
        self, tenant: str, graph: str, key: str, along: Along, after: Step | None, limit: int
    ) -> list[Step]:
        place = self._place(tenant)
        return await self._read(
            tenant, lambda tx: relations.neighbors(tx, place, graph, key, along, after, limit), list
        )

    # All of it.

    async def page(self, tenant: str, graph: str, after: str, limit: int) -> tuple[list[Entity], str]:
        place = self._place(tenant)
        return await self._read(tenant, lambda tx: whole.page(tx, place, graph, after, limit), lambda: ([], ""))

    async def mentioned(
        self, tenant: str, graph: str, keys: Sequence[str], after: tuple[str, str], limit: int
    ) -> list[tuple[str, str, Evidence]]:
        place = self._place(tenant)
        return await self._read(tenant, lambda tx: whole.mentioned(tx, place, graph, keys, after, limit), list)

    async def related(
        self, tenant: str, graph: str, keys: Sequence[str], after: Relation | None, limit: int
    ) -> list[Relation]:
        place = self._place(tenant)
        return await self._read(tenant, lambda tx: whole.related(tx, place, graph, keys, after, limit), list)

    async def stats(self, tenant: str, graph: str) -> Stats:
        place = self._place(tenant)
        return await self._read(tenant, lambda tx: whole.stats(tx, place, graph), Stats)

    # What Retrieve needs.

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
