"""Raw Cypher where one database holds one tenant alone: in sessions that may only read."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import neo4j
from neo4j.exceptions import Neo4jError

from services.graph.stores import failures
from services.graph.stores.ending import Ending
from services.graph.stores.place import Place
from services.graph.stores.rows import BoltRows
from services.graph.stores.slots import Slots
from services.graph.stores.statements import schema
from services.runtime.errors import CypherNeedsIsolation, CypherReadOnly, PergolaError

_OTHERS: Final = "RETURN " + " OR ".join(
    f"EXISTS {{ MATCH (n:{label}) WHERE n.uid < $first }} OR EXISTS {{ MATCH (n:{label}) WHERE n.uid >= $behind }}"
    for label in schema.LABELS
)
"""Whether there is anything of another tenant; by the indexes, from their ends."""

_EXPLAIN: Final = "EXPLAIN "
_OF_SERVER: Final = ("TerminateTransactions", "ShowSettings")
"""Operators of plans that act on the server or tell of it, though they write nothing."""
_POSITION: Final = re.compile(r"\(line 1, column (\d+) \(offset: (\d+)\)\)")

_RUNNING: Final = (
    "SHOW TRANSACTIONS YIELD transactionId, metaData WHERE metaData.pergola = $mark RETURN transactionId AS id"
)
_TERMINATE: Final = "TERMINATE TRANSACTIONS $ids YIELD transactionId RETURN count(*)"


class SessionCypher:
    """What the server enforces itself: that such a session does not write. What it is asked for before each statement:
    that nobody else's data are there, and what the statement would do (EXPLAIN, in the same transaction)."""

    def __init__(self, driver: neo4j.AsyncDriver, *, fetch_size: int, slots: Slots) -> None:
        self._driver = driver
        self._fetch_size = fetch_size
        self._slots = slots
        self._ending = Ending(self._end, slots)

    async def close(self) -> None:
        await self._ending.close()

    @asynccontextmanager
    async def query(
        self,
        tenant: str,
        place: Place,
        statement: str,
        parameters: Mapping[str, Any],
        seconds: float,
        *,
        explain: bool = False,
    ) -> AsyncIterator[BoltRows]:
        """`explain`: the statement is only planned."""
        self._slots.take(tenant)
        mark = secrets.token_hex(12)
        begun = finished = False
        rows: BoltRows | None = None
        try:
            async with (
                asyncio.timeout(seconds),
                self._driver.session(
                    database=place.database, fetch_size=self._fetch_size, default_access_mode=neo4j.READ_ACCESS
                ) as session,
                await session.begin_transaction(timeout=seconds, metadata={"pergola": mark}) as transaction,
            ):
                # From here on the server shows it, under its mark.
                begun = True
                try:
                    try:
                        await _nobody_else(transaction, place)
                        await _judge(transaction, statement, parameters)
                    except PergolaError:
                        # Refused: the caller's statement was not run.
                        finished = True
                        raise
                    asked = _EXPLAIN + statement if explain else statement
                    result = await transaction.run(asked, dict(parameters))
                    rows = BoltRows(result, transaction, self._fetch_size)
                    yield rows
                finally:
                    finished = finished or (rows is not None and rows.finished)
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
                self._slots.give_back(tenant)
            else:
                self._ending.begin(tenant, mark, known=begun)

    async def _end(self, mark: str) -> bool:
        """Asks the transactions with this mark to end; False when there are none (any more)."""
        try:
            async with self._driver.session() as session:
                found = [record["id"] async for record in await session.run(_RUNNING, mark=mark)]
                if found:
                    await (await session.run(_TERMINATE, ids=found)).consume()
        except Exception as error:
            raise failures.unavailable(error) from error
        return bool(found)


async def _nobody_else(transaction: neo4j.AsyncTransaction, place: Place) -> None:
    # The character behind the slash that ends a tenant's prefix is where another one's ids can begin again.
    behind = place.prefix[:-1] + chr(ord(place.prefix[-1]) + 1)
    result = await transaction.run(_OTHERS, first=place.prefix, behind=behind)
    record = await result.single(strict=True)
    if record.value():
        raise CypherNeedsIsolation(
            "this graph store has one database, and holds another tenant's graph in it; use the other RPCs"
        )


async def _judge(transaction: neo4j.AsyncTransaction, statement: str, parameters: Mapping[str, Any]) -> None:
    """Raises CypherReadOnly for what reaches beyond the database, by the server's own plan of the statement."""
    try:
        result = await transaction.run(_EXPLAIN + statement, dict(parameters))
        summary = await result.consume()
    except Neo4jError as error:
        raise failures.of_statement(error, _moved_back) from error
    acts = any(operator.startswith(_OF_SERVER) for operator in _operators(summary.plan or {}))
    if acts or summary.query_type == "s":
        raise CypherReadOnly("the query reaches beyond this tenant's graph; RunQuery only reads it")


def _operators(plan: Mapping[str, Any]) -> Iterator[str]:
    yield str(plan.get("operatorType", ""))
    for child in plan.get("children", ()):
        yield from _operators(child)


def _moved_back(remark: str) -> str:
    """A remark that counts columns, without the word that was put before the caller's statement."""

    def moved(found: re.Match[str]) -> str:
        column, offset = (max(0, int(number) - len(_EXPLAIN)) for number in found.groups())
        return f"(line 1, column {max(1, column)} (offset: {offset}))"

    return _POSITION.sub(moved, remark)
