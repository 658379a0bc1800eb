"""RunQuery's values, each of its type on every store; and ExplainQuery, which runs nothing."""

from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2

from pergola.graph.v1 import cypher_pb2
from services.graph.store import GraphStore
from tests.support.cache import reason
from tests.support.graph import GraphDoor
from tests.support.knowledge import fill


def plain(value: Any) -> Any:
    """Structs and lists of the answer as dicts and lists."""
    if isinstance(value, struct_pb2.Struct):
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, struct_pb2.ListValue) else value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("null", None),
        ("true", True),
        ("'é 東京'", "é 東京"),
        ("-9007199254740992", -9007199254740992),
        ("9007199254740993", {"$type": "Integer", "value": "9007199254740993"}),
        ("0.1", 0.1),
        ("[1, [2, null], {a: [true]}]", [1, [2, None], {"a": [True]}]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        ("{`$type`: 'Node'}", {"$type": "Map", "value": {"$type": "Node"}}),
        ("date('2020-02-29')", {"$type": "Date", "value": "2020-02-29"}),
        ("duration('P1DT2H3S')", {"$type": "Duration", "value": "P1DT2H3S"}),
        ("duration({months: 14, days: 3})", {"$type": "Duration", "value": "P1Y2M3D"}),
        ("[date('2020-02-29')]", [{"$type": "Date", "value": "2020-02-29"}]),
    ],
)
async def test_values(door: GraphDoor, expression: str, value: Any) -> None:
    assert [plain(cell) for cell in (await door.rows(f"RETURN {expression}"))[0]] == [value]


@pytest.mark.parametrize(
    ("expression", "type_", "begins"),
    [
        ("time('10:11:12Z')", "Time", "10:11:12"),
        ("localtime('10:11:12')", "Time", "10:11:12"),
        ("datetime('2020-01-02T10:11:12.5Z')", "DateTime", "2020-01-02T10:11:12.5"),
        ("localdatetime('2020-01-02T10:11:12')", "DateTime", "2020-01-02T10:11:12"),
        ("datetime('2020-01-02T10:11:12+02:00')", "DateTime", "2020-01-02T"),
    ],
)
async def test_times(door: GraphDoor, expression: str, type_: str, begins: str) -> None:
    ((cell,),) = await door.rows(f"RETURN {expression}")
    assert plain(cell)["$type"] == type_
    assert plain(cell)["value"].startswith(begins)


@pytest.mark.parametrize(
    ("expression", "coordinates", "srid"),
    [
        ("point({x: 1.5, y: -2})", [1.5, -2.0], 7203),
        ("point({x: 1, y: 2, z: 3})", [1.0, 2.0, 3.0], 9157),
        ("point({longitude: 12.5, latitude: 55.7})", [12.5, 55.7], 4326),
    ],
)
async def test_points(door: GraphDoor, expression: str, coordinates: list[float], srid: int) -> None:
    ((cell,),) = await door.rows(f"RETURN {expression}")
    assert plain(cell) == {"$type": "Point", "srid": srid, "coordinates": coordinates}


async def test_nodes_relationships_and_paths(door: GraphDoor, store: GraphStore) -> None:
    await fill(store, "default", "values")
    query = (
        "MATCH way = (a:Entity {graph: 'values', key: 'ada lovelace'})-[r:RELATES {type: 'knows'}]->(b:Entity) "
        "RETURN a, r, way, [a], {node: b}"
    )
    ((node, relation, way, listed, mapped),) = [[plain(cell) for cell in row] for row in await door.rows(query)]
    assert node["$type"] == "Node"
    assert "Entity" in node["labels"]
    assert (node["properties"]["name"], node["properties"]["born"]) == ("Ada Lovelace", 1815)
    assert relation["$type"] == "Relationship"
    assert (relation["start"], relation["end"]) == (node["element_id"], mapped["node"]["element_id"])
    assert (relation["properties"]["weight"], relation["properties"]["since"]) == (3.0, 1833)
    assert relation["type"]
    assert way["$type"] == "Path"
    assert [one["element_id"] for one in way["nodes"]] == [node["element_id"], mapped["node"]["element_id"]]
    assert [one["element_id"] for one in way["relationships"]] == [relation["element_id"]]
    assert listed == [node]


async def explained(door: GraphDoor, query: str, **parameters: Any) -> str:
    given = struct_pb2.Struct()
    given.update(parameters)
    answer = await door.cypher.ExplainQuery(cypher_pb2.ExplainQueryRequest(query=query, parameters=given), timeout=20)
    return str(answer.plan)


async def test_a_plan_names_what_it_would_look_at(door: GraphDoor, store: GraphStore) -> None:
    await fill(store, "default", "plans")
    for query in ("MATCH (e:Entity) WHERE e.uid = $uid RETURN e", " \n// first\nMATCH (e:Entity) RETURN e"):
        plan = await explained(door, query, uid="plans/ada lovelace")
        assert "Entity" in plan
        assert "Lovelace" not in plan


async def test_an_explained_statement_is_not_run(door: GraphDoor) -> None:
    """It would take hours."""
    assert await explained(door, "UNWIND range(1, 3000000) AS a UNWIND range(1, 3000000) AS b RETURN count(a + b)")


@pytest.mark.parametrize(
    "query",
    [
        "MATCH (n RETURN n",
        "RETURN 1; RETURN 2",
        "RETURN 1; CREATE (n:Evil)",
        "PROFILE MATCH (n) DETACH DELETE n",
        "*/ RETURN 1",
    ],
)
async def test_what_is_no_single_statement_is_refused(door: GraphDoor, query: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await explained(door, query)
    assert reason(caught.value) in ("INVALID_CYPHER", "CYPHER_READ_ONLY")
    assert await door.rows("MATCH (n:Evil) RETURN n") == []


async def test_a_second_explain_changes_nothing(door: GraphDoor, graph_store_kind: str) -> None:
    """Neo4j takes a word that comes twice for one."""
    if graph_store_kind == "neo4j":
        assert await explained(door, "EXPLAIN RETURN 1")
        return
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await explained(door, "EXPLAIN RETURN 1")
    assert reason(caught.value) == "INVALID_CYPHER"
