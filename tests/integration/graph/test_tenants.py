"""Nothing of one tenant is reached by another: every RPC of the package tries, and one without a case fails."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory, struct_pb2
from google.protobuf.message import Message

from pergola.graph.v1 import cypher_pb2, entity_pb2, graph_pb2_grpc, reading_pb2, retrieval_pb2, writing_pb2
from tests.stacks import Stores
from tests.support import graph
from tests.support.graph import GraphDoor, VectorDoor

GRAPH: Final = "docs"
SECRETS: Final = ("Azure", "azure", "Lisbon", "lisbon", "vault", "kept by")
"""What only the other tenant has; no request holds one of these."""
TEXT: Final = "The Azure Ledger is kept in Lisbon, and Azure Ledger copies are in Lisbon too."

MERGE: Final = str(uuid.uuid4())


def cases(key: str) -> dict[str, Message]:
    """For each RPC the request that would reach what the other tenant has under `key`, were there no walls."""
    parameters = struct_pb2.Struct()
    parameters.update({"key": key})
    return {
        "GraphService/UpsertEntities": writing_pb2.UpsertEntitiesRequest(
            graph=GRAPH, entities=[entity_pb2.NewEntity(key=key, name="mine")]
        ),
        "GraphService/UpsertRelations": writing_pb2.UpsertRelationsRequest(
            graph=GRAPH, relations=[entity_pb2.NewRelation(source=key, target="mine", type="of")]
        ),
        "GraphService/BatchGetEntities": reading_pb2.BatchGetEntitiesRequest(
            graph=GRAPH, keys=[key], with_mentions=True
        ),
        "GraphService/ListNeighbors": reading_pb2.ListNeighborsRequest(graph=GRAPH, key=key, with_mentions=True),
        "GraphService/Traverse": reading_pb2.TraverseRequest(graph=GRAPH, keys=[key]),
        "GraphService/FindShortestPaths": reading_pb2.FindShortestPathsRequest(graph=GRAPH, source=key, target=key),
        "GraphService/SearchEntities": reading_pb2.SearchEntitiesRequest(graph=GRAPH, query=key[:2], match="fuzzy"),
        "GraphService/ExportGraph": reading_pb2.ExportGraphRequest(graph=GRAPH),
        "GraphService/GetStats": reading_pb2.GetStatsRequest(graph=GRAPH),
        "GraphService/MergeEntities": writing_pb2.MergeEntitiesRequest(graph=GRAPH, target="mine", sources=[key]),
        "GraphService/UndoMerge": writing_pb2.UndoMergeRequest(graph=GRAPH, id=MERGE),
        "GraphService/DeleteRelations": writing_pb2.DeleteRelationsRequest(
            graph=GRAPH, relations=[writing_pb2.RelationKey(source=key, target=key, type="of")]
        ),
        "GraphService/DeleteEntities": writing_pb2.DeleteEntitiesRequest(graph=GRAPH, keys=[key]),
        "CypherService/RunQuery": cypher_pb2.RunQueryRequest(
            query="MATCH (n) OPTIONAL MATCH (n)-[r]-(m) RETURN n, r, m", parameters=parameters
        ),
        "CypherService/ExplainQuery": cypher_pb2.ExplainQueryRequest(query="MATCH (n) RETURN n"),
        "RetrievalService/Retrieve": retrieval_pb2.RetrieveRequest(
            question="Where is the ledger?", collections=[GRAPH], graphs=[GRAPH], k=50
        ),
    }


def every_method() -> Mapping[str, Any]:
    """The package's methods by service and name, from its descriptors."""
    files = {file.name: file for file in _files()}
    return {
        f"{service.name}/{method.name}": method
        for file in files.values()
        for service in file.services_by_name.values()
        for method in service.methods
    }


