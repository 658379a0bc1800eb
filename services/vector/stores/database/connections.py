"""Connections, transactions, tenants and time: how every statement reaches PostgreSQL.

A statement has the time that is left of the current call; when it runs out, or the call is cancelled, the statement
is cancelled on the server too. A server that doesn't even answer that within SETTLE_SECONDS loses the connection.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final

import asyncpg

from services.runtime.call import remaining
from services.runtime.errors import DeadlineExceeded, PergolaError, StoreUnavailable
from services.vector.stores.database import codecs, faults
from services.vector.stores.database.pool import Pool, PoolClosed, Raw

Record = asyncpg.Record

SETTLE_SECONDS: Final = 0.25
"""How long a connection may take to come to rest after a cancelled statement."""

CONNECT_SECONDS: Final = 10.0

EF: Final = 100
"""How wide an HNSW index is searched by default."""
SCANNED: Final = 200_000
"""Points an index scan may pass by before it gives up."""
_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
SETTINGS: Final = {
    "application_name": "pergola-vector",
    "jit": "off",
    # Statements that follow each other see what was committed in between; merging relies on it.
    "default_transaction_isolation": "read committed",
    # A process that dies or is cut off must not leave its transaction, and the locks in it, behind.
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "client_connection_check_interval": "2s",
    # Of every index scan that asks for nothing else (nearest.py); a setting in the statement costs it 50 µs.
    "hnsw.ef_search": str(EF),
    # Strict order with a resumed scan: never fewer than asked for because of rows that were deleted.
    "hnsw.iterative_scan": "strict_order",
    "hnsw.max_scan_tuples": str(SCANNED),
}
"""What every connection is opened with."""


class Session:
    """A connection in use: statements with the current call's time, and the service's own errors."""

    __slots__ = ("_connection", "_longest")

    def __init__(self, connection: Raw, longest: float) -> None:
        self._connection = connection
        self._longest = longest

    async def fetch(self, sql: str, *values: object) -> list[Record]:
        with faults.translated():
            return await self._connection.fetch(sql, *values, timeout=self.time())

    async def row(self, sql: str, *values: object) -> Record | None:
        with faults.translated():
            return await self._connection.fetchrow(sql, *values, timeout=self.time())

    async def value(self, sql: str, *values: object) -> Any:
        with faults.translated():
            return await self._connection.fetchval(sql, *values, timeout=self.time())

    async def execute(self, sql: str, *values: object) -> None:
        with faults.translated():
            await self._connection.execute(sql, *values, timeout=self.time())

    async def copy(self, schema: str, table: str, columns: Sequence[str], rows: bytes) -> None:
        """Writes rows by the binary COPY protocol; `rows` is what copying.py makes of them."""
        with faults.translated():
            await self._connection.copy_to_table(
                table,
                schema_name=schema,
                columns=list(columns),
                # Bytes would be taken for a path.
                source=memoryview(rows),  # type: ignore[arg-type] # The types know of no buffers.
                format="binary",
                timeout=self.time(),
            )

    def time(self) -> float:
        """Seconds the next statement may take."""
        left = remaining()
        return self._longest if left is None else statement_seconds(left)


def statement_seconds(left: float) -> float:
    """Of `left` seconds, those for a statement: the rest is for finding out why it took too long, and saying so."""
    return max(0.001, left - min(2 * SETTLE_SECONDS, left / 4))


class Database:
    """The vector service's database, by both logins."""

    def __init__(
        self, url: str, *, app: tuple[str, str], owner: tuple[str, str], connections: int, statement_seconds: float
    ) -> None:
        """`app`, `owner`: user and password. Opens nothing yet."""
        self._url = url
        self._app = app
        self._owner = owner
        self._connections = connections
        self._longest = statement_seconds
        self._pool: Pool | None = None
        # Each connection of the owner is opened for one piece of DDL; a few at once are enough.
        self._owners = asyncio.Semaphore(4)

    @property
    def app_user(self) -> str:
        return self._app[0]

    async def open(self) -> None:
        """Makes the pool. Connections are opened when they are needed, so this works while the server is down."""
        self._pool = Pool(self._connect_app, self._connections)

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close(SETTLE_SECONDS * 8)

    def session(self) -> "_Taken":
        """A connection of the app login without a transaction and without a tenant: for point tables alone.

        `async with` it. Raises StoreUnavailable, DeadlineExceeded.
        """
        if self._pool is None:
            raise RuntimeError("the database is not open")
        return _Taken(self._pool, self._longest)

    @asynccontextmanager
    async def transaction(self, tenant: str) -> AsyncIterator[Session]:
        """A transaction of the app login that sees the rows of `tenant` and no others.

        Commits at the end of the block, rolls back when it raises.
        Raises StoreUnavailable, DeadlineExceeded, Aborted.
        """
        async with self.session() as session:
            await _begin(session, _named(tenant))
            yield session
            await session.execute("COMMIT")

    @asynccontextmanager
    async def across_tenants(self) -> AsyncIterator[Session]:
        """A transaction that reads the catalogue and the queue of every tenant, and can write to neither.

        The only place where row-level security is opened: the policies `across_tenants` of the migrations allow
        SELECT on those two tables under this name, which is no tenant's.
        """
        async with self.session() as session:
            await _begin(session, "*")
            yield session
            await session.execute("COMMIT")

    @asynccontextmanager
    async def owner(self, tenant: str) -> AsyncIterator[Session]:
        """A transaction of the owner login, for DDL. Row-level security holds for it as for the app login."""
        async with self._owners, self.owner_connection() as connection:
            session = Session(connection, self._longest)
            try:
                await _begin(session, _named(tenant))
                yield session
                await session.execute("COMMIT")
            except BaseException as error:
                if (meaning := await _at_rest(connection, error)) is not None:
                    raise meaning from None
                raise

    @asynccontextmanager
    async def owner_connection(self) -> AsyncIterator[Raw]:
        """A connection of the owner login, ended with the block: for migrations and what can't be in a transaction."""
        connection = await self._connect(self._owner)
        try:
            yield connection
        finally:
            connection.terminate()

    async def listener(self) -> Raw:
        """A connection of the app login outside the pool, for LISTEN. The caller terminates it."""
        return await self._connect(self._app)

    async def _connect(self, login: tuple[str, str]) -> Raw:
        with faults.translated():
            try:
                return await asyncpg.connect(
                    self._url, user=login[0], password=login[1], timeout=_connect_seconds(), server_settings=SETTINGS
                )
            except TimeoutError:
                raise _silent() from None

    async def _connect_app(self) -> Raw:
        # Whoever asks for the connection bounds the time.
        user, password = self._app
        connection = await asyncpg.connect(
            self._url,
            user=user,
            password=password,
            timeout=CONNECT_SECONDS,
            server_settings=SETTINGS,
            statement_cache_size=512,
        )
        try:
            await codecs.register(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection


class _Taken:
    """A connection of the pool for the time of a block."""

    __slots__ = ("_connection", "_longest", "_pool")

    def __init__(self, pool: Pool, longest: float) -> None:
        self._pool = pool
        self._longest = longest

    async def __aenter__(self) -> Session:
        with faults.translated():
            try:
                self._connection = await self._pool.acquire(_connect_seconds())
            except TimeoutError:
                raise StoreUnavailable("The database gave no connection in time. Try again.", retry_after=1.0) from None
            except PoolClosed:
                raise StoreUnavailable("This process is shutting down. Try again.", retry_after=1.0) from None
        return Session(self._connection, self._longest)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None and (meaning := await _at_rest(self._connection, error)) is not None:
                raise meaning from None
        finally:
            self._pool.release(self._connection)


async def _begin(session: Session, tenant: str) -> None:
    # One round trip. `tenant` has passed the pattern of names, so the quotes hold it.
    await session.execute(f"BEGIN; SET LOCAL pergola.tenant = '{tenant}'")


async def _at_rest(connection: Raw, error: BaseException) -> PergolaError | None:
    """Brings a connection to rest on which `error` was raised; says what a statement that took too long means."""
    settled = await _settled(connection)
    if not isinstance(error, TimeoutError):
        return None
    if settled:
        # The server answers: it is merely slow.
        return DeadlineExceeded("The database did not finish in time. Ask for less, or give more time.")
    return _silent()


def _connect_seconds() -> float:
    left = remaining()
    return CONNECT_SECONDS if left is None else min(CONNECT_SECONDS, statement_seconds(left))


def _silent() -> StoreUnavailable:
    return StoreUnavailable("The database does not answer. Try again.", retry_after=1.0)


def _named(tenant: str) -> str:
    if not _TENANT.fullmatch(tenant):
        raise ValueError("that is no name of a tenant")
    return tenant


async def _settled(connection: Raw) -> bool:
    """Brings a connection out of whatever it was in, or ends it."""
    try:
        if not connection.is_closed():
            async with asyncio.timeout(SETTLE_SECONDS):
                # asyncpg first waits until the server has confirmed the cancellation it was sent.
                await connection.execute("ROLLBACK")
            return True
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        pass
    except BaseException:
        connection.terminate()
        raise
    connection.terminate()
    return False
