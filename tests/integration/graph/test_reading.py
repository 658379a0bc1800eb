"""The reading half of GraphService, as callers meet it."""

import itertools
import json
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf import struct_pb2

from pergola.graph.v1 import reading_pb2
from services.graph.store import GraphStore
from services.graph.stores.reading import StoreReader
from services.runtime.errors import StoreUnavailable
from tests.stacks import Stores
from tests.support import graph
from tests.support.cache import reason
from tests.support.graph import GraphDoor
from tests.support.knowledge import fill

ADA, CHARLES, ENGINE = "ada lovelace", "charles babbage", "engine"
BY_HAND = ("knows", "wrote_to", "designed", "described", "inspired_by", "part_of")

_numbers = itertools.count(1)


@pytest_asyncio.fixture
async def known(store: GraphStore) -> str:
    """A graph of the test's own, of the tenant that the service acts for."""
    name = f"reading-{next(_numbers)}"
    await fill(store, "default", name)
    return name


def struct(**values: Any) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(values)
    return made


async def test_entities_are_read_with_all_they_have(door: GraphDoor, known: str) -> None:
    request = reading_pb2.BatchGetEntitiesRequest(graph=known, keys=[ENGINE, ADA, "nobody", ADA], with_mentions=True)
    answer = await door.graph.BatchGetEntities(request)
    assert [one.key for one in answer.entities] == [ENGINE, ADA]
    assert list(answer.missing) == ["nobody"]
    engine, ada = answer.entities
    assert (engine.name, engine.type, dict(engine.properties)) == ("The Analytical Engine", "machine", {"built": False})
    assert (ada.mention_count, ada.manual, list(ada.aliases)) == (2, True, ["Ada King", "The Enchantress"])
    assert [(one.document, one.chunk, one.text) for one in ada.mentions] == [
        ("d", 0, "Ada Lovelace"),
        ("d", 1, "Ada Lovelace"),
    ]


async def test_neighbours_come_in_pages_by_weight(door: GraphDoor, known: str) -> None:
    seen: list[tuple[str, float, str]] = []
    token = ""
    while True:
        request = reading_pb2.ListNeighborsRequest(
            graph=known, key=ADA, page_size=2, page_token=token, with_mentions=True
        )
        answer = await door.graph.ListNeighbors(request)
        assert len(answer.neighbors) <= 2
        seen += [(one.relation.type, one.relation.weight, one.entity.key) for one in answer.neighbors]
        for one in answer.neighbors:
            if one.relation.type == "knows":
                assert [mention.text for mention in one.relation.mentions] == ["met"]
                assert dict(one.relation.properties) == {"since": 1833}
        token = answer.next_page_token
        if not token:
            break
    assert seen == [
        ("described", 4.0, ENGINE),
        ("knows", 3.0, CHARLES),
        ("mentioned_with", 2.0, CHARLES),
        ("wrote_to", 1.5, CHARLES),
        ("mentioned_with", 1.0, "london"),
    ]


async def test_a_page_token_is_good_for_its_own_list_only(door: GraphDoor, known: str) -> None:
    first = await door.graph.ListNeighbors(reading_pb2.ListNeighborsRequest(graph=known, key=ADA, page_size=1))
    token = first.next_page_token
    for other in (
        {"key": CHARLES},
        {"along": reading_pb2.Along(direction="out")},
        {"graph": "another"},
        {"page_token": token[:-2] + "xx"},
    ):
        request = reading_pb2.ListNeighborsRequest(**({"graph": known, "key": ADA, "page_token": token} | other))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.graph.ListNeighbors(request)
        assert reason(caught.value) == "INVALID_PAGE_TOKEN"


