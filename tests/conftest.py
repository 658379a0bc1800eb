"""Fixtures of all tests: real stores, and the whole suite, each started once a session and only when a test asks."""

import json
import signal
from collections.abc import Iterator

import pytest

from local import settings
from local.stack import Stack
from tests import stacks
from tests.fakes.provider import FakeProvider


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
def suite_provider() -> Iterator[FakeProvider]:
    """The provider behind the models `fake/…` of the suite: `fake/NAME` asks it for the model NAME."""
    with FakeProvider() as provider:
        yield provider


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory, suite_provider: FakeProvider) -> Iterator[stacks.Suite]:
    """All of Pergola behind its gateway, on free ports, with a fake model provider."""
    models = json.dumps([{"id": "fake/*", "base_url": suite_provider.base_url}])
    environ = stacks.test_environ() | {"PERGOLA_CHAT_MODELS": models}
    stack = Stack(tmp_path_factory.mktemp("suite"), ports={"gateway": 0}, environ=environ)
    stack.start()
    try:
        yield stacks.Suite(stack)
    finally:
        stack.stop()
