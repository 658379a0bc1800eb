"""All that a tenant has in a graph store, whichever it is, in a form that can be compared."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from services.graph.store import GraphStore
from services.graph.stores.arcadedb.store import ArcadeDBStore
from services.graph.stores.bolt import Transaction, run
from services.graph.stores.neo4j.store import Neo4jStore
from services.graph.stores.reading import StoreReader

_STATEMENTS: Final = (
    "MATCH (p:Passage) WHERE p.uid STARTS WITH $prefix RETURN properties(p) AS p ORDER BY p.uid",
    "MATCH (e:Entity) WHERE e.uid STARTS WITH $prefix RETURN properties(e) AS e, labels(e) ORDER BY e.uid",
    "MATCH (p:Passage)-[m:MENTIONS]->(e:Entity) WHERE p.uid STARTS WITH $prefix "
    "RETURN p.uid, properties(m), e.uid ORDER BY p.uid, e.uid",
    "MATCH (a:Entity)-[r]->(b:Entity) WHERE a.uid STARTS WITH $prefix "
    "RETURN a.uid, type(r), properties(r), b.uid ORDER BY r.uid, type(r)",
    "MATCH (a:Alias) WHERE a.uid STARTS WITH $prefix OPTIONAL MATCH (a)-[:NAMES]->(e) "
    "RETURN properties(a), e.uid ORDER BY a.uid, e.uid",
    "MATCH (x:Part) WHERE x.uid STARTS WITH $prefix RETURN properties(x) ORDER BY x.uid",
    "MATCH (m:Merge) WHERE m.uid STARTS WITH $prefix RETURN properties(m) ORDER BY m.uid",
    "MATCH (s:Statement) WHERE s.uid STARTS WITH $prefix AND s.gone IS NULL "
    "RETURN s.uid, s.document, s.chunk, s.name, s.text, s.digest, s.live ORDER BY s.uid",
    "MATCH (f:Follow) WHERE f.uid STARTS WITH $prefix RETURN f.graph, f.passages ORDER BY f.graph",
)


async def dump(store: GraphStore, tenant: str, graph: str = "") -> list[object]:
    """Passages, entities with their labels, mentions, relations of every type, merges, and what callers said, without
    what the store itself numbers and when it was said; of cursors how many passages they count.

    graph: of this one alone, whose name is the beginning of no other's.
    """
    assert isinstance(store, StoreReader)
    prefix = store._place(tenant).prefix

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: plain(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [plain(inner) for inner in value]
        return value.removeprefix(prefix) if isinstance(value, str) and prefix else value

    async def work(transaction: Transaction) -> list[object]:
        found: list[object] = []
        for statement in _STATEMENTS:
            found += [
                [plain(cell) for cell in row.values()]
                for row in await transaction.run(statement, prefix=prefix + graph)
            ]
        return found

    return await store._read(tenant, work, list)


async def labels(store: GraphStore, tenant: str) -> list[str]:
    """The labels that nodes of the tenant's database have had."""
    assert isinstance(store, StoreReader)

    async def work(transaction: Transaction) -> list[str]:
        return sorted(str(row["label"]) for row in await transaction.run("CALL db.labels() YIELD label RETURN label"))

    return await store._read(tenant, work, list)


async def clear_all(store: GraphStore, tenant: str) -> None:
    """Removes whatever is in the database that a tenant's graphs are in, which on some stores all tenants share."""
    assert isinstance(store, ArcadeDBStore | Neo4jStore)
    await store._make(tenant)
    await store._write(tenant, partial(run, "MATCH (n) DETACH DELETE n"))


async def clear_graph(store: GraphStore, tenant: str, graph: str) -> None:
    """Removes whatever is in a graph, whose name is the beginning of no other's."""
    assert isinstance(store, ArcadeDBStore | Neo4jStore)
    await store._make(tenant)
    prefix = store._place(tenant).graph(graph)

    async def work(transaction: Transaction) -> None:
        await transaction.run("MATCH (n) WHERE n.uid STARTS WITH $prefix DETACH DELETE n", prefix=prefix)

    await store._write(tenant, work)
