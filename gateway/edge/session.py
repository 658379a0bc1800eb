"""One connection: what the client sends goes to Converse, what Converse answers goes to the client, both bounded."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, TypeVar

import grpc
from aiohttp import WSMsgType, web

from gateway.edge import frames, upstream
from gateway.edge.settings import EdgeSettings
from pergola.chat.v1 import chat_pb2
from services.runtime.errors import Draining, PergolaError

T = TypeVar("T")

NORMAL: Final = 1000
UNSUPPORTED_DATA: Final = 1003
VANISHED: Final = 1006
"""Never sent: how a connection that ended without a closing frame is logged."""
INVALID_DATA: Final = 1007
REFUSED: Final = 1008
TOO_LARGE: Final = 1009
FAILED: Final = 1011
RESTARTING: Final = 1012
TRY_LATER: Final = 1013

_CLOSE_CODES: Final = {
    400: INVALID_DATA, 401: REFUSED, 403: REFUSED, 413: INVALID_DATA,
    429: TRY_LATER, 499: TRY_LATER, 503: TRY_LATER, 504: TRY_LATER,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ends: the close code, and the reason in the closing frame (at most 123 bytes)."""

    code: int
    reason: str = ""


class _Stalled(Exception):
    """The client took nothing for as long as it may."""


class Session:
    """One connection. `run` returns when it is over; the call to chat never outlives it."""

    def __init__(
        self, socket: web.WebSocketResponse, call: upstream.Conversation, settings: EdgeSettings, request_id: str
    ) -> None:
        self.turns = 0
        """Turns passed on to chat so far."""
        self._socket = socket
        self._call = call
        self._settings = settings
        self._request_id = request_id
        self._waiting: asyncio.Queue[chat_pb2.ConverseRequest] = asyncio.Queue(settings.waiting_frames)
        self._open_turns = 0
        self._settled = asyncio.Event()
        self._settled.set()
        self._last_turn = time.monotonic()
        self._draining = asyncio.Event()
        self._heard = asyncio.Event()
        self._blocked = 0
        """Pumps that wait for the client or the queue: a missing pong proves nothing then."""

    def drain(self) -> None:
        """Take no new turn, and end as soon as the open ones are answered."""
        self._draining.set()

    async def run(self) -> Ending:
        """Serves until one side ends; returns how. The caller closes the socket."""
        pumps = [
            asyncio.ensure_future(pump)
            for pump in (self._receive(), self._answer(), self._forward(), self._keep_alive(), self._drained())
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            return next(pump for pump in pumps if pump.done()).result()
        except _Stalled:
            return Ending(VANISHED, "the client took nothing")
        except ConnectionError:
            return Ending(VANISHED, "the client is gone")
        finally:
            # Explicitly: a call that is only dropped would keep its stream at chat.
            self._call.cancel()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _receive(self) -> Ending:
        """Client → queue. A full queue stops the reading, and with it, by TCP, the client."""
        while True:
            message = await self._socket.receive()
            self._heard.set()
            match message.type:
                case WSMsgType.TEXT if self._is_too_large(message.data):
                    return Ending(TOO_LARGE, f"a frame may have {self._settings.max_frame_bytes} bytes")
                case WSMsgType.TEXT:
                    await self._accept(message.data)
                case WSMsgType.PING:
                    await self._socket.pong(message.data)
                case WSMsgType.PONG:
                    pass
                case WSMsgType.BINARY:
                    return Ending(UNSUPPORTED_DATA, "send JSON in text frames")
                case _:
                    # Closed by the client, or by aiohttp because of a broken or too large frame.
                    return Ending(self._socket.close_code or VANISHED)

    def _is_too_large(self, text: str) -> bool:
        limit = self._settings.max_frame_bytes
        return len(text) > limit or (4 * len(text) > limit and len(text.encode()) > limit)

    async def _accept(self, text: str) -> None:
        try:
            if self._draining.is_set():
                raise Draining("the edge is shutting down; connect again", retry_after=1)
            request = frames.read(text)
        except PergolaError as error:
            await self._send(frames.refusal(error, self._request_id))
            return
        if request.WhichOneof("event") == "input":
            self.turns += 1
            self._open_turns += 1
            self._settled.clear()
        await self._blocking(self._waiting.put(request))

    async def _forward(self) -> Ending:
        """Queue → chat, as fast as chat takes it."""
        while await upstream.write(self._call, await self._waiting.get()):
            pass
        # The call is over. How, `_answer` finds out.
        over: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        return await over

    async def _answer(self) -> Ending:
        """Chat → client. Reading from chat stops while the client takes nothing."""
        try:
            while isinstance(message := await self._call.read(), chat_pb2.ConverseResponse):
                await self._send(frames.event(message))
                self._last_turn = time.monotonic()
                if frames.ends_turn(message):
                    self._open_turns = max(0, self._open_turns - 1)
                    if not self._open_turns:
                        self._settled.set()
        except grpc.RpcError as error:
            fields = upstream.failure(error, self._request_id)
            await self._send(frames.error(fields))
            return Ending(_CLOSE_CODES.get(fields["code"], FAILED), fields["reason"])
        return Ending(NORMAL)

    async def _keep_alive(self) -> Ending:
        """Pings a client that is silent, and closes a conversation in which nothing happens."""
        settings = self._settings
        while True:
            silent = not await self._hears(min(settings.ping_seconds, settings.idle_seconds))
            if not self._open_turns and time.monotonic() - self._last_turn >= settings.idle_seconds:
                return Ending(NORMAL, "nothing was asked for a while")
            if silent and not self._blocked:
                await self._socket.ping()
                if not await self._hears(settings.pong_seconds) and not self._blocked:
                    return Ending(VANISHED, "no answer to a ping")

    async def _hears(self, seconds: float) -> bool:
        """Whether a frame of any kind comes within `seconds`."""
        self._heard.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        except TimeoutError:
            return False
        return True

    async def _drained(self) -> Ending:
        await self._draining.wait()
        await self._settled.wait()
        return Ending(RESTARTING, "the edge is restarting; connect again")

    async def _send(self, frame: bytes) -> None:
        try:
            async with asyncio.timeout(self._settings.stall_seconds):
                await self._blocking(self._socket.send_frame(frame, WSMsgType.TEXT))
        except TimeoutError:
            raise _Stalled from None

    async def _blocking(self, step: Awaitable[T]) -> T:
        self._blocked += 1
        try:
            return await step
        finally:
            self._blocked -= 1
