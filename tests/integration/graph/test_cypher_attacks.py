"""Statements that try to write, to read files, or to reach another tenant: none does, whatever the answer is."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import pytest
import pytest_asyncio

from services.graph.model import Cursor
from services.graph.store import GraphStore
from tests.integration.graph.test_writing import claimed, passage
from tests.stacks import Stores
from tests.support.cache import reason
from tests.support.graph import GraphDoor
from tests.support.graph_dump import dump, labels

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
    "MATCH (n:Entity) CALL { WITH n CALL { WITH n CALL { WITH n SET n.name = 'x' } } } RETURN n",
    "MATCH (n:Entity) CALL { WITH n REMOVE n.name } RETURN n",
    "MATCH (n:Passage) CALL { WITH n DETACH DELETE n } RETURN 1",
    "MATCH (n:Entity) CALL { WITH n MERGE (m:Evil {k: n.key}) RETURN m } RETURN m",
    "MATCH (n:Entity) CALL { WITH n MERGE (n)-[:RELATES {uid: 'x'}]->(n) } RETURN n",
    "MATCH (n:Entity) CALL { WITH n SET n.name = 'x' } IN TRANSACTIONS",
    "MATCH (n:Entity) CALL { WITH n DELETE n } IN TRANSACTIONS OF 1 ROW ON ERROR CONTINUE",
    "UNWIND range(1, 9) AS i CALL { CREATE (:Evil) } IN 4 CONCURRENT TRANSACTIONS",
    ":auto MATCH (n:Entity) CALL { WITH n SET n.name = 'x' } IN TRANSACTIONS",
    "MATCH (n:Entity) SET n = {}",
    "MATCH (n:Entity) SET n['name'] = 'x'",
    "MATCH (n:Entity) SET n:$('Evil')",
    "MATCH (n:Entity) REMOVE n['name']",
    "MATCH ()-[m:MENTIONS]->() SET m.name = 'x'",
    "MERGE (n:Entity {uid: 'x'}) ON CREATE SET n.name = 'x' ON MATCH SET n.name = 'y'",
    "MATCH (n:Entity) FOREACH (x IN [n] | FOREACH (y IN [x] | SET y.name = 'x'))",
    "MATCH (n:Entity) WITH collect(n) AS all FOREACH (x IN all | DETACH DELETE x)",
    "MATCH (n:Entity) RETURN [x IN [1] | head(collect { MERGE (m:Evil) RETURN m })]",
    "MATCH (n:Entity) RETURN count { CREATE (m:Evil) RETURN m }",
    "M\\u0041TCH (n:Entity) S\\u0045T n.name = 'x'",
    "MATCH (n:Entity) S/**/ET n.name = 'x'",
    "MATCH (n:Entity)\u00a0SET\u00a0n.name = 'x'",
    "MATCH (n:Entity) \uff33\uff25\uff34 n.name = 'x'",
    "CYPHER runtime=interpreted MATCH (n:Entity) SET n.name = 'x'",
    "CYPHER 25 MATCH (n:Entity) SET n.name = 'x'",
    "EXPLAIN PROFILE MATCH (n:Entity) SET n.name = 'x'",
    "PROFILE EXPLAIN CREATE (n:Evil)",
    "MATCH (n:Entity) USING SCAN n:Entity DELETE n",
    "RETURN 1; CREATE (n:Evil)",
    "RETURN 1 ;\n;CREATE (n:Evil);",
    "RETURN ';' AS a; MATCH (n) DETACH DELETE n",
    "CALL db.createLabel('Evil')",
    "CALL db.createProperty('evil')",
    "CALL db.createRelationshipType('EVIL')",
    "CALL db.index.fulltext.createNodeIndex('evil', ['Entity'], ['name'])",
    "CALL db.clearQueryCaches() YIELD value CREATE (n:Evil) RETURN n",
    "CALL dbms.setConfigValue('server.directories.import', '/')",
    "CALL tx.setMetaData({a: 1}) MATCH (n:Entity) SET n.name = 'x'",
    "CALL apoc.periodic.iterate('MATCH (n) RETURN n', 'DETACH DELETE n', {})",
    "CALL apoc.refactor.rename.label('Entity', 'Evil')",
    "CALL merge.relationship(null, 'EVIL', {}, {}, null, {}) YIELD rel RETURN rel",
    "CREATE VECTOR INDEX evil FOR (n:Entity) ON (n.name)",
    "CREATE FULLTEXT INDEX evil FOR (n:Entity) ON EACH [n.name]",
    "ALTER DATABASE neo4j SET ACCESS READ ONLY",
    "STOP DATABASE neo4j",
    "GRANT ALL ON GRAPH * TO PUBLIC",
    "CREATE ALIAS evil FOR DATABASE neo4j",
    "USE neo4j CREATE (n:Evil)",
    "USE graph.byName('neo4j') CREATE (n:Evil)",
    "TERMINATE TRANSACTIONS '*' YIELD * MATCH (n) DELETE n",
    "INSERT (n:Evil)",
    "MATCH (n:Entity) NODETACH DELETE n",
    "DROP INDEX entity_uid",
    "SET n.name = 'x'",
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
async def tenants(store: GraphStore, graph_store_kind: str) -> AsyncIterator[list[str]]:
    """The tenant `default`, which the service acts for, with a passage; and, where raw Cypher runs beside other
    tenants at all, another one."""
    filled = {"default": "Ada Lovelace"} | ({"other": "Hidden Treasure"} if graph_store_kind == "arcadedb" else {})
    claims = []
    for tenant, name in filled.items():
        claim = await claimed(store, tenant, "attacked")
        claims.append(claim)
        while not await store.clear(claim, 30):
            pass
        await store.begin(claim, Cursor("i", 0), 30)
        await store.apply(claim, Cursor("i", 0), Cursor("i", 1), [passage("a", f"It was {name}.", name)], [], 30)
    yield list(filled)
    for claim in claims:
        while not await store.clear(claim, 30):
            pass
        await store.forget(claim)


async def refused(door: GraphDoor, statement: str, **fields: Any) -> str:
    """What is wrong with how a statement was answered; empty: it was refused, for a reason that fits."""
    try:
        rows = await door.rows(statement, **fields)
    except grpc.aio.AioRpcError as error:
        if reason(error) in ("CYPHER_READ_ONLY", "INVALID_CYPHER") and "passwd" not in (error.details() or ""):
            return ""
        return f"{statement!r} was answered {error.code()} {error.details()}"
    return f"{statement!r} was answered {rows}"


async def test_nothing_is_written(store: GraphStore, tenants: list[str], door: GraphDoor) -> None:
    before = await everything(store, tenants)
    failures: list[str] = []
    for statement in WRITES:
        failures.append(await refused(door, statement))
        if await everything(store, tenants) != before:
            failures.append(f"{statement!r} wrote")
            break
    assert not list(filter(None, failures))


async def test_a_plain_write_is_told_apart_from_a_mistake(
    store: GraphStore, tenants: list[str], door: GraphDoor
) -> None:
    await everything(store, tenants)
    for statement in WRITES[:10]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.rows(statement)
        assert reason(caught.value) == "CYPHER_READ_ONLY", statement
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_explaining_a_write_does_not_write(store: GraphStore, tenants: list[str], door: GraphDoor) -> None:
    before = await everything(store, tenants)
    await door.rows("EXPLAIN MATCH (n:Entity) SET n.name = 'x'")
    assert await everything(store, tenants) == before


async def test_no_file_or_address_is_read(stores: Stores, door: GraphDoor) -> None:
    port = stores.address("graph-store").rpartition(":")[2]
    parameters = {"f": "file:///etc/passwd"}
    failures = [await refused(door, one.replace("{port}", port), parameters=parameters) for one in FILES]
    assert not list(filter(None, failures))


async def test_no_other_tenant_is_seen(store: GraphStore, tenants: list[str], door: GraphDoor) -> None:
    await everything(store, tenants)
    for statement in ELSEWHERE:
        try:
            seen = json.dumps([[str(cell) for cell in row] for row in await door.rows(statement)])
        except grpc.aio.AioRpcError as error:
            seen = error.details() or ""
        # The name may come back only where it was sent.
        seen = seen.replace("pergola-other", "") if "pergola-other" in statement else seen
        for secret in ("idden", "reasure", "other"):
            assert secret not in seen, statement


async def everything(store: GraphStore, tenants: list[str]) -> list[object]:
    return [[await dump(store, tenant), await labels(store, tenant)] for tenant in tenants]
