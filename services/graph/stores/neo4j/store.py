"""One database for all tenants, over Bolt alone: a tenant is a part of every id, and so of every statement."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final, Self, TypeVar

import neo4j

from services.graph.model import Capabilities
from services.graph.store import Rows
from services.graph.stores.bolt import Bolt, NoDatabase, Transaction, Work, open_driver, run
from services.graph.stores.editing import StoreEditor
from services.graph.stores.following import StoreFollower
from services.graph.stores.neo4j.cypher import SessionCypher
from services.graph.stores.neo4j.probe import probe
from services.graph.stores.place import Place
from services.graph.stores.queue import Queue
from services.graph.stores.reading import StoreReader
from services.graph.stores.slots import Slots
from services.graph.stores.statements import schema
from services.runtime.errors import CypherNeedsIsolation, StoreUnavailable
from services.runtime.settings import Secret

T = TypeVar("T")

Tenants = Callable[[], frozenset[str]]
"""The tenants that are configured now."""

_FOLLOWED: Final = "MATCH (f:Follow) RETURN f.uid AS uid ORDER BY uid"


class Neo4jStore(StoreReader, StoreFollower, StoreEditor):
    """A `GraphStore`. Nothing is asked of the server before it is needed."""

    def __init__(
        self, bolt: Bolt, driver: neo4j.AsyncDriver, cypher: SessionCypher, database: str, tenants: Tenants
    ) -> None:
        self._bolt = bolt
        self._driver = driver
        self._cypher = cypher
        self._database = database
        self._tenants = tenants
        self._made = False
        self._lock = asyncio.Lock()
        self._capabilities: Capabilities | None = None
        self._queue = Queue()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        database: str,
        user: str,
        password: Secret,
        tenants: Tenants,
        *,
        connections: int,
        timeout: float,
        fetch_size: int,
        cypher_running: int,
    ) -> AsyncIterator[Self]:
        """`timeout`: most seconds for one transaction; of a caller's statements one tenant may have `cypher_running`
        at once."""
        async with AsyncExitStack() as stack:
            driver = open_driver(
                url, user, password.reveal(), connections=connections, connect_seconds=min(5.0, timeout)
            )
            bolt = Bolt(driver, seconds=timeout)
            stack.push_async_callback(bolt.close)
            cypher = SessionCypher(driver, fetch_size=fetch_size, slots=Slots(cypher_running))
            stack.push_async_callback(cypher.close)
            yield cls(bolt, driver, cypher, database, tenants)

    async def probe(self) -> Capabilities:
        """Asks the server what it can do. Raises StoreUnavailable."""
        self._capabilities = await probe(self._driver, self._database)
        self._bolt.kinds = self._capabilities.kinds_as_labels
        return self._capabilities

    async def capabilities(self) -> Capabilities:
        return self._capabilities or await self.probe()

    async def followed(self) -> list[tuple[str, str]]:
        async def work(transaction: Transaction) -> list[tuple[str, str]]:
            parts = [str(row["uid"]).partition("/") for row in await transaction.run(_FOLLOWED)]
            return [(tenant, graph) for tenant, _, graph in parts]

        return await self._read("", work, list)

    @asynccontextmanager
    async def query(
        self, tenant: str, statement: str, parameters: Mapping[str, Any], seconds: float
    ) -> AsyncIterator[Rows]:
        async with self._running(tenant, statement, parameters, seconds, explain=False) as rows:
            yield rows

    async def explain(self, tenant: str, statement: str, parameters: Mapping[str, Any], seconds: float) -> str:
        async with self._running(tenant, statement, parameters, seconds, explain=True) as rows:
            return await rows.plan()

    @asynccontextmanager
    async def _running(
        self, tenant: str, statement: str, parameters: Mapping[str, Any], seconds: float, *, explain: bool
    ) -> AsyncIterator[Rows]:
        if self._tenants() != {tenant}:
            raise CypherNeedsIsolation(
                "this graph store has one database for all tenants; raw Cypher needs one a tenant, or a single tenant"
            )
        found = await self.capabilities()
        if not (found.read_sessions and found.closed):
            # It may have been set right since.
            found = await self.probe()
        if not found.read_sessions:
            raise CypherNeedsIsolation("this graph store does not keep raw Cypher from writing; use the other RPCs")
        if not found.closed:
            raise CypherNeedsIsolation(
                "raw Cypher could read files or addresses from this graph store; use the other RPCs"
            )
        await self._make(tenant)
        running: AbstractAsyncContextManager[Rows] = self._cypher.query(
            tenant, self._place(tenant), statement, parameters, seconds, explain=explain
        )
        async with running as rows:
            yield rows

    def _place(self, tenant: str) -> Place:
        """Ids of tenants have no slash, so none is the beginning of another's contents."""
        return Place(self._database, f"{tenant}/")

    async def _read(self, tenant: str, work: Work[T], nothing: Callable[[], T]) -> T:  # noqa: ARG002 - always there
        try:
            return await self._bolt.read(self._database, work)
        except NoDatabase:
            raise _no_database(self._database) from None

    async def _write(self, tenant: str, work: Work[T]) -> T:  # noqa: ARG002 - one database
        try:
            return await self._bolt.write(self._database, work)
        except NoDatabase:
            raise _no_database(self._database) from None

    async def _make(self, tenant: str) -> None:  # noqa: ARG002 - one database
        """The constraints, and what the store can do; cheap after the first time."""
        if self._made:
            return
        async with self._lock:
            if not self._made:
                await self.capabilities()
                for statement in schema.STATEMENTS:
                    await self._write("", partial(run, statement))
                self._made = True


def _no_database(name: str) -> StoreUnavailable:
    return StoreUnavailable(f"the graph store has no database {name}; is store_database right?")
