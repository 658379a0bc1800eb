"""Statements that try to write, to read files, or to reach another tenant: none does, whatever the answer is."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

import grpc
import pytest
import pytest_asyncio

from services.graph.model import Cursor
from services.graph.store import GraphStore
from services.runtime.errors import PergolaError
from tests.integration.graph.test_writing import claimed, dump, passage
from tests.stacks import Stores
from tests.support.cache import reason
from tests.support.graph import GraphDoor

WRITES: Final = (
    "CREATE (:Passage {uid: 'x'})",
    "CREATE (n:Evil) RETURN n",
    "create\n(n:Passage)\treturn n",
    "MERGE (n:Entity {uid: 'x'}) RETURN n",
    "MATCH (n:Entity) SET n.name = 'x'",
    "MATCH (n:Entity) SET n.name = 'x' RETURN n",
    "MATCH (n:Entity) SET n += {name: 'x'}",
    "MATCH (n:Entity) SET n:Evil",
    "MATCH (n:Entity) REMOVE n.name",
    "MATCH (n:Entity) REMOVE n:Entity",
    "MATCH (n:Passage) DELETE n",
    "MATCH (n:Passage) DETACH DELETE n RETURN count(*)",
    "MATCH ()-[m:MENTIONS]->() DELETE m",
    "MATCH (p:Passage), (e:Entity) CREATE (p)-[:MENTIONS]->(e)",
    "MATCH (f:Follow) SET f.until = 0",
    "MATCH (n:Entity) CALL { WITH n SET n.name = 'x' } RETURN n",
    "MATCH (n:Entity) CALL (n) { SET n.name = 'x' } RETURN n",
    "CALL { CREATE (:Passage {uid: 'x'}) } RETURN 1",
    "CALL { CALL { CREATE (:Passage {uid: 'x'}) } RETURN 1 AS a } RETURN a",
    "UNWIND [1, 2] AS i CALL { WITH i CREATE (:Passage {uid: 'x' + i}) } IN TRANSACTIONS OF 1 ROWS",
    "FOREACH (i IN [1] | CREATE (:Passage {uid: 'x'}))",
    "RETURN 1 UNION CREATE (n:Passage {uid: 'x'}) RETURN 1",
    "PROFILE MATCH (n:Entity) SET n.name = 'x'",
    "/* MATCH */ MATCH (n:Entity) // RETURN\nSET n.name = 'x'",
    "*/ MATCH (n:Entity) SET n.name = 'x' /*",
    "MATCH (n:Entity) RETURN n; MATCH (m) DETACH DELETE m",
    "MATCH (n:Passage) RETURN exists { CREATE (m:Passage) }",
    "MATCH (n:Passage) RETURN collect { CREATE (m:Passage {uid: 'x'}) RETURN m }",
    "MATCH (n:Entity) USING INDEX n:Entity(uid) SET n.name = 'x'",
    "CREATE INDEX evil FOR (n:Passage) ON (n.title)",
    "DROP CONSTRAINT passage_uid",
    "DROP CONSTRAINT passage_uid IF EXISTS",
    "CREATE CONSTRAINT FOR (n:Evil) REQUIRE n.a IS UNIQUE",
    "CREATE USER evil SET PASSWORD 'evilevil'",
    "ALTER USER root SET PASSWORD 'evilevil'",
    "DROP USER root",
    "CREATE DATABASE evil",
    "DROP DATABASE `pergola-other`",
    "CALL apoc.cypher.run('CREATE (n:Passage {uid: \"x\"})', {})",
    "CALL apoc.create.node(['Passage'], {uid: 'x'})",
    "CALL db.create.setNodeVectorProperty(null, 'a', [1])",
    "CALL dbms.security.createUser('evil', 'evil', false)",
    "COMMIT",
    "BEGIN",
)

FILES: Final = (
    "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
    "LOAD CSV FROM '/etc/passwd' AS line RETURN line",
    "LOAD CSV WITH HEADERS FROM 'file:/etc/passwd' AS line RETURN line",
    'lOaD /* */ cSv\nFrOm "file:///etc/passwd" AS line RETURN line',
    "LOAD CSV FROM 'f' + 'ile:///etc/passwd' AS line RETURN line",
    "LOAD CSV FROM '\\u0066ile:///etc/passwd' AS line RETURN line",
    "L\\u004fAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
    "WITH 'file:///etc/passwd' AS f LOAD CSV FROM f AS line RETURN line",
    "LOAD CSV FROM $f AS line RETURN line",
    "CALL { LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line } RETURN line",
    "UNWIND [1] AS i CALL { WITH i LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line } RETURN line",
    "LOAD CSV FROM 'http://127.0.0.1:{port}/' AS line RETURN line",
    "LOAD CSV FROM 'http://localhost:{port}/' AS line RETURN line",
    "LOAD CSV FROM 'jar:file:///etc/passwd!/x' AS line RETURN line",
    "CALL apoc.load.json('file:///etc/passwd')",
    "CALL apoc.export.csv.all('/tmp/pergola-attack.csv', {})",
    "RETURN file('/etc/passwd')",
)

ELSEWHERE: Final = (
    "USE `pergola-other` MATCH (n) RETURN n",
    "USE system MATCH (n) RETURN n",
    "CALL { USE `pergola-other` MATCH (n) RETURN n } RETURN n",
    "SHOW DATABASES",
    "CALL dbms.listDatabases()",
    "SHOW USERS",
    "SHOW TRANSACTIONS",
    "MATCH (n) RETURN n",
    "MATCH (n) RETURN n.uid, n.name, n.title",
    "MATCH (n) WHERE n.graph = 'secret' RETURN n",
)


@pytest_asyncio.fixture
async def filled(store: GraphStore) -> AsyncIterator[GraphStore]:
    """The tenant `default`, which the service acts for, and another one, each with a passage."""
    claims = []
    for tenant, name in (("default", "Ada Lovelace"), ("other", "Hidden Treasure")):
        claim = await claimed(store, tenant, "attacked")
        claims.append(claim)
        while not await store.clear(claim, 30):
            pass
        await store.begin(claim, Cursor("i", 0), 30)
        await store.apply(claim, Cursor("i", 0), Cursor("i", 1), [passage("a", f"It was {name}.", name)], [], 30)
    yield store
    for claim in claims:
        while not await store.clear(claim, 30):
            pass
        await store.forget(claim)


@pytest.mark.parametrize("statement", WRITES)
async def test_nothing_is_written(filled: GraphStore, door: GraphDoor, statement: str) -> None:
    before = await everything(filled)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await door.rows(statement)
    assert reason(caught.value) in ("CYPHER_READ_ONLY", "INVALID_CYPHER")
    assert await everything(filled) == before


async def test_a_plain_write_is_told_apart_from_a_mistake(filled: GraphStore, door: GraphDoor) -> None:
    await everything(filled)
    for statement in WRITES[:10]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.rows(statement)
        assert reason(caught.value) == "CYPHER_READ_ONLY", statement
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_explaining_a_write_does_not_write(filled: GraphStore, door: GraphDoor) -> None:
    before = await everything(filled)
    await door.rows("EXPLAIN MATCH (n:Entity) SET n.name = 'x'")
    assert await everything(filled) == before


@pytest.mark.parametrize("statement", FILES)
async def test_no_file_or_address_is_read(stores: Stores, door: GraphDoor, statement: str) -> None:
    port = stores.address("graph-store-admin").rpartition(":")[2]
    parameters = {"f": "file:///etc/passwd"} if "$f" in statement else {}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await door.rows(statement.replace("{port}", port), parameters=parameters)
    assert reason(caught.value) in ("CYPHER_READ_ONLY", "INVALID_CYPHER")
    assert "passwd" not in (caught.value.details() or "")


@pytest.mark.parametrize("statement", ELSEWHERE)
async def test_no_other_tenant_is_seen(filled: GraphStore, door: GraphDoor, statement: str) -> None:
    await everything(filled)
    try:
        seen = json.dumps([[str(cell) for cell in row] for row in await door.rows(statement)])
    except grpc.aio.AioRpcError as error:
        seen = error.details() or ""
    assert "idden" not in seen
    assert "reasure" not in seen
    assert "other" not in seen.replace("pergola-other", "") if "pergola-other" in statement else "other" not in seen


async def test_the_login_of_one_tenant_opens_no_other(filled: GraphStore) -> None:
    """Past the service, with the very login it uses."""
    cypher = filled._cypher  # type: ignore[attr-defined]
    driver = await cypher._login("pergola-default")
    with pytest.raises(Exception, match="Forbidden"):
        async with driver.session(database="pergola-other") as session:
            await (await session.run("MATCH (n) RETURN n")).consume()


async def everything(store: GraphStore) -> list[object]:
    return [[await dump(store, tenant), await labels(store, tenant)] for tenant in ("default", "other")]


async def labels(store: GraphStore, tenant: str) -> list[object]:
    found: list[object] = []
    try:
        async with store.query(tenant, "CALL db.labels()", {}, 20) as rows, aclosing(rows.batches()) as batches:
            async for batch in batches:
                found += sorted(batch, key=str)
    except PergolaError:
        raise AssertionError("labels can't be read") from None
    return found
