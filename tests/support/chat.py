"""A chat service in this process, and neighbours for it that say what a test wants: real gRPC servers, tiny ones."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.api import httpbody_pb2
from google.rpc import error_details_pb2, status_pb2

from pergola.cache.v1 import cache_pb2, cache_pb2_grpc
from pergola.chat.v1 import chat_pb2, chat_pb2_grpc, openai_pb2, openai_pb2_grpc
from pergola.graph.v1 import retrieval_pb2, retrieval_pb2_grpc
from pergola.vector.v1 import point_pb2, point_pb2_grpc
from services.chat.assemble import assemble
from services.chat.settings import ChatSettings
from services.runtime.settings import load
from services.runtime.start import Running, serving
from tests.fakes.provider import FakeProvider


@dataclass
class Neighbours(
    retrieval_pb2_grpc.RetrievalServiceServicer,
    point_pb2_grpc.PointServiceServicer,
    cache_pb2_grpc.CacheServiceServicer,
):
    """Graph, vector and cache as chat sees them. What a test does not set finds nothing and keeps everything."""

    address: str = ""
    passages: list[retrieval_pb2.Passage] = field(default_factory=list)
    """What the graph service finds."""
    points: dict[str, list[point_pb2.ScoredPoint]] = field(default_factory=dict)
    """What the vector service finds, by collection."""
    degraded: str = ""
    graph_fails: grpc.StatusCode | None = None
    graph_hangs: bool = False
    vector_fails: grpc.StatusCode | None = None
    cache_fails: grpc.StatusCode | None = None
    kept: dict[str, bytes] = field(default_factory=dict)
    retrieved: list[Any] = field(default_factory=list)
    """Every request for retrieval that came in."""

    async def Retrieve(self, request: Any, context: Any) -> Any:
        self.retrieved.append(request)
        if self.graph_fails is not None:
            await context.abort(self.graph_fails, "as told")
        if self.graph_hangs:
            await asyncio.Event().wait()
        found = self.passages[: request.k]
        return retrieval_pb2.RetrieveResponse(passages=found, degraded=self.degraded)

    async def QueryPoints(self, request: Any, context: Any) -> Any:
        self.retrieved.append(request)
        if self.vector_fails is not None:
            await context.abort(self.vector_fails, "as told")
        return point_pb2.QueryPointsResponse(points=self.points.get(request.collection, [])[: request.k])

    async def Get(self, request: Any, context: Any) -> Any:
        if self.cache_fails is not None:
            await context.abort(self.cache_fails, "as told")
        value = self.kept.get(f"{request.namespace}/{request.key}")
        if value is None:
            return cache_pb2.GetResponse()
        return cache_pb2.GetResponse(entry=cache_pb2.Entry(key=request.key, value=cache_pb2.Value(data=value)))

    async def Set(self, request: Any, context: Any) -> Any:
        if self.cache_fails is not None:
            await context.abort(self.cache_fails, "as told")
        self.kept[f"{request.namespace}/{request.key}"] = request.value.data
        return cache_pb2.SetResponse()

    async def _uncalled(self, request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"chat sends no {type(request).__name__}")

    GetPoints = Delete = GetMany = SetMany = _uncalled

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Neighbours"]:
        server = grpc.aio.server()
        retrieval_pb2_grpc.add_RetrievalServiceServicer_to_server(self, server)
        point_pb2_grpc.add_PointServiceServicer_to_server(self, server)
        cache_pb2_grpc.add_CacheServiceServicer_to_server(self, server)
        self.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        try:
            yield self
        finally:
            await server.stop(None)


@dataclass
class ChatDoor:
    """A running chat service and stubs that talk to it."""

    running: Running
    chat: Any
    openai: Any

    async def stream(self, model: str, text: str = "Hello?", **fields: Any) -> list[Any]:
        """All events of StreamChat for one user message."""
        request = chat_pb2.StreamChatRequest(input=question(text, model=model, **fields))
        return [event async for event in self.chat.StreamChat(request)]

    def completion(self, model: str, text: str = "Hello?", **fields: Any) -> Any:
        """The call CreateChatCompletion for one user message; iterate over it."""
        body = {"model": model, "messages": [{"role": "user", "content": text}]} | fields
        http = httpbody_pb2.HttpBody(content_type="application/json", data=json.dumps(body).encode())
        return self.openai.CreateChatCompletion(openai_pb2.CreateChatCompletionRequest(body=http))

    async def complete(self, model: str, text: str = "Hello?", **fields: Any) -> bytes:
        """Everything CreateChatCompletion answers."""
        return b"".join([piece.body.data async for piece in self.completion(model, text, **fields)])


def question(text: str, **fields: Any) -> chat_pb2.ChatInput:
    return chat_pb2.ChatInput(messages=[chat_pb2.Message(role="user", content=text)], **fields)


def passage(number: int, text: str, **fields: Any) -> retrieval_pb2.Passage:
    """A passage of the graph service, with everything about it made from its number."""
    made: dict[str, Any] = {
        "collection": "docs",
        "id": f"point-{number}",
        "document": f"document-{number}",
        "title": f"Title {number}",
        "text": text,
        "start": 10 * number,
        "end": 10 * number + len(text),
        "score": 1.0 / number,
        "path": [
            retrieval_pb2.PathStep(kind="question", text="the question"),
            retrieval_pb2.PathStep(kind="passage", text=f"Title {number}"),
        ],
    }
    return retrieval_pb2.Passage(**made | fields)


def point(number: int, text: str, score: float) -> point_pb2.ScoredPoint:
    """A point of the vector service."""
    chunk = point_pb2.Chunk(document=f"document-{number}", title=f"Title {number}", text=text, start=0, end=len(text))
    return point_pb2.ScoredPoint(point=point_pb2.Point(id=f"point-{number}", chunk=chunk), score=score)


def fake_models(provider: FakeProvider, **fields: Any) -> str:
    """The setting that makes every model of the fake provider known as `fake/…`."""
    return json.dumps([{"id": "fake/*", "base_url": provider.base_url, **fields}])


@contextlib.asynccontextmanager
async def chat_service(addresses: Mapping[str, str], models: str = "", **settings: str) -> AsyncIterator[ChatDoor]:
    """`addresses`: of graph, vector and cache. `settings`: of the chat service, in lower case."""
    environ = {
        "PERGOLA_LOG_LEVEL": "error",
        "PERGOLA_CHAT_MODELS": models,
        **{f"PERGOLA_{peer.upper()}_ADDRESS": address for peer, address in addresses.items()},
        **{f"PERGOLA_CHAT_{name.upper()}": value for name, value in settings.items()},
    }
    async with (
        serving("chat", load(ChatSettings, "chat", environ), assemble, reflect_all=True) as running,
        grpc.aio.insecure_channel(running.address) as channel,
    ):
        yield ChatDoor(running, chat_pb2_grpc.ChatServiceStub(channel), openai_pb2_grpc.OpenAIServiceStub(channel))


def neighbours_at(address: str) -> dict[str, str]:
    """One address for all three peers."""
    return {"graph": address, "vector": address, "cache": address}


async def idle(door: ChatDoor, seconds: float) -> None:
    """Returns when no call is served and no stream's task is left. Raises TimeoutError after so many seconds."""
    async with asyncio.timeout(seconds):
        while door.running.calls or any("Paced" in repr(task.get_coro()) for task in asyncio.all_tasks()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def violated(error: grpc.aio.AioRpcError) -> list[str]:
    """The fields that the BadRequest of a failed call names."""
    packed: Any = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    bad = error_details_pb2.BadRequest()
    for detail in status_pb2.Status.FromString(packed).details:
        detail.Unpack(bad)
    return [violation.field for violation in bad.field_violations]
