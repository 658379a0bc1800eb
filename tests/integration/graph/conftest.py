"""The graph service's store and the service itself, on the real ArcadeDB of the session."""

import itertools
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.graph.store import GraphStore
from tests.stacks import Stores
from tests.support import graph

_numbers = itertools.count(1)


@pytest.fixture
def tenant() -> str:
    """A tenant of the test's own."""
    return f"t-{next(_numbers)}"


@pytest_asyncio.fixture
async def store(stores: Stores) -> AsyncIterator[GraphStore]:
    """A store as a process of the service has it."""
    async with graph.graph_store(stores) as opened:
        yield opened


@pytest_asyncio.fixture
async def door(stores: Stores) -> AsyncIterator[graph.GraphDoor]:
    """A graph service without neighbours, for what it does alone."""
    async with graph.graph_service(stores, follow="false") as running:
        yield running
