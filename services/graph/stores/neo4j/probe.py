"""What a server can do, found by asking it. What it refuses is taken for missing; a server that gives no answer is
unavailable, and is asked again."""

import asyncio
import logging
from typing import Any, Final, LiteralString

import neo4j
from neo4j.exceptions import Neo4jError

from services.graph.model import Capabilities
from services.graph.stores import failures

log = logging.getLogger(__name__)

_SECONDS: Final = 20.0
"""Most for one statement."""
_ALL_SECONDS: Final = 60.0
_VERSION: Final = "CALL dbms.components() YIELD name, versions, edition RETURN name, versions[0] AS version, edition"
_DYNAMIC: Final = "EXPLAIN MATCH (n:Entity {uid: ''}) SET n:$($labels) MERGE (n)-[:$($type)]->(n)"
_WRITE: Final = "CREATE (n:Passage {uid: '/probe'}) RETURN n.uid"
_LOAD: Final = "LOAD CSV FROM $from AS line RETURN line LIMIT 1"
_PROCEDURES: Final = "SHOW PROCEDURES YIELD name RETURN name"
_FUNCTIONS: Final = "SHOW FUNCTIONS YIELD name, isBuiltIn WHERE NOT isBuiltIn RETURN name"

_BUILT_IN: Final = ("db.", "dbms.", "tx.", "cdc.")
"""What the procedures of the server itself begin with. Those of plug-ins may read files and addresses, and a statement
does not always show that it calls them."""

_FILES: Final = ("file:///pergola-probe.csv", "file:/etc/hosts")
_ADDRESSES: Final = (
    "https://127.0.0.1:9/",
    "ftp://127.0.0.1:9/",
    *(
        f"http://{host}/"
        for host in (
            *("127.0.0.1:9", "10.0.0.1:9", "172.16.0.1:9", "192.168.0.1:9", "169.254.169.254", "100.64.0.1:9"),
            *("192.0.2.1:9", "203.0.113.1:9", "[::1]:9", "[fe80::1]:9", "[fd00::1]:9", "[2001:db8::1]:9"),
        )
    ),
)
"""This machine, private networks, the address at which clouds tell secrets, and public ones that belong to nobody."""


async def probe(driver: neo4j.AsyncDriver, database: str) -> Capabilities:
    """Raises StoreUnavailable when the server does not answer."""
    try:
        async with (
            asyncio.timeout(_ALL_SECONDS),
            driver.session(database=database, default_access_mode=neo4j.READ_ACCESS) as session,
        ):
            found = Capabilities(
                version=await _version(session),
                databases=False,
                read_only_logins=False,
                kinds_as_labels=await _accepts(session, _DYNAMIC, labels=["A"], type="A"),
                read_sessions=await _refuses_writes(session),
                closed=await _closed(session),
            )
    except Exception as error:
        if failures.lost_connection(error) or isinstance(error, Neo4jError | TimeoutError):
            raise failures.unavailable(error) from error
        raise
    log.info(
        "graph store",
        extra={
            "version": found.version,
            "kinds_as_labels": found.kinds_as_labels,
            "read_sessions": found.read_sessions,
            "closed": found.closed,
        },
    )
    return found


async def _version(session: neo4j.AsyncSession) -> str:
    try:
        rows = await _rows(session, _VERSION)
    except Neo4jError as error:
        if not failures.is_of_statement(error):
            raise
        return ""
    return " ".join(str(part) for part in rows[0]) if rows else ""


async def _accepts(session: neo4j.AsyncSession, statement: LiteralString, **parameters: Any) -> bool:
    try:
        await _rows(session, statement, **parameters)
    except Neo4jError as error:
        if not failures.is_of_statement(error):
            raise
        return False
    return True


async def _refuses_writes(session: neo4j.AsyncSession) -> bool:
    """Whether a session that asks to read can't write; what would be written is taken back."""
    try:
        await _rows(session, _WRITE)
    except Neo4jError as error:
        if not failures.is_of_statement(error):
            raise
        return failures.is_read_only(error)
    log.error("the graph store lets a session that asked to read write; raw Cypher stays off")
    return False


async def _closed(session: neo4j.AsyncSession) -> bool:
    """Whether nothing can be read but the database: neither by LOAD CSV nor by plug-ins."""
    try:
        plugins = [name for (name,) in await _rows(session, _PROCEDURES) if not str(name).startswith(_BUILT_IN)] + [
            name for (name,) in await _rows(session, _FUNCTIONS)
        ]
    except Neo4jError as error:
        if not failures.is_of_statement(error):
            raise
        return False
    if plugins:
        log.warning("the graph store has plug-ins (%s, …); raw Cypher stays off", plugins[0])
        return False
    for source in (*_FILES, *_ADDRESSES):
        if not await _is_locked(session, source):
            log.warning("the graph store's LOAD CSV is not closed to %s; raw Cypher stays off", source)
            return False
    return True


async def _is_locked(session: neo4j.AsyncSession, source: str) -> bool:
    """Whether the server refuses to read `source` at all, which is more than that it could not."""
    try:
        await _rows(session, _LOAD, **{"from": source})
    except Neo4jError as error:
        if failures.ran_out_of_time(error):
            # It may have been waiting for an answer from there.
            return False
        if not failures.is_of_statement(error):
            raise
        return failures.is_closed_source(error)
    return False


async def _rows(session: neo4j.AsyncSession, statement: LiteralString, **parameters: Any) -> list[list[Any]]:
    async with await session.begin_transaction(timeout=_SECONDS) as transaction:
        result = await transaction.run(statement, parameters)
        return [record.values() async for record in result]
