"""What followers do to a store, over Bolt: the same on every store but for where a tenant's graph stands."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, TypeVar

from services.graph.model import Claim, Cursor, Passage
from services.graph.stores.bolt import Transaction, Work
from services.graph.stores.place import Place
from services.graph.stores.queue import Queue
from services.graph.stores.statements import claims
from services.graph.stores.statements.writing import following

T = TypeVar("T")

_CLEAR_AT_ONCE: Final = 200
_FORGET_AT_ONCE: Final = 2000


class StoreFollower(ABC):
    """A `Writer`, but for finding what is followed."""

    _queue: Queue
    """Those of one process that write one graph need not meet in the store."""

    @abstractmethod
    def _place(self, tenant: str) -> Place:
        """Where a tenant's graphs are."""

    @abstractmethod
    async def _make(self, tenant: str) -> None:
        """Whatever must be there before the tenant's first write; cheap after the first time."""

    @abstractmethod
    async def _write(self, tenant: str, work: Work[T]) -> T:
        """`work` in a transaction that is committed, repeated as a whole when it met another one."""

    async def claim(self, tenant: str, graph: str, holder: str, lease_seconds: float) -> Claim | None:
        await self._make(tenant)
        place = self._place(tenant)
        return await self._write(tenant, lambda tx: claims.claim(tx, place, tenant, graph, holder, lease_seconds))

    async def renew(self, claim: Claim, lease_seconds: float) -> None:
        place = self._place(claim.tenant)
        await self._write(claim.tenant, lambda tx: claims.renew(tx, place, claim, lease_seconds))

    async def release(self, claim: Claim) -> None:
        place = self._place(claim.tenant)
        await self._write(claim.tenant, lambda tx: claims.release(tx, place, claim))

    async def apply(
        self,
        claim: Claim,
        before: Cursor,
        after: Cursor,
        upserts: Sequence[Passage],
        deletes: Sequence[str],
        lease_seconds: float,
    ) -> None:
        place = self._place(claim.tenant)

        async def work(transaction: Transaction) -> None:
            await claims.move(transaction, place, claim, before, after, lease_seconds)
            more = await following.apply(transaction, place, claim.graph, upserts, deletes)
            if more:
                await claims.count(transaction, place, claim, more)

        async with self._queue.turn(claim.tenant, claim.graph):
            await self._write(claim.tenant, work)

    async def clear(self, claim: Claim, lease_seconds: float, *, given: bool = False) -> bool:
        place = self._place(claim.tenant)

        async def work(transaction: Transaction) -> bool:
            await claims.empty(transaction, place, claim, lease_seconds)
            empty = await following.clear(transaction, place, claim.graph, _CLEAR_AT_ONCE)
            if not empty or not given:
                return empty
            return await following.forget(transaction, place, claim.graph, _FORGET_AT_ONCE)

        async with self._queue.turn(claim.tenant, claim.graph):
            return await self._write(claim.tenant, work)

    async def begin(self, claim: Claim, cursor: Cursor, lease_seconds: float) -> None:
        place = self._place(claim.tenant)
        await self._write(claim.tenant, lambda tx: claims.move(tx, place, claim, None, cursor, lease_seconds))

    async def forget(self, claim: Claim) -> None:
        place = self._place(claim.tenant)
        await self._write(claim.tenant, lambda tx: claims.forget(tx, place, claim))
