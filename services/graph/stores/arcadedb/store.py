"""ArcadeDB: a database a tenant, Bolt for the data, its HTTP API for databases and logins."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final, Self, TypeVar

from services.graph.model import Capabilities, Entity
from services.graph.store import Rows
from services.graph.stores.arcadedb.admin import ArcadeDBAdmin
from services.graph.stores.arcadedb.cypher import ArcadeDBCypher
from services.graph.stores.bolt import Bolt, NoDatabase, Work, open_driver, run
from services.graph.stores.editing import StoreEditor
from services.graph.stores.following import StoreFollower
from services.graph.stores.place import Place
from services.graph.stores.queue import Queue
from services.graph.stores.reading import StoreReader
from services.graph.stores.slots import Slots
from services.graph.stores.statements import reading, schema, whole
from services.runtime.errors import CypherNeedsIsolation, StoreUnavailable
from services.runtime.settings import Secret

log = logging.getLogger(__name__)

T = TypeVar("T")

_PREFIX: Final = "pergola-"


class ArcadeDBStore(StoreReader, StoreFollower, StoreEditor):
    """A `GraphStore`. Nothing is asked of the server before it is needed."""

    def __init__(self, bolt: Bolt, admin: ArcadeDBAdmin, cypher: ArcadeDBCypher) -> None:
        self._bolt = bolt
        self._admin = admin
        self._cypher = cypher
        self._made: set[str] = set()
        self._lock = asyncio.Lock()
        self._capabilities: Capabilities | None = None
        self._queue = Queue()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        admin_url: str,
        user: str,
        password: Secret,
        *,
        connections: int,
        timeout: float,
        fetch_size: int,
        cypher_seconds: float,
        cypher_running: int,
    ) -> AsyncIterator[Self]:
        """`timeout`: most seconds for one transaction; `cypher_seconds`: for one statement of a caller, of
        which one tenant may have `cypher_running` at once."""
        async with AsyncExitStack() as stack:
            driver = partial(open_driver, url, connections=connections, connect_seconds=min(5.0, timeout))
            bolt = Bolt(driver(user, password.reveal()), seconds=timeout)
            stack.push_async_callback(bolt.close)
            admin = ArcadeDBAdmin(admin_url, user, password.reveal(), seconds=timeout)
            stack.push_async_callback(admin.close)
            cypher = ArcadeDBCypher(
                admin,
                driver,
                password,
                fetch_size=fetch_size,
                ceiling_seconds=cypher_seconds,
                slots=Slots(cypher_running),
            )
            stack.push_async_callback(cypher.close)
            yield cls(bolt, admin, cypher)

    async def probe(self) -> Capabilities:
        """Asks the server what it can do. Raises StoreUnavailable."""
        version = await self._admin.version()
        await self._admin.databases()
        logins = await self._admin.makes_logins()
        self._capabilities = Capabilities(version, databases=True, read_only_logins=logins)
        log.info("graph store", extra={"version": version, "read_only_logins": logins})
        return self._capabilities

    async def capabilities(self) -> Capabilities:
        return self._capabilities or await self.probe()

    async def followed(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for database in await self._admin.databases():
            if database.startswith(_PREFIX):
                tenant = database.removeprefix(_PREFIX)
                graphs: list[str] = await self._read(tenant, reading.followed, list)
                found += [(tenant, graph) for graph in graphs]
        return found

    async def page(self, tenant: str, graph: str, after: str, limit: int) -> tuple[list[Entity], str]:
        """Sorting by id sorts everything that is left, so each page is bounded first."""
        place = self._place(tenant)
        return await self._read(tenant, lambda tx: whole.bounded_page(tx, place, graph, after, limit), lambda: ([], ""))

    # Raw Cypher.

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
        found = await self.capabilities()
        if not found.isolates_cypher:
            raise CypherNeedsIsolation("this graph store can't keep raw Cypher inside one tenant; use the other RPCs")
        await self._make(tenant)
        running: AbstractAsyncContextManager[Rows] = self._cypher.query(
            self._place(tenant).database, statement, parameters, seconds, explain=explain
        )
        async with running as rows:
            yield rows

    # Databases.

    def _place(self, tenant: str) -> Place:
        """A tenant id is made of small letters, digits and hyphens, at most 63, so its database's name is valid, and
        no two tenants share one."""
        return Place(_PREFIX + tenant)

    async def _read(self, tenant: str, work: Work[T], nothing: Callable[[], T]) -> T:
        try:
            return await self._bolt.read(self._place(tenant).database, work)
        except NoDatabase:
            return nothing()

    async def _write(self, tenant: str, work: Work[T]) -> T:
        try:
            return await self._bolt.write(self._place(tenant).database, work)
        except NoDatabase:
            # Someone dropped it: the next claim makes it again.
            self._made.discard(tenant)
            raise StoreUnavailable("the tenant's graph database is gone; try again") from None

    async def _make(self, tenant: str) -> None:
        """The tenant's database with its constraints; cheap after the first time."""
        if tenant in self._made:
            return
        async with self._lock:
            if tenant in self._made:
                return
            database = self._place(tenant).database
            if database not in await self._admin.databases():
                await self._admin.create_database(database)
            for statement in schema.STATEMENTS:
                await self._bolt.write(database, partial(run, statement))
            self._made.add(tenant)
