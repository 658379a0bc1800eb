"""Connections, transactions, tenants and time: how every statement reaches PostgreSQL.

A statement has the time that is left of the current call; when it runs out, or the call is cancelled, the statement
is cancelled on the server too. A server that doesn't even answer that within SETTLE_SECONDS loses the connection.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from services.runtime.call import remaining
from services.runtime.errors import DeadlineExceeded, StoreUnavailable
from services.vector.stores.database import codecs, faults

Record = asyncpg.Record
Raw: TypeAlias = "asyncpg.Connection[Record]"
Connection: TypeAlias = "Raw | PoolConnectionProxy[Record]"

SETTLE_SECONDS: Final = 0.25
"""How long a connection may take to come to rest after a cancelled statement."""

CONNECT_SECONDS: Final = 10.0
_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_SESSION: Final = {
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
}


class Session:
    """A connection in use: statements with the current call's time, and the service's own errors."""

    __slots__ = ("_connection", "_longest")

    def __init__(self, connection: Connection, longest: float) -> None:
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

    async def copy(self, schema: str, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Writes rows by the binary COPY protocol."""
        with faults.translated():
            await self._connection.copy_records_to_table(
                table, schema_name=schema, columns=list(columns), records=rows, timeout=self.time()
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
        self._pool: asyncpg.Pool[Record] | None = None
        # Each connection of the owner is opened for one piece of DDL; a few at once are enough.
        self._owners = asyncio.Semaphore(4)

    @property
    def app_user(self) -> str:
        return self._app[0]

    async def open(self) -> None:
        """Makes the pool. Connections are opened when they are needed, so this works while the server is down."""
        user, password = self._app
        self._pool = asyncpg.create_pool(
            self._url,
            user=user,
            password=password,
            min_size=0,
            max_size=self._connections,
            timeout=CONNECT_SECONDS,
            server_settings=_SESSION,
            statement_cache_size=512,
            init=codecs.register,
            # Nothing here leaves a setting behind, so the default's RESET ALL would only cost a round trip.
            reset=_nothing,
        )
        await self._pool

    async def close(self) -> None:
        if self._pool is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_SECONDS * 8):
                    await self._pool.close()
            self._pool.terminate()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A connection of the app login without a transaction and without a tenant: for point tables alone.

        Raises StoreUnavailable, DeadlineExceeded.
        """
        async with self._acquired() as connection:
            yield Session(connection, self._longest)

    @asynccontextmanager
    async def transaction(self, tenant: str) -> AsyncIterator[Session]:
        """A transaction of the app login that sees the rows of `tenant` and no others.

        Commits at the end of the block, rolls back when it raises.
        Raises StoreUnavailable, DeadlineExceeded, Aborted.
        """
        async with self._acquired() as connection, _transaction(connection, _named(tenant), self._longest) as session:
            yield session

    @asynccontextmanager
    async def across_tenants(self) -> AsyncIterator[Session]:
        """A transaction that reads the catalogue and the queue of every tenant, and can write to neither.

        The only place where row-level security is opened: the policies `across_tenants` of the migrations allow
        SELECT on those two tables under this name, which is no tenant's.
        """
        async with self._acquired() as connection, _transaction(connection, "*", self._longest) as session:
            yield session

    @asynccontextmanager
    async def owner(self, tenant: str) -> AsyncIterator[Session]:
        """A transaction of the owner login, for DDL. Row-level security holds for it as for the app login."""
        async with (
            self._owners,
            self.owner_connection() as connection,
            _guarded(connection),
            _transaction(connection, _named(tenant), self._longest) as session,
        ):
            yield session

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
                    self._url, user=login[0], password=login[1], timeout=_connect_seconds(), server_settings=_SESSION
                )
            except TimeoutError:
                raise _silent() from None

    @asynccontextmanager
    async def _acquired(self) -> "AsyncIterator[PoolConnectionProxy[Record]]":
        if self._pool is None:
            raise RuntimeError("the database is not open")
        left = remaining()
        with faults.translated():
            try:
                connection = await self._pool.acquire(
                    timeout=CONNECT_SECONDS if left is None else min(CONNECT_SECONDS, statement_seconds(left))
                )
            except TimeoutError:
                raise StoreUnavailable("The database gave no connection in time. Try again.", retry_after=1.0) from None
        try:
            async with _guarded(connection):
                yield connection
        finally:
            await self._release(connection)

    async def _release(self, connection: "PoolConnectionProxy[Record]") -> None:
        assert self._pool is not None  # noqa: S101 - it was acquired from there
        try:
            await self._pool.release(connection, timeout=SETTLE_SECONDS)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            # asyncpg has ended the connection before it raises this; the next one to ask gets a new one.
            pass


@asynccontextmanager
async def _guarded(connection: Connection) -> AsyncIterator[None]:
    """Brings the connection to rest when the block raises, and says what a statement that took too long means."""
    try:
        yield
    except TimeoutError:
        if await _settled(connection):
            # The server answers: it is merely slow.
            raise DeadlineExceeded("The database did not finish in time. Ask for less, or give more time.") from None
        raise _silent() from None
    except BaseException:
        await _settled(connection)
        raise


@asynccontextmanager
async def _transaction(connection: Connection, tenant: str, longest: float) -> AsyncIterator[Session]:
    session = Session(connection, longest)
    # One round trip. `tenant` has passed the pattern of names, so the quotes hold it.
    await session.execute(f"BEGIN; SET LOCAL pergola.tenant = '{tenant}'")
    yield session
    await session.execute("COMMIT")


def _connect_seconds() -> float:
    left = remaining()
    return CONNECT_SECONDS if left is None else min(CONNECT_SECONDS, statement_seconds(left))


def _silent() -> StoreUnavailable:
    return StoreUnavailable("The database does not answer. Try again.", retry_after=1.0)


def _named(tenant: str) -> str:
    if not _TENANT.fullmatch(tenant):
        raise ValueError("that is no name of a tenant")
    return tenant


async def _settled(connection: Connection) -> bool:
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
        _ended(connection)
        raise
    _ended(connection)
    return False


def _ended(connection: Connection) -> None:
    # Of a connection that the server has cut off, the pool has let go by itself.
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


async def _nothing(_: object) -> None:
    pass
