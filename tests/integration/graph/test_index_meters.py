"""What Prometheus is told about the indexes behind Retrieve."""

import asyncio
from collections.abc import Callable

import aiohttp

from pergola.vector.v1 import point_pb2
from tests import bounds
from tests.stacks import Stores
from tests.support import graph
from tests.support.fake_embeddings import DIMENSION, fake_embeddings

_LABELS = '{model="fake",tenant="default"}'


async def _meters(address: str | None) -> dict[str, float]:
    """Of the indexes, by name and labels."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    prefix = "pergola_graph_index_"
    pairs = (line.removeprefix(prefix).rpartition(" ") for line in lines if line.startswith(prefix))
    return {name: float(value) for name, _, value in pairs}


async def _when(address: str | None, name: str, fits: Callable[[float], bool]) -> dict[str, float]:
    """What is told when the value of that name fits."""
    async with asyncio.timeout(bounds.RECOVERY):
        while True:
            found = await _meters(address)
            if fits(found.get(name + _LABELS, 0.0)):
                return found
            await asyncio.sleep(0.05)


async def test_size_and_reading_of_an_index_are_told(stores: Stores) -> None:
    async with fake_embeddings() as fake:
        environ = await stores.own_database("vector") | {
            "PERGOLA_VECTOR_EMBEDDING_ENDPOINT_URL": fake.url,
            "PERGOLA_VECTOR_EMBEDDING_ENDPOINT_MODEL": "fake",
            "PERGOLA_VECTOR_EMBEDDING_ENDPOINT_DIMENSION": str(DIMENSION),
            "PERGOLA_VECTOR_EMBEDDING_MODEL": "fake",
        }
        async with graph.vector_service(stores, environ) as vector:
            await vector.create("measured")
            await _upsert(vector, range(3))
            more = {"follow": "false", "follow_poll_seconds": 0.1, "metrics_listen": "127.0.0.1:0"}
            async with graph.graph_service(stores, vector.address, **more) as door:
                address = door.running.metrics_address
                before = await _when(address, "read_seconds", lambda seconds: seconds > 0)
                answer = await door.retrieve("Who was in Berlin?", ["measured"])
                assert answer.degraded == ""
                # As soon as a collection is read its size is known, without another look.
                assert before[f"passages{_LABELS}"] == 3
                # Each passage has two vectors at least, in half precision and in bytes.
                assert before[f"bytes{_LABELS}"] > 3 * 3 * DIMENSION
                await _upsert(vector, range(3, 50))
                after = await _when(address, "passages", lambda count: count == 50)
                assert after[f"bytes{_LABELS}"] > before[f"bytes{_LABELS}"]
                assert after[f"read_seconds{_LABELS}"] == before[f"read_seconds{_LABELS}"]
                # Of a collection that is deleted nothing stays in the index that it shared with others.
                await vector.create("more")
                await _upsert(vector, range(7), "more")
                await _when(address, "passages", lambda count: count == 57)
                await vector.delete("more")
                await _when(address, "passages", lambda count: count == 50)


async def _upsert(vector: graph.VectorDoor, numbers: range, collection: str = "measured") -> None:
    points = [point_pb2.NewPoint(id=f"{n}", text=f"Ada Lovelace met visitor {n} in Berlin.") for n in numbers]
    await vector.points.UpsertPoints(point_pb2.UpsertPointsRequest(collection=collection, points=points))
