"""The writing RPCs: what they answer, what they refuse, and how."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from pergola.graph.v1 import entity_pb2, reading_pb2, writing_pb2
from tests.support import graph


def entity(**fields: Any) -> entity_pb2.NewEntity:
    return json_format.ParseDict(fields, entity_pb2.NewEntity())


def relation(**fields: Any) -> entity_pb2.NewRelation:
    return json_format.ParseDict(fields, entity_pb2.NewRelation())


async def upsert(door: graph.GraphDoor, name: str, *entities: entity_pb2.NewEntity) -> Any:
    return await door.graph.UpsertEntities(writing_pb2.UpsertEntitiesRequest(graph=name, entities=entities), timeout=20)


async def relate(door: graph.GraphDoor, name: str, *relations: entity_pb2.NewRelation) -> Any:
    request = writing_pb2.UpsertRelationsRequest(graph=name, relations=relations)
    return await door.graph.UpsertRelations(request, timeout=20)


async def read(door: graph.GraphDoor, name: str, *keys: str) -> list[Any]:
    answer = await door.graph.BatchGetEntities(reading_pb2.BatchGetEntitiesRequest(graph=name, keys=keys), timeout=20)
    return list(answer.entities)


async def test_each_is_stored_or_refused_with_its_reason(door: graph.GraphDoor) -> None:
    answer = await upsert(
        door,
        "each",
        entity(
            name="Łódź", type="city", aliases=["Lodz  City"], properties={"people": 670000, "in": True, "l": [1, 2.5]}
        ),
        entity(name="…"),
        entity(name="a", properties={"mentions": 1}),
        entity(name="b", properties={"_x": 1}),
        entity(name="c", properties={"nested": {"x": 1}}),
        entity(name="d", properties={"mixed": [1, "x"]}),
        entity(name="e", properties={"born-in": 1}),
        entity(name="LODZ"),
        entity(name="f", mentions=[{"document": "none", "chunk": 0}]),
        entity(key="Q42", name="Douglas Adams"),
    )
    assert list(answer.keys) == ["lodz", "", "", "", "", "", "", "", "", "Q42"]
    assert answer.created_count == 2
    assert [(one.index, one.reason) for one in answer.failures] == [
        (1, "INVALID_NAME"),
        (2, "RESERVED_PROPERTY"),
        (3, "RESERVED_PROPERTY"),
        (4, "INVALID_PROPERTY"),
        (5, "INVALID_PROPERTY"),
        (6, "INVALID_PROPERTY"),
        (7, "DUPLICATE"),
        (8, "PASSAGE_NOT_FOUND"),
    ]
    assert all(one.message for one in answer.failures)
    found = (await read(door, "each", "lodz"))[0]
    assert (found.name, found.type, list(found.aliases), found.manual) == ("Łódź", "city", ["Lodz City"], True)
    assert json_format.MessageToDict(found.properties) == {"people": 670000, "in": True, "l": [1.0, 2.5]}
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await upsert(door, "each", entity(name="big", properties={"n": 2**60}))
    assert "entities[0].properties.n" in str(error.value.details())


async def test_relations_make_their_ends_and_deletes_tell_what_they_did(door: graph.GraphDoor) -> None:
    answer = await relate(
        door,
        "ends",
        relation(source="Ada Lovelace", target="Lord Byron", type="child_of", weight=2, properties={"by": "marriage"}),
        relation(source="Ada Lovelace", target="London", type="mentioned_with"),
        relation(source="ada lovelace", target="Lord Byron", type="child_of"),
    )
    assert (answer.stored_count, answer.created_count) == (2, 1)
    assert [(one.index, one.reason) for one in answer.failures] == [(1, "RESERVED_TYPE")]
    assert [one.name for one in await read(door, "ends", "ada lovelace", "lord byron")] == [
        "Ada Lovelace",
        "Lord Byron",
    ]
    neighbors = await door.graph.ListNeighbors(reading_pb2.ListNeighborsRequest(graph="ends", key="lord byron"))
    one = neighbors.neighbors[0].relation
    assert (one.source, one.type, one.weight, one.manual) == ("ada lovelace", "child_of", 2.0, True)
    assert json_format.MessageToDict(one.properties) == {"by": "marriage"}
    keys = [
        writing_pb2.RelationKey(source="ada lovelace", target="lord byron", type=kind) for kind in ("child_of", "none")
    ]
    away = await door.graph.DeleteRelations(
        writing_pb2.DeleteRelationsRequest(graph="ends", relations=keys), timeout=20
    )
    assert (away.deleted_count, [(one.index, one.reason) for one in away.failures]) == (1, [(1, "RELATION_NOT_FOUND")])
    request = writing_pb2.DeleteEntitiesRequest(graph="ends", keys=["ada lovelace", "x", "ada lovelace"])
    gone = await door.graph.DeleteEntities(request, timeout=20)
    assert (gone.deleted_count, list(gone.missing), list(gone.derived)) == (1, ["x"], [])


async def test_a_merge_and_its_undoing(door: graph.GraphDoor) -> None:
    await upsert(door, "merged", entity(name="New York"), entity(name="NYC", properties={"x": 1}))
    request = writing_pb2.MergeEntitiesRequest(graph="merged", target="new york", sources=["nyc"])
    answer = await door.graph.MergeEntities(request, timeout=20)
    assert (answer.merge.target, list(answer.merge.sources)) == ("new york", ["nyc"])
    assert answer.merge.create_time.seconds > 0
    assert (answer.entity.key, list(answer.entity.aliases)) == ("new york", ["NYC"])
    assert [one.key for one in await read(door, "merged", "nyc")] == ["new york"]
    again = await refused(door.graph.MergeEntities(request, timeout=20))
    itself = writing_pb2.MergeEntitiesRequest(graph="merged", target="a", sources=["a"])
    nobody = writing_pb2.MergeEntitiesRequest(graph="merged", target="new york", sources=["nobody"])
    undo = writing_pb2.UndoMergeRequest(graph="merged", id=answer.merge.id)
    assert again == grpc.StatusCode.FAILED_PRECONDITION
    assert await refused(door.graph.MergeEntities(itself, timeout=20)) == grpc.StatusCode.INVALID_ARGUMENT
    assert await refused(door.graph.MergeEntities(nobody, timeout=20)) == grpc.StatusCode.NOT_FOUND
    back = await door.graph.UndoMerge(undo, timeout=20)
    assert [one.key for one in back.entities] == ["new york", "nyc"]
    assert await refused(door.graph.UndoMerge(undo, timeout=20)) == grpc.StatusCode.NOT_FOUND


async def test_a_thousand_at_once(door: graph.GraphDoor) -> None:
    batch = [entity(name=f"Thing {number}", properties={"n": number}) for number in range(1000)]
    answers = await asyncio.gather(*(upsert(door, "thousand", *batch) for _ in range(2)))
    assert sorted(answer.created_count for answer in answers) == [0, 1000]
    stats = await door.graph.GetStats(reading_pb2.GetStatsRequest(graph="thousand"), timeout=20)
    assert stats.entity_count == 1000


async def refused(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    code = error.value.code()
    assert isinstance(code, grpc.StatusCode)
    return code
