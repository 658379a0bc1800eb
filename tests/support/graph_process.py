"""Graph services in processes of their own, that are killed as a crash would kill them.

Each is forked from one process that has imported the service before any gRPC object exists in it: to import it takes
longer than all else that a start does, and tests that kill one start many.
"""

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from typing import Final

from services.graph.assemble import assemble
from services.graph.settings import GraphSettings
from services.runtime.start import main
from tests.stacks import Stores
from tests.support.graph import graph_environ

_FORKS: Final = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


@asynccontextmanager
async def graph_process(stores: Stores, vector: str, **more: object) -> AsyncIterator[None]:
    """A graph service with a process of its own for the time of the block."""
    reader, writer = _FORKS.Pipe(duplex=False)
    process = _FORKS.Process(target=_serve, args=(graph_environ(stores, vector, **more), writer), daemon=True)
    # The first one waits for the imports.
    await asyncio.to_thread(process.start)
    writer.close()
    lines = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(os.dup(reader.fileno()), "rb")
    )
    reader.close()
    serving = asyncio.Event()
    # To the end: a service whose log nobody reads would stand still at last.
    log = asyncio.ensure_future(_read(lines, serving))
    try:
        async with asyncio.timeout(60):
            await serving.wait()
        yield
    finally:
        process.kill()
        await asyncio.to_thread(process.join)
        await log
        transport.close()


async def _read(lines: asyncio.StreamReader, serving: asyncio.Event) -> None:
    async for line in lines:
        if b'"serving"' in line:
            serving.set()


def _serve(environ: Mapping[str, str], log: Connection) -> None:
    os.environ.update(environ)
    for stream in (1, 2):
        os.dup2(log.fileno(), stream)
    log.close()
    main("graph", GraphSettings, assemble)
