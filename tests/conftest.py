"""Fixtures of all tests: real stores, and the whole suite, each started once a session and only when a test asks."""

import contextlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import settings
from local.components.neo4j import jars
from local.errors import DataDirectoryHeld
from local.stack import Stack
from tests import stacks
from tests.fakes.provider import FakeProvider


def pytest_configure(config: pytest.Config) -> None:
    """SIGTERM ends a session like Ctrl-C, so that the fixtures stop what they started.

    Ctrl-C itself is set as well: what a shell starts in the background ignores it, and so would every child.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stacks of this session keep their data; what sessions that were killed left running is ended."""
    for left in tmp_path_factory.getbasetemp().parent.glob("*/stack-*"):
        with contextlib.suppress(DataDirectoryHeld, OSError):
            Stack(left, parts=()).clean_up()
    return tmp_path_factory.getbasetemp()


@pytest.fixture(scope="session")
def stores(data_root: Path) -> Iterator[stacks.Stores]:
    """PostgreSQL + pgvector, both Valkeys and the graph store."""
    stack = Stack(data_root / "stack-stores", parts=settings.STORES, environ=stacks.test_environ())
    stack.start()
    try:
        yield stacks.Stores(stack)
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def neo4j_stores(data_root: Path, stores: stacks.Stores) -> Iterator[stacks.Neo4jStores]:
    """The same stores, but for the graph store, which is Neo4j; skips where there is no JDK or no Maven."""
    if reason := jars.missing():
        pytest.skip(reason)
    environ = stacks.test_environ() | {"PERGOLA_GRAPH_STORE": "neo4j"}
    stack = Stack(data_root / "stack-neo4j", parts=("graph-store",), environ=environ)
    stack.start()
    try:
        yield stacks.Neo4jStores(stores.stack, stack)
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def suite_provider() -> Iterator[FakeProvider]:
    """The provider behind the models `fake/…` of the suite: `fake/NAME` asks it for the model NAME."""
    with FakeProvider() as provider:
        yield provider


@pytest.fixture(scope="session")
def suite(data_root: Path, suite_provider: FakeProvider) -> Iterator[stacks.Suite]:
    """All of Pergola behind its gateway, on free ports, with a fake model provider."""
    models = json.dumps([{"id": "fake/*", "base_url": suite_provider.base_url}])
    environ = stacks.test_environ() | {"PERGOLA_CHAT_MODELS": models}
    stack = Stack(data_root / "stack-suite", ports={"gateway": 0}, environ=environ)
    stack.start()
    try:
        yield stacks.Suite(stack)
    finally:
        stack.stop()
