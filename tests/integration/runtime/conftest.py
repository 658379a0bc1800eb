"""The echo service, served by the runtime on a free port for one test."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from services.runtime.start import Running
from tests.integration.runtime.echo import Echo, Log, pb_grpc, run


@dataclass
class Door:
    """A running echo service and a stub that talks to it."""

    echo: Echo
    log: Log
    running: Running
    stub: Any


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    servicer, log = Echo(), Log()
    async with (
        run(servicer, log) as running,
        grpc.aio.insecure_channel(running.address) as channel,
    ):
        yield Door(servicer, log, running, pb_grpc.EchoServiceStub(channel))
