"""One vector service for the tests that break nothing; its database is its own."""

from collections.abc import AsyncIterator

import pytest

from tests.stacks import Stores
from tests.support.vector import Vector, caller, vector_service


@pytest.fixture(scope="session")
async def vector_address(stores: Stores) -> AsyncIterator[str]:
    environ = await stores.own_database()
    async with vector_service(environ, heartbeat_seconds="0.3", poll_seconds="1") as address:
        yield address


@pytest.fixture
async def vector(vector_address: str) -> AsyncIterator[Vector]:
    async with caller(vector_address) as found:
        yield found
