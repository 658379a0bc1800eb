"""What is broken: PostgreSQL, and two processes of the vector service, one of which nobody calls."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from local.stack import Stack
from local.system import ports
from tests.stacks import CHECKOUT, Stores, test_environ
from tests.support.fake_embeddings import DIMENSION, fake_embeddings

Part = Literal["service", "worker", "postgres"]

_READY_SECONDS = 90.0


class House:
    """The parts, each of which can be killed and comes back."""

    def __init__(self, stores: Stores, environ: dict[str, str], logs: Path) -> None:
        self._stores = stores
        self._environ = environ
        self._logs = logs
        taken: set[int] = set()
        self._ports: dict[str, int] = {}
        for name in ("service", "worker"):
            self._ports[name] = ports.choose(taken)
            taken.add(self._ports[name])
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._coming: dict[Part, asyncio.Task[None]] = {}

    @property
    def address(self) -> str:
        """Of the service that is called."""
        return f"127.0.0.1:{self._ports['service']}"

    async def start(self) -> None:
        await asyncio.gather(self._begin("service"), self._begin("worker"))

    async def kill(self, part: Part) -> None:
        """SIGKILL, at once; it begins to come back, which it does beside what follows."""
        coming = self._coming.pop(part, None)
        if coming is not None:
            await coming
        if part == "postgres":
            await asyncio.to_thread(self._stores.kill, "postgres")
            self._coming[part] = asyncio.create_task(asyncio.to_thread(self._stores.restart, "postgres"))
        else:
            child = self._children[part]
            child.kill()
            await asyncio.to_thread(child.wait)
            self._coming[part] = asyncio.create_task(self._begin(part))

    async def _begin(self, part: Part) -> None:
        """Returns when it is ready."""
        settings = {
            "PERGOLA_VECTOR_LISTEN": f"127.0.0.1:{self._ports[part]}",
            "PERGOLA_VECTOR_WORKERS": "1",
        }
        with (self._logs / f"{part}.log").open("ab") as sink:
            self._children[part] = await asyncio.to_thread(
                subprocess.Popen,
                [sys.executable, "-m", "services.vector"],
                cwd=CHECKOUT,
                env=self._environ | settings,
                stdout=sink,
                stderr=sink,
            )
        # Callers keep connections to the same address; one that its killed process has left behind is not to be asked.
        own = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self._ports[part]}", options=own) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            await check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=_READY_SECONDS)

    async def stop(self) -> None:
        """Once what is coming back is there."""
        await asyncio.gather(*self._coming.values(), return_exceptions=True)
        for child in self._children.values():
            child.kill()
            child.wait()


@contextlib.asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    """A database and a service of its own; nothing else is touched by what happens to them."""
    stack = Stack(folder / "stack-chaos", parts=("postgres",), environ=test_environ())
    await asyncio.to_thread(stack.start)
    try:
        stores = Stores(stack)
        async with fake_embeddings() as fake:
            environ = await stores.own_database()
            for name in ("PERGOLA_VECTOR_METRICS_LISTEN", "PERGOLA_CACHE_ADDRESS"):
                environ.pop(name, None)
            environ |= {
                "PERGOLA_LOG_LEVEL": "warning",
                "PERGOLA_VECTOR_POLL_SECONDS": "0.3",
                "PERGOLA_VECTOR_HEARTBEAT_SECONDS": "0.5",
                "PERGOLA_VECTOR_JOB_LEASE_SECONDS": "1",
                "PERGOLA_VECTOR_JOB_RETRY_SECONDS": "0.1",
                "PERGOLA_VECTOR_EMBEDDING_ENDPOINT_URL": fake.url,
                "PERGOLA_VECTOR_EMBEDDING_ENDPOINT_MODEL": "fake",
                "PERGOLA_VECTOR_EMBEDDING_ENDPOINT_DIMENSION": str(DIMENSION),
                "PERGOLA_VECTOR_EMBEDDING_MODEL": "fake",
            }
            made = House(stores, environ, folder)
            try:
                await made.start()
                yield made
            finally:
                await made.stop()
    finally:
        await asyncio.to_thread(stack.stop)
