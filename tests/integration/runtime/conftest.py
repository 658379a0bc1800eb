"""The echo service, served by the runtime on a free port for one test."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from services.runtime.start import Running
from tests.integration.runtime import echo


@dataclass
class Door:
    """A running echo service and a stub that talks to it."""

    echo: echo.Echo
    log: echo.Log
    running: Running
    stub: Any


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    servicer, log = echo.Echo(), echo.Log()
    async with (
        echo.run(servicer, log) as running,
        grpc.aio.insecure_channel(running.address) as channel,
    ):
        yield Door(servicer, log, running, echo.pb_grpc.EchoServiceStub(channel))
