"""After any mix of documents, statements and merges through the services, the graph's export and what Retrieve finds
are those of a graph and an index that were built from what is left."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import pytest_asyncio

from tests import bounds
from tests.stacks import Stores
from tests.support import graph
from tests.support.fake_embeddings import fake_embeddings
from tests.support.found import everything, until_all_are_read, vector_service
from tests.support.graph import GraphDoor, VectorDoor
from tests.support.histories.graphs import Graph, rebuild
from tests.support.histories.operations import history, served
from tests.support.histories.served import ServedGraph

ROUNDS: Final = 2
SEED: Final = 1
LENGTH: Final = 30
QUESTIONS: Final = [
    "What lies near New York?",
    "who met ada lovelace in the big apple",
    "What does one see in the Fog?",
    "Is Lodz where Douglas Adams was?",
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def vector(stores: Stores) -> AsyncIterator[VectorDoor]:
    async with fake_embeddings() as fake, vector_service(stores, fake) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def door(stores: Stores, vector: VectorDoor) -> AsyncIterator[GraphDoor]:
    async with graph.graph_service(stores, vector.address) as running:
        yield running


async def test_what_is_exported_and_found_is_what_is_left(
    stores: Stores,
    vector: VectorDoor,
    door: GraphDoor,
    rounds: int | None,
    seed: int | None,
    tell: Callable[[str], None],
) -> None:
    first = SEED if seed is None else seed
    for number in range(first, first + (rounds or ROUNDS)):
        tell(f"seed {number}")
        name, other = f"history-{number}", f"rebuilt-{number}"
        for one in (name, other):
            await vector.create(one)
        graph_of = Graph(ServedGraph(door, vector, name))
        for operation in served(history(number, LENGTH, resets=False)):
            await graph_of.do(operation)
        new = ServedGraph(door, vector, other)
        await rebuild(new, graph_of.left, merged_first=number % 2 == 0)
        assert await ServedGraph(door, vector, name).export() == await new.export(), number
        # Of two indexes that are built at once, from one graph and from the other.
        async with graph.graph_service(stores, vector.address, follow="false") as fresh:
            await until_all_are_read(fresh, vector)
            built = await everything(fresh, [other], QUESTIONS)
            assert await everything(fresh, [name], QUESTIONS) == built, number
        # And the one that has seen it all; it hears of what is said when it asks.
        for one in (name, other):
            assert await _when_equal(door, one, built) == built, (number, one)
        for one in (name, other):
            await vector.delete(one)


async def _when_equal(door: GraphDoor, collection: str, expected: list[Any]) -> list[Any]:
    end = time.monotonic() + bounds.RECOVERY
    while True:
        found = await everything(door, [collection], QUESTIONS)
        if found == expected or time.monotonic() > end:
            return found
        await asyncio.sleep(0.2)
