"""A service with one method of each kind: what it does with a call follows from the request's text."""

import asyncio
import importlib
import importlib.resources
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import grpc
import grpc_tools
import msgspec
from grpc_tools import protoc

from services.runtime import call
from services.runtime.background import Runtime
from services.runtime.errors import CollectionNotFound
from services.runtime.policy import Policy
from services.runtime.roles import Role
from services.runtime.settings import ServiceSettings
from services.runtime.start import Assemble, Running, Servicer, serving
from services.runtime.telemetry.logs import LogSink

NAME = "pergola.testing.v1.EchoService"
ROOT = Path(__file__).resolve().parents[3]


def _stubs() -> tuple[ModuleType, ModuleType]:
    """Generate the stubs of echo.proto into a folder of their own, and import them from there."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [
            "protoc",
            f"-I{Path(__file__).parent}",
            f"-I{importlib.resources.files(grpc_tools) / '_proto'}",
            f"--descriptor_set_in={ROOT / 'build' / 'pergola.binpb'}",
            f"--python_out={folder}",
            f"--grpc_python_out={folder}",
            "echo.proto",
        ]
        assert protoc.main(arguments) == 0
        for file in Path(folder).glob("*.py"):
            file.write_text(re.sub(r"(?m)^from buf\.validate", "from pergola._vendor.buf.validate", file.read_text()))
        sys.path.insert(0, folder)
        try:
            return importlib.import_module("echo_pb2"), importlib.import_module("echo_pb2_grpc")
        finally:
            sys.path.remove(folder)


pb, pb_grpc = cast("tuple[Any, Any]", _stubs())


class Echo(pb_grpc.EchoServiceServicer):  # type: ignore[misc, name-defined]
    """Records what happens to its calls in `events`: `started`, `cancelled`, `closed`, each once a call."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[str] = asyncio.Queue()
        self.calls: list[call.Call] = []
        self.called = asyncio.Condition()
        self.hook: Callable[[str], Awaitable[None]] | None = None

    async def reached(self, count: int) -> None:
        """Returns when `count` calls have come in."""
        async with self.called:
            await self.called.wait_for(lambda: len(self.calls) >= count)

    async def answer(self, text: str) -> Any:
        self.calls.append(call.current())
        async with self.called:
            self.called.notify_all()
        if self.hook is not None:
            await self.hook(text)
        match text:
            case "wait":
                self.events.put_nowait("started")
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    self.events.put_nowait("cancelled")
                    raise
            case "stubborn":
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    return pb.EchoResponse(text="too late")
            case "not found":
                raise CollectionNotFound("there is no collection 'x'; create it first", metadata={"collection": "x"})
            case "broken":
                raise RuntimeError("password=hunter2")
            case "nothing":
                return None
        return pb.EchoResponse(text=text)

    async def Read(self, request: Any, _context: Any) -> Any:
        return await self.answer(request.text)

    async def Write(self, request: Any, _context: Any) -> Any:
        return await self.answer(request.text)

    async def Admin(self, request: Any, _context: Any) -> Any:
        return await self.answer(request.text)

    async def Collect(self, requests: AsyncIterator[Any], _context: Any) -> Any:
        texts = [(await self.answer(request.text)).text async for request in requests]
        return pb.EchoResponse(text="+".join(texts))

    async def Stream(self, request: Any, _context: Any) -> AsyncIterator[Any]:
        try:
            for number in range(3):
                yield pb.EchoResponse(text=f"{request.text}{number}")
            yield await self.answer(request.text)
        finally:
            self.events.put_nowait("closed")

    async def Watch(self, _request: Any, _context: Any) -> AsyncIterator[Any]:
        try:
            yield pb.EchoResponse(text="watching")
            yield await self.answer("wait")
        finally:
            self.events.put_nowait("closed")

    async def Converse(self, requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        try:
            async for request in requests:
                yield await self.answer(request.text)
        finally:
            self.events.put_nowait("closed")


POLICIES = {
    "Admin": Policy(role=Role.ADMIN),
    "Watch": Policy(deadline=None),
    "Stream": Policy(in_band=lambda fields: pb.EchoResponse(text=f"error {fields.code} {fields.reason}")),
}


def servicer(echo: Echo) -> Servicer:
    return Servicer(NAME, echo, pb_grpc.add_EchoServiceServicer_to_server, POLICIES)


def assemble(*servicers: Servicer) -> Assemble[ServiceSettings]:
    @asynccontextmanager
    async def enter(_settings: ServiceSettings, _runtime: Runtime[ServiceSettings]) -> AsyncIterator[list[Servicer]]:
        yield list(servicers)

    return cast("Assemble[ServiceSettings]", enter)


class Log(LogSink):
    """Keeps the access log's lines as objects."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def write(self, entry: dict[str, Any]) -> None:
        # What can't be encoded would be lost in production.
        self.lines.append(msgspec.json.decode(msgspec.json.encode(entry)))


def run(echo: Echo, log: Log | None = None, **settings: Any) -> AbstractAsyncContextManager[Running]:
    """The echo service in this process, on a free port."""
    made = ServiceSettings(**{"drain_notice_seconds": 0, "drain_seconds": 5, **settings})
    return serving("echo", made, assemble(servicer(echo)), sink=log or Log())


async def failure(awaitable: Awaitable[Any]) -> grpc.aio.AioRpcError:
    """The status of a call that must fail."""
    try:
        answer = await awaitable
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError(f"the call succeeded: {answer}")


async def drained(stream: Any) -> tuple[list[str], grpc.aio.AioRpcError | None]:
    """Every text of a stream, and the status it failed with."""
    texts: list[str] = []
    try:
        while (message := await stream.read()) is not grpc.aio.EOF:
            texts.append(message.text)
    except grpc.aio.AioRpcError as error:
        return texts, error
    return texts, None
