"""A TCP proxy that holds back replies, drops connections, and counts what passes: faults of a network, on demand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable


class TcpProxy:
    """Forwards every connection to one target; made by `tcp_proxy`."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._held = asyncio.Event()
        self._holds: Callable[[bytes], bool] = lambda _sent: False
        self.address = ""
        self.sent = bytearray()
        """Everything that clients sent, in the order it came through here."""
        self.connections = 0
        """How many were opened."""

    def hold_replies(self, to: Callable[[bytes], bool]) -> None:
        """From now on, replies on a connection whose last request satisfies `to` wait for `release`."""
        self._holds = to
        self._open.clear()
        self._held.clear()

    async def held(self) -> None:
        """Returns when a reply is being held."""
        await self._held.wait()

    def release(self) -> None:
        self._open.set()
        self._holds = lambda _sent: False

    def drop(self) -> None:
        """Closes every connection, without a word."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        up_reader, up_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, up_writer}
        last = b""

        async def requests() -> None:
            nonlocal last
            while data := await reader.read(1 << 16):
                last = data
                self.sent += data
                up_writer.write(data)
                await up_writer.drain()

        async def replies() -> None:
            while data := await up_reader.read(1 << 16):
                if self._holds(last):
                    self._held.set()
                    await self._open.wait()
                writer.write(data)
                await writer.drain()

        ways = [asyncio.ensure_future(requests()), asyncio.ensure_future(replies())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for one in (writer, up_writer):
                self._writers.discard(one)
                one.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._serve(reader, writer)
        self._tasks.discard(task)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def tcp_proxy(target: str) -> AsyncIterator[TcpProxy]:
    """A proxy before `target` (host:port); its own `address` is host:port too."""
    host, _, port = target.rpartition(":")
    proxy = TcpProxy(host, int(port))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    own_host, own_port = server.sockets[0].getsockname()
    proxy.address = f"{own_host}:{own_port}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
