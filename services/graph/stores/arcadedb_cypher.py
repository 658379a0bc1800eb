"""Raw Cypher on ArcadeDB: under a login that reads one database, ended in the store when its caller leaves."""

import asyncio
import contextvars
import hmac
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import chain, repeat
from typing import Any, Final, LiteralString

import neo4j
from neo4j.exceptions import AuthError, Forbidden, Neo4jError

from services.graph.stores import failures
from services.graph.stores.arcadedb_admin import ArcadeDBAdmin
from services.graph.stores.cypher_values import Json, plan_text, row
from services.graph.stores.slots import Slots
from services.runtime.errors import CypherNeedsIsolation, PergolaError
from services.runtime.settings import Secret

log = logging.getLogger(__name__)

_LOGINS_KEPT: Final = 64
_END_PAUSES: Final = (0.0, 0.05, 0.2, 1.0, 5.0, 30.0)
"""Seconds between the attempts to end an abandoned query, the last one over and over: a statement that only waits
can't be ended by the server."""

_BEGUN_BY: Final = 5.0
_LAST_SECONDS: Final = 2.0
_GATHER_SECONDS: Final = 0.05

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
        self._ending: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        # Queries cut short by the stop itself are still ended in the store.
        ending = set(self._ending)
        if ending:
            await asyncio.wait(ending, timeout=_LAST_SECONDS)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        for driver in self._drivers.values():
            await driver.close()

    @asynccontextmanager
    async def query(
        self, database: str, statement: str, parameters: Mapping[str, Any], seconds: float
    ) -> AsyncIterator["ArcadeDBRows"]:
        driver = await self._login(database)
        self._slots.take(database)
        # The server forgets no statement because its connection broke; this is what it is found by.
        mark = f"/*{secrets.token_hex(12)}*/"
        finished = False
        rows: ArcadeDBRows | None = None
        try:
            async with (
                asyncio.timeout(seconds),
                driver.session(
                    database=database, fetch_size=self._fetch_size, default_access_mode=neo4j.READ_ACCESS
                ) as session,
                await session.begin_transaction(timeout=seconds) as transaction,
            ):
                try:
                    result = await transaction.run(f"{mark} {statement}", dict(parameters))
                    rows = ArcadeDBRows(result, transaction, self._fetch_size)
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
                self._end(database, mark, known=rows is not None)

    def _end(self, database: str, mark: str, *, known: bool) -> None:
        # In a context of its own: the call's deadline is over, or nearly, and must not bound the end of its statement.
        task = asyncio.get_running_loop().create_task(
            self._end_for_good(mark, known=known), context=contextvars.Context()
        )
        task.add_done_callback(lambda _: self._slots.give_back(database))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end_for_good(self, mark: str, *, known: bool) -> None:
        """`known`: the server has begun with it. Otherwise it may not have read it yet, so that not to find it the
        first time means nothing."""
        for pause in chain(_END_PAUSES, repeat(_END_PAUSES[-1])):
            await asyncio.sleep(pause)
            try:
                running = await self._admin.end_query(mark)
            except PergolaError:
                continue
            if not running and (known or pause >= _BEGUN_BY):
                return
            known = known or running

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


class ArcadeDBRows:
    """The rows of one statement."""

    def __init__(self, result: neo4j.AsyncResult, transaction: neo4j.AsyncTransaction, size: int) -> None:
        self._result = result
        self._transaction = transaction
        self._size = size
        self.columns: Sequence[str] = list(result.keys())
        self.finished = False

    async def batches(self) -> AsyncGenerator[Sequence[Sequence[Json]], None]:
        """The first row alone and at once; then as many as came within `_GATHER_SECONDS`."""
        gathered: list[Sequence[Json]] = []
        flushed = 0.0
        async for record in self._result:
            gathered.append(row(record.values()))
            now = time.monotonic()
            if len(gathered) >= self._size or now - flushed > _GATHER_SECONDS:
                yield gathered
                gathered, flushed = [], now
        if gathered:
            yield gathered
        # Some writes are refused only here. Nothing of a login that may not write is ever committed.
        await self._transaction.commit()
        self.finished = True

    async def plan(self) -> str:
        summary = await self._result.consume()
        await self._transaction.commit()
        self.finished = True
        return plan_text(summary.plan)


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
