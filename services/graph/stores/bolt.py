"""Transactions over Bolt: bounded in time, repeated when they meet another one, their errors translated."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import neo4j
from neo4j.exceptions import Neo4jError

from services.graph.stores import failures
from services.runtime import call
from services.runtime.errors import PergolaError, StoreUnavailable

T = TypeVar("T")


_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.5
_READS: Final = 5
_ATTEMPTS: Final = 40
"""Conflicts are between a handful of writers, so this is never reached by chance; it ends a store's own confusion."""


class NoDatabase(Exception):
    """The tenant's database does not exist."""


class Transaction:
    """One open transaction."""

    def __init__(self, inner: neo4j.AsyncTransaction, *, kinds: bool) -> None:
        self._inner = inner
        self.kinds = kinds
        """Whether the store takes labels and types of relations as values."""

    async def run(self, statement: str, **parameters: Any) -> list[Mapping[str, Any]]:
        """All rows, by column. The statement is one of ours; whatever comes from outside is a parameter."""
        result = await self._inner.run(statement, parameters)
        return [record.data() async for record in result]


Work = Callable[[Transaction], Awaitable[T]]


# The driver logs every broken connection as an error of its own; what it means is told, and logged, here.
logging.getLogger("neo4j").setLevel(logging.CRITICAL)


def open_driver(url: str, user: str, password: str, *, connections: int, connect_seconds: float) -> neo4j.AsyncDriver:
    """A driver that has connected to nothing yet."""
    return neo4j.AsyncGraphDatabase.driver(
        url,
        auth=neo4j.basic_auth(user, password),
        max_connection_pool_size=connections,
        connection_timeout=connect_seconds,
        connection_acquisition_timeout=connect_seconds * 2,
        # After a store's restart every pooled connection is dead; asking one that has been idle costs a round trip.
        liveness_check_timeout=2.0,
        max_connection_lifetime=900,
        telemetry_disabled=True,
        user_agent="pergola",
    )


class Bolt:
    """A login at the store."""

    def __init__(self, driver: neo4j.AsyncDriver, *, seconds: float) -> None:
        self._driver = driver
        self._seconds = seconds
        """Most seconds that one attempt of a transaction may take, within the call's deadline."""
        self.kinds = False
        """Whether the store was found to take labels and types of relations as values."""

    async def close(self) -> None:
        await self._driver.close()

    async def read(self, database: str, work: Work[T]) -> T:
        """`work` in a transaction that is not committed; again when its connection was dead, or when what it reads
        went away meanwhile.

        Raises NoDatabase, StoreUnavailable, DeadlineExceeded.
        """
        for attempt in range(_READS):
            try:
                return await self._attempt(database, work, commit=False)
            except Exception as error:
                again = failures.meets_another(error) or (failures.lost_connection(error) and attempt == 0)
                if not again or attempt == _READS - 1:
                    raise _translated(error) from error
            await asyncio.sleep(_FIRST_PAUSE * attempt)
        raise AssertionError("every attempt returns or raises")

    async def write(self, database: str, work: Work[T]) -> T:
        """`work` in a transaction that is committed, from the beginning again whenever it met another one.

        Raises NoDatabase; StoreUnavailable, after which it may or may not have been committed; DeadlineExceeded.
        """
        pause = _FIRST_PAUSE
        for _ in range(_ATTEMPTS):
            try:
                return await self._attempt(database, work, commit=True)
            except Exception as error:
                if not failures.meets_another(error):
                    raise _translated(error) from error
            # Full jitter: those that met are not to meet again.
            await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - chance, not secrecy
            pause = min(pause * 2, _LONGEST_PAUSE)
        raise StoreUnavailable("the graph is being changed by too many at once; try again")

    async def _attempt(self, database: str, work: Work[T], *, commit: bool) -> T:
        left = call.remaining()
        seconds = self._seconds if left is None else min(self._seconds, left)
        mode = neo4j.WRITE_ACCESS if commit else neo4j.READ_ACCESS
        # Leaving by an exception or a cancellation closes the transaction, which the store rolls back.
        async with (
            asyncio.timeout(seconds),
            self._driver.session(database=database, default_access_mode=mode) as session,
            await session.begin_transaction(timeout=seconds) as transaction,
        ):
            result = await work(Transaction(transaction, kinds=self.kinds))
            if commit:
                await transaction.commit()
            return result


async def run(statement: str, transaction: Transaction) -> None:
    """A statement of ours without parameters and rows, such as one of the schema."""
    await transaction.run(statement)


def records(rows: Sequence[Mapping[str, Any]], kind: Callable[..., T]) -> list[T]:
    """Each row as `kind(**row)`."""
    return [kind(**row) for row in rows]


def _translated(error: Exception) -> Exception:
    if isinstance(error, Neo4jError) and error.code == failures.NO_DATABASE:
        return NoDatabase()
    if isinstance(error, PergolaError):
        return error
    if isinstance(error, Neo4jError | TimeoutError) or failures.lost_connection(error):
        return failures.unavailable(error)
    return error
