"""What Retrieve finds, in a form that can be compared; and a vector service whose model costs nothing."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pergola.vector.v1 import collection_pb2
from tests.stacks import Stores
from tests.support import graph
from tests.support.fake_embeddings import DIMENSION, FakeEmbeddings
from tests.support.graph import GraphDoor, VectorDoor


@asynccontextmanager
async def vector_service(stores: Stores, fake: FakeEmbeddings) -> AsyncIterator[VectorDoor]:
    """With an embedding model that counts what it is asked."""
    environ = await stores.own_database("vector") | {
        "PERGOLA_VECTOR_EMBEDDING_ENDPOINT_URL": fake.url,
        "PERGOLA_VECTOR_EMBEDDING_ENDPOINT_MODEL": "fake",
        "PERGOLA_VECTOR_EMBEDDING_ENDPOINT_DIMENSION": str(DIMENSION),
        "PERGOLA_VECTOR_EMBEDDING_MODEL": "fake",
    }
    async with graph.vector_service(stores, environ) as running:
        yield running


async def until_all_are_read(door: GraphDoor, vector: VectorDoor) -> None:
    """Returns when a service that was just started has read every collection: what a name is, is judged over all of an
    index, and one collection can be asked before the others are there."""
    listed = await vector.collections.ListCollections(collection_pb2.ListCollectionsRequest())
    assert not listed.next_page_token
    for one in listed.collections:
        if one.graph:
            answer = await door.retrieve("What is there?", [one.name], k=1)
            assert answer.degraded == "", one.name


async def everything(door: GraphDoor, collections: Sequence[str], questions: Sequence[str], **fields: Any) -> list[Any]:
    """For each question the passages with their scores to two digits, paths and spans, and the entities."""
    found = []
    for question in questions:
        answer = await door.retrieve(question, collections, k=20, mode="both", **fields)
        assert answer.degraded == ""
        found.append(
            (
                [
                    (one.id, round(one.score, 2), [(s.kind, s.id, str(s.spans)) for s in one.path])
                    for one in answer.passages
                ],
                [(one.key, one.name, one.mention_count, one.named) for one in answer.entities],
            )
        )
    return found
