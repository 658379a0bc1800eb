"""The echo service as a process of its own; what it does beside serving is its only argument."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.runtime.errors import StoreUnavailable
from services.runtime.settings import ServiceSettings
from services.runtime.start import Servicer, main
from tests.integration.runtime import echo


async def _die() -> None:
    await asyncio.sleep(0.2)
    raise RuntimeError("out of cheese")


@asynccontextmanager
async def _assemble(_settings: ServiceSettings, runtime: Any) -> AsyncIterator[list[Servicer]]:
    match sys.argv[1:]:
        case ["never-ready"]:
            print("assembling", flush=True)
            await asyncio.Event().wait()
        case ["store-down"]:
            raise StoreUnavailable("PostgreSQL does not answer; start it and try again")
        case ["bug"]:
            raise KeyError("x")
        case ["worker-dies"]:
            runtime.spawn(_die(), "cheese")
    yield [echo.servicer(echo.Echo())]


if __name__ == "__main__":
    main("echo", ServiceSettings, _assemble)
