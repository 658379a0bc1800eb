"""The graph service's store and the service itself, on each of the graph stores of the session."""

import itertools
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.graph.store import GraphStore
from tests.stacks import Stores
from tests.support import graph
from tests.support.graph_dump import clear_all

GRAPH_STORES = ("arcadedb", "neo4j")

_numbers = itertools.count(1)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test with a store runs on both, but those of modules that name one in GRAPH_STORES of their own."""
    if "stores" in metafunc.fixturenames:
        kinds = getattr(metafunc.module, "GRAPH_STORES", GRAPH_STORES)
        metafunc.parametrize("graph_store_kind", kinds, scope="session")


@pytest.fixture(scope="session")
def stores(graph_store_kind: str, request: pytest.FixtureRequest) -> Stores:
    """PostgreSQL, both Valkeys, and the graph store of this test."""
    found: Stores = request.getfixturevalue("stores" if graph_store_kind == "arcadedb" else "neo4j_stores")
    return found


@pytest.fixture
def tenant() -> str:
    """A tenant of the test's own."""
    return f"t-{next(_numbers)}"


@pytest_asyncio.fixture
async def store(stores: Stores) -> AsyncIterator[GraphStore]:
    """A store as a process of the service has it."""
    async with graph.graph_store(stores) as opened:
        yield opened


@pytest_asyncio.fixture(autouse=True)
async def _nobody_else(request: pytest.FixtureRequest) -> None:
    """Where all tenants share one database, what other tests left is in the way of raw Cypher."""
    if "graph_store_kind" in request.fixturenames and request.getfixturevalue("graph_store_kind") == "neo4j":
        async with graph.graph_store(request.getfixturevalue("stores")) as opened:
            await clear_all(opened, "default")


@pytest_asyncio.fixture
async def door(stores: Stores) -> AsyncIterator[graph.GraphDoor]:
    """A graph service without neighbours, for what it does alone."""
    async with graph.graph_service(stores, follow="false") as running:
        yield running
