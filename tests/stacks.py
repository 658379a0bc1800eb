"""What the fixtures of conftest.py hand out: a running set of stores, and a running suite."""

import concurrent.futures
import itertools
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from local.components.postgres import Postgres
from local.stack import Stack
from local.supervisor.supervise import state_of

if TYPE_CHECKING:
    import asyncpg

CHECKOUT = Path(__file__).resolve().parents[1]


def test_environ() -> dict[str, str]:
    """What a test's stack starts with: none of the developer's own settings; the model's graph is kept between runs."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PERGOLA_")}
    return own | {
        "PERGOLA_MODELS_DIR": str(CHECKOUT / "build" / "models"),
        # Tests start graph stores often and none gets warm: most of their processor time would go to the compiler.
        "PERGOLA_GRAPH_STORE_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1",
    }


class Parts:
    """A running stack, with what tests do to it. Its methods may be called from a running event loop."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def environ(self, service: str) -> dict[str, str]:
        """The environment with which the supervisor would start `service`: for `settings.load(cls, service, …)`.

        A service that the stack does not run listens on any free port.
        """
        return self.stack.environ(service)

    def address(self, part: str) -> str:
        """host:port of a part; 'graph-store-admin' and '<service>-metrics' too."""
        return self.stack.address(part)

    def frozen(self, part: str) -> AbstractContextManager[None]:
        """Holds a part for the time of a `with` block: connections are accepted, nothing is answered."""
        return self.stack.frozen(part)

    def kill(self, part: str) -> None:
        """Ends a part at once (SIGKILL), as a crash would; `restart` brings it back."""
        _beside_the_loop(lambda: self.stack.kill(part))

    def stop(self, part: str) -> None:
        """Ends a part politely; `restart` brings it back."""
        _beside_the_loop(lambda: self.stack.stop_part(part))

    def restart(self, part: str) -> None:
        """Starts a part again on the same port and files, after ending it if it runs; returns when it is ready."""
        _beside_the_loop(lambda: self.stack.restart(part))

    def log(self, part: str) -> str:
        return (self.stack.data.logs / f"{part}.log").read_text(errors="replace")

    async def postgres(self, database: str = "pergola_vector") -> "asyncpg.Connection[asyncpg.Record]":
        """A connection as the superuser, to look at or change what no service may. The caller closes it."""
        return await self._postgres().connect(database)

    def _postgres(self) -> Postgres:
        component = self.stack.component("postgres")
        assert isinstance(component, Postgres)
        return component


class Stores(Parts):
    """PostgreSQL, both Valkeys and the graph store, shared by all tests of a session."""

    _numbers = itertools.count(1)

    async def own_database(self, service: str = "vector") -> dict[str, str]:
        """The environment of `service` with an empty database of its own (pgvector and both logins in place)."""
        name = f"pergola_{service}_{next(self._numbers)}"
        await self._postgres().make_database(service, name)
        return self.environ(service) | self._postgres().offers_database(service, name)


class Neo4jStores(Stores):
    """The stores, with Neo4j as graph store beside the embedded one."""

    def __init__(self, stack: Stack, neo4j: Stack) -> None:
        super().__init__(stack)
        self.neo4j = neo4j
        self._neo4j = Parts(neo4j)

    def environ(self, service: str) -> dict[str, str]:
        own = {name: value for name, value in super().environ(service).items() if not _of_graph_store(name)}
        other = self._neo4j.environ(service)
        return own | {name: value for name, value in other.items() if _of_graph_store(name)}

    def address(self, part: str) -> str:
        return self._neo4j.address(part) if part == "graph-store" else super().address(part)

    def frozen(self, part: str) -> AbstractContextManager[None]:
        return self._neo4j.frozen(part) if part == "graph-store" else super().frozen(part)

    def kill(self, part: str) -> None:
        self._neo4j.kill(part) if part == "graph-store" else super().kill(part)

    def stop(self, part: str) -> None:
        self._neo4j.stop(part) if part == "graph-store" else super().stop(part)

    def restart(self, part: str) -> None:
        self._neo4j.restart(part) if part == "graph-store" else super().restart(part)

    def log(self, part: str) -> str:
        return self._neo4j.log(part) if part == "graph-store" else super().log(part)


class Suite(Parts):
    """The whole of Pergola, as `make run` starts it."""

    @property
    def gateway(self) -> str:
        """The gateway's URL, without a slash at its end."""
        return f"http://{self.stack.address('gateway')}"

    def write_state(self) -> None:
        """Lets `pergola` and `make demo` find this suite by its data directory, as they find that of `make run`."""
        self.stack.data.write_state(state_of(self.stack))


def _of_graph_store(name: str) -> bool:
    return name.startswith("PERGOLA_GRAPH_STORE_")


def _beside_the_loop(work: Callable[[], None]) -> None:
    """Runs in a thread and waits: starting a part runs an event loop of its own, which a running one forbids."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()