def _files() -> list[Any]:
    pool = descriptor_pool.Default()
    protos = Path(__file__).parents[3] / "protos" / "pergola" / "graph" / "v1"
    for module in protos.glob("*.proto"):
        __import__(f"pergola.graph.v1.{module.stem}_pb2")
    return [pool.FindFileByName(f"pergola/graph/v1/{one.name}") for one in sorted(protos.glob("*.proto"))]


async def answered(door: GraphDoor, name: str, request: Message, metadata: Any) -> str:
    """All that a call says, errors included."""
    method = every_method()[name]
    response = message_factory.GetMessageClass(method.output_type)
    path = f"/{method.containing_service.full_name}/{method.name}"
    serialize, parse = type(request).SerializeToString, response.FromString
    said: list[str] = []
    try:
        if method.server_streaming:
            stream: Any = door.channel.unary_stream(path, serialize, parse)
            said += [str(message) async for message in stream(request, metadata=metadata, timeout=30)]
        else:
            unary: Any = door.channel.unary_unary(path, serialize, parse)
            said.append(str(await unary(request, metadata=metadata, timeout=30)))
    except grpc.aio.AioRpcError as error:
        said += [str(error.code()), error.details() or "", str(error.trailing_metadata())]
    return "\n".join(said)


def test_every_rpc_has_a_case() -> None:
    assert set(cases("k")) == set(every_method())
    for name, request in cases("k").items():
        assert request.DESCRIPTOR is every_method()[name].input_type


@pytest.mark.timeout(180)
async def test_nothing_is_reached(stores: Stores, tmp_path: Path) -> None:
    keys = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("red", "blue", "suite")}
    callers: list[dict[str, Any]] = [
        {"name": name, "key_sha256": hashlib.sha256(key.encode()).hexdigest(), "tenants": [name], "roles": ["writer"]}
        for name, key in keys.items()
    ]
    callers[2] |= {"tenants": "*", "roles": ["service"]}
    (tmp_path / "callers.json").write_text(json.dumps({"callers": callers}))
    known = {"PERGOLA_CALLERS_FILE": str(tmp_path / "callers.json"), "PERGOLA_SERVICE_KEY": keys["suite"]}
    environ = await stores.own_database("vector") | known
    more = {name.removeprefix("PERGOLA_").lower(): value for name, value in known.items()}
    async with (
        graph.vector_service(stores, environ) as vector,
        graph.graph_service(stores, vector.address, **more) as door,
    ):
        for name, text in (("red", "The Crimson Ledger stands in Vienna."), ("blue", TEXT)):
            mine = vector.acting(keys[name])
            await mine.create(GRAPH)
            await mine.ingest(GRAPH, {f"Ledger of {name}": text})
            await vector.acting(keys["suite"], name).caught_up(GRAPH)
        blue = door.credentials(keys["blue"], "")
        before = await theirs(door, vector, keys, blue)
        assert "azure ledger" in before
        assert "Lisbon" in before
        failures: list[str] = []
        for target in ("azure ledger", "ledger of blue"):
            # The key is in the request, so an answer that repeats it tells nothing.
            for name, request in cases(target).items():
                said = (await answered(door, name, request, door.credentials(keys["red"], ""))).replace(target, "")
                failures += [f"{name} of {target} says {secret!r}: {said}" for secret in SECRETS if secret in said]
        assert not failures
        assert await theirs(door, vector, keys, blue) == before
        for name, request in cases("azure ledger").items():
            said = await answered(door, name, request, door.credentials(keys["red"], "blue"))
            assert "TENANT_FORBIDDEN" in said, name


async def theirs(door: GraphDoor, vector: VectorDoor, keys: Mapping[str, str], metadata: Any) -> str:
    """All that the other tenant has, as it exports it, when nothing is on its way any more."""
    await vector.acting(keys["suite"], "blue").caught_up(GRAPH)
    export: Any = graph_pb2_grpc.GraphServiceStub(door.channel).ExportGraph
    async with asyncio.timeout(30):
        stream = export(reading_pb2.ExportGraphRequest(graph=GRAPH), metadata=metadata)
        return b"".join([message.body.data async for message in stream]).decode()
