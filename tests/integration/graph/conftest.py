"""The graph service's store and the service itself, on the real ArcadeDB of the session."""

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from services.graph.settings import GraphSettings
from services.graph.stores.arcadedb import ArcadeDBStore
from services.runtime.settings import load
from tests.stacks import Stores

_numbers = itertools.count(1)


@pytest.fixture
def tenant() -> str:
    """A tenant of the test's own."""
    return f"t-{next(_numbers)}"


@pytest.fixture
def settings(stores: Stores) -> Callable[..., GraphSettings]:
    """The service's settings as the supervisor would give them; more of them by name."""

    def make(**more: object) -> GraphSettings:
        environ = {name: value for name, value in stores.environ("graph").items() if "LISTEN" not in name}
        own = {f"PERGOLA_GRAPH_{name.upper()}": str(value) for name, value in more.items()}
        return load(GraphSettings, "graph", environ | own)

    return make


@pytest.fixture
def open_store(settings: Callable[..., GraphSettings]) -> Callable[..., AbstractAsyncContextManager[ArcadeDBStore]]:
    """A store as one process of the service has it."""

    def make(**more: object) -> AbstractAsyncContextManager[ArcadeDBStore]:
        chosen = settings(**more)
        return ArcadeDBStore.open(
            chosen.store_url,
            chosen.store_admin_url,
            chosen.store_user,
            chosen.store_password.reveal(),
            connections=chosen.store_connections,
            timeout=chosen.store_timeout_seconds,
            fetch_size=chosen.cypher_fetch_rows,
            cypher_seconds=chosen.cypher_timeout_seconds,
        )

    return make


@pytest.fixture
async def store(open_store: Callable[..., AbstractAsyncContextManager[ArcadeDBStore]]) -> AsyncIterator[ArcadeDBStore]:
    async with open_store() as opened:
        yield opened
