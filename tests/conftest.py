"""Fixtures of all tests: real stores, and the whole suite, each started once a session and only when a test asks."""

import contextlib
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from local import settings
from local.components.neo4j import jars
from local.errors import DataDirectoryHeld
from local.stack import Stack
from tests import stacks
from tests.fakes.provider import FakeProvider

# How long an example takes is the machine's affair: one that is taken away for a moment would fail a right test.
hypothesis.settings.register_profile("pergola", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("pergola")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much of what can go on for any time, for those who run it by hand; the targets of the Makefile name them."""
    own = parser.getgroup("pergola")
    own.addoption("--rounds", type=int, help="of tests that come in rounds")
    own.addoption("--seed", type=int, help="of the first round")
    own.addoption("--points", type=int, help="of the collection in which recall is measured")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What was asked for takes the time that it takes."""
    if _by_hand(config):
        for item in items:
            item.add_marker(pytest.mark.timeout(0), append=False)


def pytest_configure(config: pytest.Config) -> None:
    """SIGTERM ends a session like Ctrl-C, so that the fixtures stop what they started.

    Ctrl-C itself is set as well: what a shell starts in the background ignores it, and so would every child.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)


@pytest.fixture(scope="session")
def rounds(request: pytest.FixtureRequest) -> int | None:
    """How many rounds were asked for; None: as many as the test has by itself."""
    given: int | None = request.config.getoption("--rounds")
    return given


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int | None:
    """The seed that was asked for; None: that of the test."""
    given: int | None = request.config.getoption("--seed")
    return given


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Tells how far a test is: at once to who runs it by hand, otherwise when it fails."""
    capture = request.config.pluginmanager.getplugin("capturemanager") if _by_hand(request.config) else None

    def told(text: str) -> None:
        with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
            print(text, flush=True)

    return told


def _by_hand(config: pytest.Config) -> bool:
    return config.getoption("--rounds") is not None or config.getoption("--points") is not None


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
