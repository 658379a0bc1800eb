"""One question through every door of the gateway, each spoken by hand as a client of that kind would."""

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import grpc
from google.rpc import error_details_pb2, status_pb2

from pergola.chat.v1 import chat_pb2, chat_pb2_grpc
from tests.support.cache import reason as grpc_reason

STREAM_CHAT = "/pergola.chat.v1.ChatService/StreamChat"


@dataclass
class Heard:
    """What a client got: the text, the last event's own fields, or the reason of the error and where it stood."""

    text: str = ""
    citations: list[Any] = field(default_factory=list)
    finish_reason: str = ""
    reason: str = ""
    http_status: int = 200
    """Of the response; an error in the middle of a stream comes with 200."""
    retry_after: str = ""


class Stream:
    """An answer under way. `next` is None at the end; events are dicts with one field, as in JSON."""

    def __init__(self, events: AsyncIterator[dict[str, Any]], heard: Heard) -> None:
        self.events = events
        self.heard = heard

    async def read_all(self) -> Heard:
        async for event in self.events:
            self.take(event)
        return self.heard

    def take(self, event: dict[str, Any]) -> None:
        heard = self.heard
        heard.text += event.get("content", "")
        if "citations" in event:
            heard.citations = event["citations"]
        if "done" in event:
            heard.finish_reason = event["done"]["finish_reason"]
        if "error" in event:
            heard.reason = event["error"]["reason"]


Ask = Callable[[str, dict[str, Any]], AbstractAsyncContextManager[Stream]]
"""Opens an answer to a ChatInput (as JSON) at a gateway; leaving the context early disconnects."""


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    """The data of each server-sent event; comments left out."""
    async for line in response.content:
        if line.startswith(b"data:"):
            yield line[5:].decode().strip()


async def _refused(response: aiohttp.ClientResponse, heard: Heard) -> None:
    error = (await response.json())["error"]
    heard.http_status = response.status
    heard.reason = error["reason"] if "reason" in error else error["code"].upper()
    heard.retry_after = response.headers.get("retry-after", "")


@asynccontextmanager
async def sse(gateway: str, asked: dict[str, Any]) -> AsyncIterator[Stream]:
    """POST /api/chat/stream."""
    heard = Heard()
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{gateway}/api/chat/stream", json=asked) as response,
    ):

        async def events() -> AsyncIterator[dict[str, Any]]:
            if response.status != 200:
                await _refused(response, heard)
                return
            assert response.content_type == "text/event-stream"
            async for line in _lines(response):
                event = json.loads(line)
                if "citations" in event:
                    event["citations"] = event["citations"]["items"]
                yield event

        yield Stream(events(), heard)


@asynccontextmanager
async def openai(gateway: str, asked: dict[str, Any]) -> AsyncIterator[Stream]:
    """POST /v1/chat/completions with `stream: true`."""
    heard = Heard()
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{gateway}/v1/chat/completions", json={**asked, "stream": True}) as response,
    ):

        async def events() -> AsyncIterator[dict[str, Any]]:
            if response.status != 200:
                await _refused(response, heard)
                return
            assert response.content_type == "text/event-stream"
            async for line in _lines(response):
                if line == "[DONE]":
                    return
                chunk = json.loads(line)
                if "error" in chunk:
                    yield {"error": {"reason": chunk["error"]["code"].upper()}}
                    continue
                if "citations" in chunk:
                    yield {"citations": chunk["citations"]}
                for choice in chunk["choices"]:
                    yield {"content": choice["delta"].get("content") or ""}
                    if choice["finish_reason"]:
                        yield {"done": {"finish_reason": choice["finish_reason"]}}

        yield Stream(events(), heard)


@asynccontextmanager
async def websocket(gateway: str, asked: dict[str, Any]) -> AsyncIterator[Stream]:
    """/ws/chat."""
    heard = Heard()
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{gateway}/ws/chat", protocols=("pergola.v1",)) as socket,
    ):
        await socket.send_str(json.dumps({"type": "message", **asked}))

        async def events() -> AsyncIterator[dict[str, Any]]:
            async for message in socket:
                frame = json.loads(message.data)
                kind = frame["type"]
                if kind == "chunk":
                    yield {"content": frame["content"]}
                elif kind == "citations":
                    yield {"citations": frame["items"]}
                elif kind in ("done", "error"):
                    heard.retry_after = str(int(frame["retry_after"])) if frame.get("retry_after") else ""
                    yield {kind: frame}
                    return

        yield Stream(events(), heard)


