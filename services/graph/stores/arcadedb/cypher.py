"""Raw Cypher on ArcadeDB: under a login that reads one database, ended in the store when its caller leaves."""

import asyncio
import hmac
import logging
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString

import neo4j
from neo4j.exceptions import AuthError, Forbidden, Neo4jError

from services.graph.stores import failures
from services.graph.stores.arcadedb.admin import ArcadeDBAdmin
from services.graph.stores.ending import Ending
from services.graph.stores.rows import BoltRows
from services.graph.stores.slots import Slots
from services.runtime.errors import CypherNeedsIsolation
from services.runtime.settings import Secret

log = logging.getLogger(__name__)

_LOGINS_KEPT: Final = 64
OpenDriver = Callable[[str, str], neo4j.AsyncDriver]


class ArcadeDBCypher:
    """The read-only logins, one a database, and what runs under them.

    A login's password is an HMAC of its name under the store's own password: every replica knows it, nothing is kept.
    """

    def __init__(
        self,
        admin: ArcadeDBAdmin,
        open_driver: OpenDriver,
        password: Secret,
        *,
        fetch_size: int,
        ceiling_seconds: float,
        slots: Slots,
    ) -> None:
        self._admin = admin
        self._open_driver = open_driver
        self._password = password
        self._fetch_size = fetch_size
        self._ceiling = ceiling_seconds
        self._slots = slots
        self._drivers: OrderedDict[str, neo4j.AsyncDriver] = OrderedDict()
        self._lock = asyncio.Lock()
        self._ending = Ending(admin.end_query, slots)

    async def close(self) -> None:
        await self._ending.close()
        for driver in self._drivers.values():
            await driver.close()

    @asynccontextmanager
    async def query(
        self, database: str, statement: str, parameters: Mapping[str, Any], seconds: float, *, explain: bool = False
    ) -> AsyncIterator[BoltRows]:
        """`explain`: the statement is only planned."""
        driver = await self._login(database)
        self._slots.take(database)
        # The server forgets no statement because its connection broke; this is what it is found by.
        mark = f"/*{secrets.token_hex(12)}*/"
        finished = False
        rows: BoltRows | None = None
        try:
            async with (
                asyncio.timeout(seconds),
                driver.session(
                    database=database, fetch_size=self._fetch_size, default_access_mode=neo4j.READ_ACCESS
                ) as session,
                await session.begin_transaction(timeout=seconds) as transaction,
            ):
                try:
                    # Behind a comment EXPLAIN would come as a row, which holds more than a plan.
                    asked = f"EXPLAIN {mark} {statement}" if explain else f"{mark} {statement}"
                    result = await transaction.run(asked, dict(parameters))
                    rows = BoltRows(result, transaction, self._fetch_size)
                    yield rows
                finally:
                    finished = rows is not None and rows.finished
                    if not finished:
                        # Closing it politely would wait for the rows that nobody wants any more.
                        transaction.cancel()
        except Neo4jError as error:
            # The statement has ended by itself.
            finished = error.code not in (None, failures.NO_DATABASE)
            raise failures.of_statement(error) from error
        except TimeoutError as error:
            raise failures.of_timeout() from error
        except Exception as error:
            if failures.lost_connection(error):
                raise failures.unavailable(error) from error
            raise
        finally:
            if finished:
                self._slots.give_back(database)
            else:
                self._ending.begin(database, mark, known=rows is not None)

    async def _login(self, database: str) -> neo4j.AsyncDriver:
        """A driver with the database's read-only login, which is made on first use."""
        async with self._lock:
            driver = self._drivers.get(database)
            if driver is None:
                driver = await self._make_login(database)
                self._drivers[database] = driver
            self._drivers.move_to_end(database)
            idle = self._drivers.popitem(last=False)[1] if len(self._drivers) > _LOGINS_KEPT else None
        if idle is not None:
            await idle.close()
        return driver

    async def _make_login(self, database: str) -> neo4j.AsyncDriver:
        user = f"{database}-reader"
        password = hmac.digest(self._password.reveal().encode(), f"pergola login {user}".encode(), "sha256").hex()
        await self._admin.make_readers(database, self._ceiling)
        made = await self._admin.make_reader(database, user, password)
        driver = self._open_driver(user, password)
        try:
            if not made and not await _accepted(driver, database):
                # The store's password was changed since. Replacing it ends the login's sessions, so only in need.
                await self._admin.replace_reader(database, user, password)
            await _prove_read_only(driver, database)
        except BaseException:
            await driver.close()
            raise
        return driver


async def _accepted(driver: neo4j.AsyncDriver, database: str) -> bool:
    """Whether the login's password is right."""
    try:
        await _try(driver, database, "RETURN 1")
    except AuthError:
        return False
    return True


async def _prove_read_only(driver: neo4j.AsyncDriver, database: str) -> None:
    """Tries to write, because everything rests on its being refused; what would be written is taken back.

    Raises CypherNeedsIsolation.
    """
    try:
        await _try(driver, database, "CREATE (n:Passage {uid: '/probe'}) RETURN n")
    except Forbidden:
        return
    log.error("the graph store lets the read-only login of %s write; raw Cypher stays off", database)
    raise CypherNeedsIsolation("this graph store does not keep raw Cypher from writing; use the other RPCs")


async def _try(driver: neo4j.AsyncDriver, database: str, statement: LiteralString) -> None:
    """Runs a statement and takes it back. Raises AuthError, Forbidden, StoreUnavailable."""
    try:
        async with driver.session(database=database) as session, await session.begin_transaction() as transaction:
            await (await transaction.run(statement)).consume()
    except (AuthError, Forbidden):
        raise
    except Exception as error:
        raise failures.unavailable(error) from error
