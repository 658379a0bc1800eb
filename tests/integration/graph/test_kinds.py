"""Where the store takes names as values, types of entities are labels and types of relations are types as well."""

from typing import Any

from services.graph.model import NewEntity, NewRelation, RelationKey
from services.graph.store import GraphStore
from services.graph.stores.bolt import Transaction
from services.graph.stores.reading import StoreReader

GRAPH_STORES = ("neo4j",)


async def labels(store: GraphStore, tenant: str) -> dict[str, list[str]]:
    """Of each entity."""
    rows = await _rows(store, tenant, "MATCH (e:Entity) RETURN e.key AS one, labels(e) AS all ORDER BY one")
    return {str(row[0]): sorted(row[1]) for row in rows}


async def types(store: GraphStore, tenant: str) -> list[list[Any]]:
    """Of relations between entities, with their weights and whom they lead from and to."""
    return await _rows(
        store,
        tenant,
        "MATCH (a:Entity)-[x]->(b:Entity) RETURN type(x) AS t, a.key AS a, b.key AS b, x.weight AS w "
        "ORDER BY t, a, b, w",
    )


async def test_labels_follow_types(store: GraphStore, tenant: str) -> None:
    entities = [NewEntity("a", "A", "person"), NewEntity("b", "B", "Passage"), NewEntity("c", "C")]
    await store.upsert_entities(tenant, "g", entities)
    assert await labels(store, tenant) == {"a": ["Entity", "person"], "b": ["Entity"], "c": ["Entity"]}
    await store.upsert_entities(tenant, "g", [NewEntity("a", type="robot"), NewEntity("c", type="person")])
    assert await labels(store, tenant) == {"a": ["Entity", "robot"], "b": ["Entity"], "c": ["Entity", "person"]}
    # One of the service's own labels stays a property: it does not become a passage.
    assert [one.type for one in await store.entities(tenant, ["g"], ["b"])] == ["Passage"]
    await store.delete_entities(tenant, "g", ["a", "b", "c"])
    assert await labels(store, tenant) == {}


async def test_relations_have_their_type_beside_the_services_own(store: GraphStore, tenant: str) -> None:
    relations = [
        NewRelation("a", "b", "works_at", 2.0, {"since": 1833}),
        NewRelation("b", "b", "likes"),
        NewRelation("a", "b", "MENTIONS", 3.0),
    ]
    await store.upsert_relations(tenant, "g", relations)
    assert await types(store, tenant) == [
        ["RELATES", "a", "b", 2.0],
        ["RELATES", "a", "b", 3.0],
        ["RELATES", "b", "b", 1.0],
        ["likes", "b", "b", 1.0],
        ["works_at", "a", "b", 2.0],
    ]
    await store.upsert_relations(tenant, "g", [NewRelation("a", "b", "works_at", 5.0)])
    assert ["works_at", "a", "b", 5.0] in await types(store, tenant)
    await store.delete_relations(tenant, "g", [RelationKey("a", "b", "works_at"), RelationKey("b", "b", "likes")])
    assert await types(store, tenant) == [["RELATES", "a", "b", 3.0]]


async def test_names_are_values(store: GraphStore, tenant: str) -> None:
    """Past the contract, whose pattern refuses such names: they would do no harm."""
    odd = "x` SET e.name = 'y' //"
    await store.upsert_entities(tenant, "g", [NewEntity("a", "A", odd), NewEntity("b", "B")])
    await store.upsert_relations(tenant, "g", [NewRelation("a", "b", odd)])
    assert (await labels(store, tenant))["a"] == sorted(["Entity", odd])
    assert [row[0] for row in await types(store, tenant)] == ["RELATES", odd]
    assert [one.name for one in await store.entities(tenant, ["g"], ["a", "b"])] == ["A", "B"]


async def _rows(store: GraphStore, tenant: str, statement: str) -> list[list[Any]]:
    assert isinstance(store, StoreReader)

    async def work(transaction: Transaction) -> list[list[Any]]:
        return [list(row.values()) for row in await transaction.run(statement)]

    return await store._read(tenant, work, list)
