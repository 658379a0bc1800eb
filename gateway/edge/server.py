"""The edge's listener: admits upgrades that came through the gateway, tells its health, drains at a stop."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import hdrs, web

from gateway.edge import upstream
from gateway.edge.session import TRY_LATER, VANISHED, Ending, Session
from gateway.edge.settings import EdgeSettings
from services.runtime import call
from services.runtime.channels import PeerChannel
from services.runtime.settings import SettingsError
from services.runtime.telemetry.logs import AccessLog, LogSink

SUBPROTOCOL: Final = "pergola.v1"
_DOOR: Final = "x-pergola-door"
_CLOSING_SECONDS: Final = 5.0
"""How long a client may take to answer a closing frame."""


class Edge:
    """The edge while it runs."""

    def __init__(self, settings: EdgeSettings, channel: PeerChannel, log: AccessLog) -> None:
        self.address = ""
        """host:port, with the port it really has."""
        self._settings = settings
        self._channel = channel
        self._log = log
        self._sessions: set[Session] = set()
        self._draining = False
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def connections(self) -> int:
        """Connections held now."""
        return len(self._sessions)

    def application(self) -> web.Application:
        """The two routes."""
        application = web.Application()
        application.router.add_get("/healthz", self._health)
        application.router.add_get("/ws/chat", self._converse)
        return application

    async def drain(self, seconds: float) -> None:
        """Lets answers under way finish for at most `seconds`, then ends every conversation with 1012."""
        self._draining = True
        for session in self._sessions:
            session.drain()
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            pass

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {"status": "draining" if self._draining else "serving"}, status=503 if self._draining else 200
        )

    async def _converse(self, request: web.Request) -> web.StreamResponse:
        request_id = request.headers.get("x-request-id") or call.new_request_id()
        refused = self._refusal(request, request_id)
        if refused is not None:
            return refused
        try:
            carried = upstream.metadata(request.headers)
        except ValueError as error:
            return _error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", str(error), request_id)
        socket = web.WebSocketResponse(
            timeout=_CLOSING_SECONDS,
            autoping=False,
            protocols=(SUBPROTOCOL,),
            # Frames are small and go out one by one; compressed input could be a bomb.
            compress=False,
            # A frame beyond this is not read at all, and its sender may see the connection break instead of 1009; one
            # that is merely too large is read, so that the closing frame arrives.
            max_msg_size=4 * self._settings.max_frame_bytes,
        )
        await socket.prepare(request)
        started = time.monotonic()
        opened = upstream.converse(self._channel, self._settings.conversation_seconds, carried)
        session = Session(socket, opened, self._settings, request_id)
        self._sessions.add(session)
        self._empty.clear()
        ending = None
        try:
            ending = await session.run()
            await _close(request, socket, ending)
        finally:
            if ending is None:
                # The connection is lost, which cancels this handler: with a closing frame before, or without.
                ending = Ending(socket.close_code or VANISHED)
            self._sessions.discard(session)
            if not self._sessions:
                self._empty.set()
            self._record(request_id, session, ending, time.monotonic() - started)
        return socket

    def _refusal(self, request: web.Request, request_id: str) -> web.Response | None:
        if request.headers.get(_DOOR) != "websocket":
            # A page can open a WebSocket to any port of this machine, but it cannot set this header: Envoy does, after
            # it has checked Host and Origin.
            return _error(
                403, "PERMISSION_DENIED", "ORIGIN_NOT_ALLOWED", "connect to /ws/chat of the gateway", request_id
            )
        if request.headers.get(hdrs.UPGRADE, "").lower() != "websocket":
            return _error(426, "FAILED_PRECONDITION", "UPGRADE_REQUIRED", "open /ws/chat as a WebSocket", request_id)
        if self._draining or len(self._sessions) >= self._settings.max_connections:
            message = "the edge takes no more connections now; connect again"
            return _error(503, "UNAVAILABLE", "DRAINING" if self._draining else "UNAVAILABLE", message, request_id)
        return None

    def _record(self, request_id: str, session: Session, ending: Ending, seconds: float) -> None:
        level = logging.WARNING if ending.code in (1011, TRY_LATER) else logging.INFO
        if self._log.wants(level):
            self._log.write(
                level,
                {
                    "request_id": request_id,
                    "method": "/ws/chat",
                    "close_code": ending.code,
                    "reason": ending.reason,
                    "turns": session.turns,
                    "duration_ms": round(seconds * 1000, 1),
                },
            )


async def _close(request: web.Request, socket: web.WebSocketResponse, ending: Ending) -> None:
    if ending.code == VANISHED:
        if request.transport is not None:
            request.transport.abort()
    elif not socket.closed:
        await socket.close(code=ending.code, message=ending.reason.encode()[:123])


def _error(code: int, status: str, reason: str, message: str, request_id: str) -> web.Response:
    fields: dict[str, Any] = {
        "code": code, "status": status, "reason": reason, "message": message, "request_id": request_id,
    }  # fmt: skip
    headers = {}
    if code == 503:
        fields["retry_after"] = 1
        headers["retry-after"] = "1"
    return web.json_response({"error": fields}, status=code, headers=headers)


@asynccontextmanager
async def serving(settings: EdgeSettings, sink: LogSink | None = None) -> AsyncIterator[Edge]:
    """The edge, until the block ends; then it drains. `main` and the tests use the same.

    Raises SettingsError when the listener's address cannot be opened.
    """
    host, _, port = settings.listen.rpartition(":")
    async with upstream.connect(settings) as channel:
        edge = Edge(settings, channel, AccessLog(sink or LogSink(), "edge", settings.log_level))
        # A connection that breaks cancels its handler, and with it the call to chat, at once.
        runner = web.AppRunner(edge.application(), handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host.strip("[]"), int(port))
            try:
                await site.start()
            except OSError as error:
                raise SettingsError(f"listen {settings.listen} can't be opened ({error.strerror})") from None
            edge.address = f"{host}:{runner.addresses[0][1]}"
            yield edge
            await site.stop()
            await edge.drain(settings.drain_seconds)
        finally:
            await runner.cleanup()