def _message_event(message: chat_pb2.StreamChatResponse) -> dict[str, Any]:
    kind = message.WhichOneof("event")
    if kind == "content":
        return {"content": message.content}
    if kind == "citations":
        return {"citations": [{"number": one.number, "text": one.text} for one in message.citations.items]}
    if kind == "done":
        return {"done": {"finish_reason": message.done.finish_reason}}
    if kind == "error":
        return {"error": {"reason": message.error.reason}}
    return {}


def _request(asked: dict[str, Any]) -> chat_pb2.StreamChatRequest:
    asked = dict(asked)
    messages = [chat_pb2.Message(**message) for message in asked.pop("messages")]
    retrieval = asked.pop("retrieval", None)
    return chat_pb2.StreamChatRequest(
        input=chat_pb2.ChatInput(
            messages=messages, retrieval=chat_pb2.Retrieval(**retrieval) if retrieval else None, **asked
        )
    )


@asynccontextmanager
async def native(gateway: str, asked: dict[str, Any]) -> AsyncIterator[Stream]:
    """gRPC."""
    heard = Heard()
    async with grpc.aio.insecure_channel(gateway.removeprefix("http://")) as channel:
        stub: Any = chat_pb2_grpc.ChatServiceStub(channel)
        call = stub.StreamChat(_request(asked))

        async def events() -> AsyncIterator[dict[str, Any]]:
            try:
                async for message in call:
                    yield _message_event(message)
            except grpc.aio.AioRpcError as error:
                heard.reason = grpc_reason(error)
                heard.retry_after = str(dict(error.trailing_metadata() or ()).get("retry-after", ""))

        try:
            yield Stream(events(), heard)
        finally:
            call.cancel()


def _frame(message: bytes) -> bytes:
    """The five bytes gRPC-Web and Connect put before a message: flags and length."""
    return struct.pack(">BI", 0, len(message)) + message


async def _frames(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[int, bytes]]:
    content = response.content
    while True:
        try:
            flags, length = struct.unpack(">BI", await content.readexactly(5))
            yield flags, await content.readexactly(length)
        except asyncio.IncompleteReadError:
            return


@asynccontextmanager
async def grpc_web(gateway: str, asked: dict[str, Any]) -> AsyncIterator[Stream]:
    """gRPC-Web, binary."""
    heard = Heard()
    kind = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(gateway + STREAM_CHAT, data=_frame(_request(asked).SerializeToString()), headers=kind) as response,
    ):

        async def events() -> AsyncIterator[dict[str, Any]]:
            trailers = {name.lower(): value for name, value in response.headers.items()}
            async for flags, data in _frames(response):
                if flags & 0x80:
                    pairs = (line.split(":", 1) for line in data.decode().strip().split("\r\n"))
                    trailers |= {name.lower(): value.strip() for name, value in pairs}
                else:
                    yield _message_event(chat_pb2.StreamChatResponse.FromString(data))
            if trailers.get("grpc-status") != "0":
                heard.reason = heard.reason or _reason_of(trailers["grpc-status-details-bin"])
                heard.retry_after = trailers.get("retry-after", "")

        yield Stream(events(), heard)


@asynccontextmanager
async def connect(gateway: str, asked: dict[str, Any]) -> AsyncIterator[Stream]:
    """Connect, binary, as for a server stream."""
    heard = Heard()
    kind = {"content-type": "application/connect+proto", "connect-protocol-version": "1"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(gateway + STREAM_CHAT, data=_frame(_request(asked).SerializeToString()), headers=kind) as response,
    ):

        async def events() -> AsyncIterator[dict[str, Any]]:
            async for flags, data in _frames(response):
                if not flags & 0x02:
                    yield _message_event(chat_pb2.StreamChatResponse.FromString(data))
                    continue
                end = json.loads(data)
                if "error" in end:
                    details = end["error"].get("details", [])
                    # Envoy leaves the prefix of the type URL that Connect's own servers take off.
                    info = next(one for one in details if one["type"].endswith("google.rpc.ErrorInfo"))
                    heard.reason = heard.reason or _info(info["value"])
                    heard.retry_after = response.headers.get("retry-after", "")

        yield Stream(events(), heard)


def _reason_of(details: str) -> str:
    status = status_pb2.Status.FromString(base64.b64decode(details + "=" * (-len(details) % 4)))
    info = error_details_pb2.ErrorInfo()
    return next(str(info.reason) for detail in status.details if detail.Unpack(info))


def _info(value: str) -> str:
    return str(error_details_pb2.ErrorInfo.FromString(base64.b64decode(value + "=" * (-len(value) % 4))).reason)


DOORS: dict[str, Ask] = {
    "sse": sse,
    "openai": openai,
    "websocket": websocket,
    "grpc": native,
    "grpc-web": grpc_web,
    "connect": connect,
}
