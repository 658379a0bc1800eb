"""The services behind the gateway under test: the real runtime and the real stubs, with handlers that a test sets."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from google.api import httpbody_pb2
from google.protobuf.message import Message

from pergola.chat.v1 import chat_pb2, chat_pb2_grpc, openai_pb2, openai_pb2_grpc
from pergola.vector.v1 import change_pb2, change_pb2_grpc, collection_pb2, collection_pb2_grpc, job_pb2, job_pb2_grpc
from services.runtime import call
from services.runtime.background import Runtime
from services.runtime.policy import Policy
from services.runtime.settings import ServiceSettings
from services.runtime.start import Running, Servicer, serving
from services.runtime.telemetry.logs import LogSink

Unary = Callable[[Any], Awaitable[Message]]
Stream = Callable[[Any], AsyncIterator[Message]]


@dataclass(frozen=True)
class Seen:
    """A call that arrived: its method's name, its metadata, and the seconds it had left."""

    method: str
    metadata: dict[str, str]
    remaining: float | None
    request: Any


class Book:
    """What the handlers do, and what they have seen. `clear` brings the defaults back."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._unary: dict[str, Unary] = {}
        self._stream: dict[str, Stream] = {}

    def clear(self) -> None:
        self.seen.clear()
        self._unary.clear()
        self._stream.clear()

    def unary(self, method: str, handler: Unary) -> None:
        """What the unary RPC does from now on: takes the request, returns the response or raises."""
        self._unary[method] = handler

    def stream(self, method: str, handler: Stream) -> None:
        """What the streaming RPC does from now on: takes the request or, where both stream, the iterator of them."""
        self._stream[method] = handler

    @property
    def last(self) -> Seen:
        return self.seen[-1]

    async def one(self, method: str, request: Any, context: Any, default: Message) -> Message:
        self._note(method, request, context)
        handler = self._unary.get(method)
        return default if handler is None else await handler(request)

    async def many(self, method: str, request: Any, context: Any, default: Sequence[Message]) -> AsyncIterator[Message]:
        self._note(method, request, context)
        handler = self._stream.get(method)
        if handler is not None:
            async for message in handler(request):
                yield message
            return
        for message in default:
            yield message

    def _note(self, method: str, request: Any, context: Any) -> None:
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        self.seen.append(Seen(method, metadata, call.remaining(), request))


def answer(text: str = "hello") -> chat_pb2.ChatResponse:
    return chat_pb2.ChatResponse(message=chat_pb2.Message(role="assistant", content=text))


def content(text: str) -> chat_pb2.StreamChatResponse:
    return chat_pb2.StreamChatResponse(content=text)


def body(data: bytes, content_type: str = "application/json") -> httpbody_pb2.HttpBody:
    return httpbody_pb2.HttpBody(content_type=content_type, data=data)


class _Chat(chat_pb2_grpc.ChatServiceServicer):
    def __init__(self, book: Book) -> None:
        self.book = book

    async def Chat(self, request: Any, context: Any) -> Any:
        return await self.book.one("Chat", request, context, answer())

    async def StreamChat(self, request: Any, context: Any) -> Any:
        done = chat_pb2.StreamChatResponse(done=chat_pb2.Done(finish_reason="stop"))
        async for message in self.book.many("StreamChat", request, context, [content("hello"), done]):
            yield message

    async def Converse(self, request_iterator: Any, context: Any) -> Any:
        async for message in self.book.many("Converse", request_iterator, context, []):
            yield message


class _OpenAI(openai_pb2_grpc.OpenAIServiceServicer):
    def __init__(self, book: Book) -> None:
        self.book = book

    async def CreateChatCompletion(self, request: Any, context: Any) -> Any:
        default = openai_pb2.CreateChatCompletionResponse(body=body(b'{"object": "chat.completion"}'))
        async for message in self.book.many("CreateChatCompletion", request, context, [default]):
            yield message

    async def ListModels(self, request: Any, context: Any) -> Any:
        default = openai_pb2.ListModelsResponse(body=body(b'{"object": "list"}'))
        return await self.book.one("ListModels", request, context, default)

    async def GetModel(self, request: Any, context: Any) -> Any:
        default = openai_pb2.GetModelResponse(body=body(b'{"id": "%s"}' % request.model.encode()))
        return await self.book.one("GetModel", request, context, default)


class _Collections(collection_pb2_grpc.CollectionServiceServicer):
    def __init__(self, book: Book) -> None:
        self.book = book

    async def CreateCollection(self, request: Any, context: Any) -> Any:
        default = collection_pb2.CreateCollectionResponse(collection=request.collection)
        return await self.book.one("CreateCollection", request, context, default)

    async def GetCollection(self, request: Any, context: Any) -> Any:
        found = collection_pb2.Collection(name=request.collection)
        default = collection_pb2.GetCollectionResponse(collection=found)
        return await self.book.one("GetCollection", request, context, default)

    async def ListCollections(self, request: Any, context: Any) -> Any:
        default = collection_pb2.ListCollectionsResponse()
        return await self.book.one("ListCollections", request, context, default)

    async def UpdateCollection(self, request: Any, context: Any) -> Any:
        default = collection_pb2.UpdateCollectionResponse(collection=request.collection)
        return await self.book.one("UpdateCollection", request, context, default)

    async def DeleteCollection(self, request: Any, context: Any) -> Any:
        return await self.book.one("DeleteCollection", request, context, collection_pb2.DeleteCollectionResponse())


class _Jobs(job_pb2_grpc.JobServiceServicer):
    def __init__(self, book: Book) -> None:
        self.book = book

    async def GetJob(self, request: Any, context: Any) -> Any:
        default = job_pb2.GetJobResponse(job=job_pb2.Job(id=request.id, status="running"))
        return await self.book.one("GetJob", request, context, default)

    async def ListJobs(self, request: Any, context: Any) -> Any:
        return await self.book.one("ListJobs", request, context, job_pb2.ListJobsResponse())

    async def CancelJob(self, request: Any, context: Any) -> Any:
        return await self.book.one("CancelJob", request, context, job_pb2.CancelJobResponse())

    async def RetryJob(self, request: Any, context: Any) -> Any:
        return await self.book.one("RetryJob", request, context, job_pb2.RetryJobResponse())

    async def ListFailedDocuments(self, request: Any, context: Any) -> Any:
        return await self.book.one("ListFailedDocuments", request, context, job_pb2.ListFailedDocumentsResponse())

    async def WatchJob(self, request: Any, context: Any) -> Any:
        async for message in self.book.many("WatchJob", request, context, []):
            yield message


class _Changes(change_pb2_grpc.ChangeServiceServicer):
    def __init__(self, book: Book) -> None:
        self.book = book

    async def WatchChanges(self, request: Any, context: Any) -> Any:
        async for message in self.book.many("WatchChanges", request, context, []):
            yield message

    async def AckChanges(self, request: Any, context: Any) -> Any:
        return await self.book.one("AckChanges", request, context, change_pb2.AckChangesResponse())

    async def ListConsumers(self, request: Any, context: Any) -> Any:
        return await self.book.one("ListConsumers", request, context, change_pb2.ListConsumersResponse())

    async def ListChangeSources(self, request: Any, context: Any) -> Any:
        return await self.book.one("ListChangeSources", request, context, change_pb2.ListChangeSourcesResponse())


@asynccontextmanager
async def upstream(book: Book, settings: ServiceSettings | None = None) -> AsyncIterator[Running]:
    """One process's worth of services, all of them at one address."""
    forever = Policy(deadline=None)

    @asynccontextmanager
    async def assemble(_settings: ServiceSettings, _runtime: Runtime[ServiceSettings]) -> AsyncIterator[list[Servicer]]:
        yield [
            Servicer(
                "pergola.chat.v1.ChatService",
                _Chat(book),
                chat_pb2_grpc.add_ChatServiceServicer_to_server,
                {"Converse": forever},
            ),
            Servicer(
                "pergola.chat.v1.OpenAIService", _OpenAI(book), openai_pb2_grpc.add_OpenAIServiceServicer_to_server
            ),
            Servicer(
                "pergola.vector.v1.CollectionService",
                _Collections(book),
                collection_pb2_grpc.add_CollectionServiceServicer_to_server,
            ),
            Servicer(
                "pergola.vector.v1.JobService",
                _Jobs(book),
                job_pb2_grpc.add_JobServiceServicer_to_server,
                {"WatchJob": forever},
            ),
            Servicer(
                "pergola.vector.v1.ChangeService",
                _Changes(book),
                change_pb2_grpc.add_ChangeServiceServicer_to_server,
                {"WatchChanges": forever},
            ),
        ]

    settings = settings or ServiceSettings(drain_seconds=0.0)
    async with serving("chat", settings, assemble, reflect_all=True, sink=LogSink(io.BytesIO())) as running:
        yield running