async def test_whoever_is_not_there_is_named(door: GraphDoor, known: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await door.graph.ListNeighbors(reading_pb2.ListNeighborsRequest(graph=known, key="nobody"))
    assert reason(caught.value) == "ENTITY_NOT_FOUND"
    for source, target in ((ADA, "nobody"), ("nobody", ADA)):
        request = reading_pb2.FindShortestPathsRequest(graph=known, source=source, target=target)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.graph.FindShortestPaths(request)
        assert (reason(caught.value), caught.value.code()) == ("ENTITY_NOT_FOUND", grpc.StatusCode.NOT_FOUND)


async def test_properties_that_no_entity_can_have_are_refused_by_name(door: GraphDoor, known: str) -> None:
    for values in ({"uid": "x"}, {"_x": 1}, {"born": None}, {"born": {"a": 1}}, {"born": 2.0**53}):
        along = reading_pb2.Along(properties=struct(**values))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.graph.ListNeighbors(reading_pb2.ListNeighborsRequest(graph=known, key=ADA, along=along))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert f"along.properties.{next(iter(values))}" in str(caught.value.trailing_metadata())


async def traverse(door: GraphDoor, graph: str, **fields: Any) -> tuple[list[tuple[str, int, str]], Any]:
    """(Key, depth, type of the relation it was met by) of each, and how it ended."""
    visits, done = [], None
    async for event in door.graph.Traverse(reading_pb2.TraverseRequest(graph=graph, **fields)):
        assert done is None
        if event.HasField("visit"):
            visits.append((event.visit.entity.key, event.visit.depth, event.visit.relation.type))
        else:
            done = event.done
    assert done is not None
    return visits, done


async def test_a_traversal_meets_nearer_ones_first(door: GraphDoor, known: str) -> None:
    visits, done = await traverse(door, known, keys=[ADA, "nobody"], max_depth=3)
    assert visits == [
        (ADA, 0, ""),
        (ENGINE, 1, "described"),
        (CHARLES, 1, "knows"),
        ("london", 1, "mentioned_with"),
        ("m-1", 2, "inspired_by"),
    ]
    assert (done.entity_count, done.truncated, list(done.missing)) == (5, False, ["nobody"])


@pytest.mark.parametrize(
    ("fields", "met", "truncated"),
    [
        ({"max_depth": 1}, [ADA, ENGINE, CHARLES, "london"], False),
        ({"limit": 2}, [ADA, ENGINE], True),
        ({"fan_out": 1}, [ADA, ENGINE, CHARLES], True),
        ({"along": reading_pb2.Along(direction="in")}, [ADA], False),
        ({"along": reading_pb2.Along(entity_types=["machine"])}, [ADA, ENGINE, "m-1"], False),
        ({"along": reading_pb2.Along(properties=struct(born=1791))}, [ADA, CHARLES], False),
        ({"along": reading_pb2.Along(relation_types=["knows"])}, [ADA, CHARLES], False),
        ({"along": reading_pb2.Along(min_weight=3.5)}, [ADA, ENGINE, CHARLES], False),
    ],
)
async def test_traversals_are_bounded_and_filtered(
    door: GraphDoor, known: str, fields: dict[str, Any], met: list[str], truncated: bool
) -> None:
    visits, done = await traverse(door, known, keys=[ADA], **fields)
    assert ([key for key, _, _ in visits], done.truncated) == (met, truncated)


async def test_an_error_in_a_traversal_is_told_in_the_stream_over_http(
    door: GraphDoor, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is gone after the first entities; gRPC callers see it by the status."""

    async def gone(*_: object, **__: object) -> object:
        raise StoreUnavailable("the graph store does not answer now; try again")

    monkeypatch.setattr(StoreReader, "steps", gone)
    request = reading_pb2.TraverseRequest(graph=known, keys=[ADA])
    for metadata, told in (((), ["visit"]), ((("x-pergola-face", "api"),), ["visit", "error"])):
        call = door.channel.unary_stream(
            "/pergola.graph.v1.GraphService/Traverse",
            request_serializer=reading_pb2.TraverseRequest.SerializeToString,
            response_deserializer=reading_pb2.TraverseResponse.FromString,
        )(request, metadata=metadata)
        events: list[Any] = [await call.read() for _ in told]
        assert [event.WhichOneof("event") for event in events] == told
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert (events[-1].error.code, events[-1].error.reason) == (503, "STORE_UNAVAILABLE")


async def test_shortest_paths_the_heaviest_first(door: GraphDoor, known: str) -> None:
    request = reading_pb2.FindShortestPathsRequest(
        graph=known, source="london", target="m-1", along=reading_pb2.Along(min_weight=0.4)
    )
    answer = await door.graph.FindShortestPaths(request)
    assert [[one.key for one in path.entities] for path in answer.paths] == [
        ["london", CHARLES, ENGINE, "m-1"],
        ["london", ADA, ENGINE, "m-1"],
    ]
    assert [one.type for one in answer.paths[0].relations] == ["mentioned_with", "designed", "inspired_by"]
    assert not answer.truncated
    request.limit = 1
    answer = await door.graph.FindShortestPaths(request)
    assert (len(answer.paths), answer.truncated) == (1, True)
    request.max_depth = 2
    answer = await door.graph.FindShortestPaths(request)
    assert (len(answer.paths), answer.truncated) == (0, False)
    itself = reading_pb2.FindShortestPathsRequest(graph=known, source=ADA, target=ADA)
    (path,) = (await door.graph.FindShortestPaths(itself)).paths
    assert ([one.key for one in path.entities], len(path.relations)) == ([ADA], 0)


@pytest.mark.parametrize(
    ("query", "match", "found"),
    [
        ("ADA LOVELACE", "exact", [(ADA, 1.0)]),
        ("Ada", "exact", []),
        ("the enchantress", "exact", [(ADA, 1.0)]),
        ("ada", "", [(ADA, 0.9)]),
        ("The", "prefix", [(ADA, 0.9), (ENGINE, 0.9)]),
        ("lodz mill", "exact", [("m-1", 1.0)]),
        ("Ada Lovelcae", "fuzzy", [(ADA, 0.917)]),
        ("Adda Lovelac", "fuzzy", [(ADA, 0.833)]),
        ("the enchanters", "fuzzy", [(ADA, 0.867)]),
        ("Alnoe", "fuzzy", [("alone", 0.8)]),
        ("Ada Lovel", "fuzzy", [(ADA, 0.9)]),
        ("Xyz Lovelace", "fuzzy", []),
        ("…", "fuzzy", []),
    ],
)
async def test_entities_are_found_by_their_names(
    door: GraphDoor, known: str, query: str, match: str, found: list[tuple[str, float]]
) -> None:
    answer = await door.graph.SearchEntities(reading_pb2.SearchEntitiesRequest(graph=known, query=query, match=match))
    scores = [round(score, 3) for score in answer.scores]
    assert list(zip([one.key for one in answer.entities], scores, strict=True)) == found


async def test_an_export_holds_everything_and_ends_with_its_summary(door: GraphDoor, known: str) -> None:
    async def lines(**fields: Any) -> list[tuple[str, Any]]:
        parts = [
            message.body
            async for message in door.graph.ExportGraph(reading_pb2.ExportGraphRequest(graph=known, **fields))
        ]
        assert {part.content_type for part in parts} == {"application/jsonl"}
        return [next(iter(json.loads(line).items())) for line in b"".join(part.data for part in parts).splitlines()]

    exported = await lines()
    kinds = [kind for kind, _ in exported]
    assert kinds == ["entity"] * 6 + ["mention"] * 5 + ["relation"] * 9 + ["summary"]
    assert exported[-1][1] == {"graph": known, "entity_count": 6, "relation_count": 9, "mention_count": 5}
    entities = {value["key"]: value for kind, value in exported if kind == "entity"}
    assert entities[ADA] == {
        "key": ADA,
        "name": "Ada Lovelace",
        "type": "person",
        "aliases": ["Ada King", "The Enchantress"],
        "properties": {"born": 1815},
        "manual": True,
        "mention_count": 2,
    }
    relations = [value for kind, value in exported if kind == "relation"]
    assert {"source": ADA, "target": ENGINE, "type": "described", "weight": 4.0, "manual": True} in relations
    assert [kind for kind, _ in await lines(with_mentions=False)].count("mention") == 0
    request = reading_pb2.ExportGraphRequest(graph="nobodys")
    (message,) = [message async for message in door.graph.ExportGraph(request)]
    assert json.loads(message.body.data)["summary"]["entity_count"] == 0


async def test_counts_say_what_there_is_and_where(door: GraphDoor, known: str) -> None:
    answer = await door.graph.GetStats(reading_pb2.GetStatsRequest(graph=known))
    assert (answer.entity_count, answer.relation_count, answer.passage_count, answer.mention_count) == (6, 9, 2, 5)
    assert dict(answer.entity_types) == {"": 2, "person": 2, "machine": 2}
    assert answer.relation_types["mentioned_with"] == 3
    assert answer.store


async def test_meaning_needs_the_vector_service(door: GraphDoor, known: str) -> None:
    request = reading_pb2.SearchEntitiesRequest(graph=known, query="who computes", match="meaning")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await door.graph.SearchEntities(request, timeout=20)
    assert reason(caught.value) == "PEER_UNAVAILABLE"


async def test_names_are_found_by_what_they_mean(stores: Stores, store: GraphStore) -> None:
    await fill(store, "default", "meant")
    async with (
        graph.vector_service(stores) as vector,
        graph.graph_service(stores, vector.address, follow="false") as door,
    ):
        request = reading_pb2.SearchEntitiesRequest(
            graph="meant", query="a machine that computes", match="meaning", limit=2
        )
        answer = await door.graph.SearchEntities(request, timeout=30)
        assert answer.entities[0].key == ENGINE
        assert 1 >= answer.scores[0] > answer.scores[1] >= 0
        request.types.append("person")
        answer = await door.graph.SearchEntities(request, timeout=30)
        assert {one.key for one in answer.entities} == {ADA, CHARLES}
