"""`python -m gateway.edge`: the WebSocket edge, until SIGTERM or SIGINT.

Exit codes: 0 after a drain, 1 when a second signal cut it short, 2 when the settings cannot be used.
"""

import asyncio
import logging
import signal
import sys

import uvloop

from gateway.edge.server import serving
from gateway.edge.settings import EdgeSettings
from services.runtime.settings import SettingsError, load
from services.runtime.telemetry import logs

log = logging.getLogger("gateway.edge")


async def _run(settings: EdgeSettings, sink: logs.LogSink) -> int:
    stop = asyncio.Event()
    serve = asyncio.ensure_future(_serve(settings, sink, stop))

    def asked() -> None:
        if stop.is_set():
            serve.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked)
    try:
        await serve
    except asyncio.CancelledError:
        log.warning("stopped before it was drained")
        return 1
    log.info("stopped")
    return 0


async def _serve(settings: EdgeSettings, sink: logs.LogSink, stop: asyncio.Event) -> None:
    async with serving(settings, sink) as edge:
        log.info("serving", extra={"address": edge.address})
        await stop.wait()
        log.info("draining", extra={"connections": edge.connections})


def main() -> int:
    """Runs the edge; returns its exit code."""
    try:
        settings = load(EdgeSettings, "edge")
        sink = logs.configure("edge", settings.log_level)
        return uvloop.run(_run(settings, sink))
    except SettingsError as error:
        print(error, file=sys.stderr, flush=True)
        return 2


if __name__ == "__main__":
    sys.exit(main())
