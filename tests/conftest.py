"""Fixtures of all tests: real stores, and the whole suite, each started once a session and only when a test asks."""

import signal
from collections.abc import Iterator

import pytest

from local import settings
from local.stack import Stack
from tests import stacks


def pytest_configure(config: pytest.Config) -> None:
    """SIGTERM ends a session like Ctrl-C, so that the fixtures stop what they started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stacks.Stores]:
    """PostgreSQL + pgvector, both Valkeys and the graph store."""
    stack = Stack(tmp_path_factory.mktemp("stores"), parts=settings.STORES, environ=stacks.test_environ())
    stack.start()
    try:
        yield stacks.Stores(stack)
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stacks.Suite]:
    """All of Pergola behind its gateway, on free ports."""
    stack = Stack(tmp_path_factory.mktemp("suite"), ports={"gateway": 0}, environ=stacks.test_environ())
    stack.start()
    try:
        yield stacks.Suite(stack)
    finally:
        stack.stop()
