"""Every error of the tree, as each door tells it."""

import json
from typing import Any

import aiohttp
import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from pergola.chat.v1 import chat_pb2, chat_pb2_grpc, openai_pb2
from services.runtime.errors import PergolaError, Violation, tree
from tests.end_to_end.gateway.upstream import Book

LEAVES = list(tree.leaves())
MESSAGE = 'it failed: "søren" 100% <b> 🌿'


def prepare(book: Book, leaf: type[PergolaError]) -> None:
    async def fail(_: Any) -> Any:
        raise leaf(MESSAGE, violations=[Violation("input.model", "must be known")], retry_after=2.5)

    book.unary("Chat", fail)
    book.unary("ListModels", fail)


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.__name__)
async def test_rest(http: aiohttp.ClientSession, book: Book, leaf: type[PergolaError]) -> None:
    prepare(book, leaf)
    async with http.post("/api/chat", json={"messages": [{"role": "user", "content": "x"}]}) as response:
        assert response.status == leaf.http_status
        assert response.headers["retry-after"] == "3"
        assert response.headers["content-type"] == "application/json"
        assert not [name for name in response.headers if name.lower().startswith(("grpc-", "x-pergola-"))]
        error = json.loads(await response.read())["error"]
        assert error == {
            "code": leaf.http_status,
            "status": leaf.code.name,
            "reason": leaf.reason,
            "message": MESSAGE,
            "request_id": response.headers["x-request-id"],
            "retry_after": 3,
            "violations": [{"field": "input.model", "description": "must be known"}],
            "violations_total": 1,
        }


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.__name__)
async def test_openai(http: aiohttp.ClientSession, book: Book, leaf: type[PergolaError]) -> None:
    prepare(book, leaf)
    async with http.get("/v1/models") as response:
        assert response.status == leaf.http_status
        assert response.headers["retry-after"] == "3"
        error = json.loads(await response.read())["error"]
        assert set(error) == {"message", "type", "param", "code", "request_id"}
        assert (error["message"], error["param"], error["code"]) == (MESSAGE, "input.model", leaf.reason.lower())


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.__name__)
async def test_grpc(channel: grpc.aio.Channel, book: Book, leaf: type[PergolaError]) -> None:
    prepare(book, leaf)
    request = chat_pb2.ChatRequest(input=chat_pb2.ChatInput(messages=[chat_pb2.Message(role="user", content="x")]))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await chat_pb2_grpc.ChatServiceStub(channel).Chat(request)
    assert (raised.value.code(), raised.value.details()) == (leaf.code, MESSAGE)
    trailing = dict(raised.value.trailing_metadata() or ())
    assert trailing["retry-after"] == "3"
    assert not [name for name in trailing if name.startswith("x-pergola")]
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(trailing["grpc-status-details-bin"]).details[0].Unpack(info)
    assert (info.reason, info.domain) == (leaf.reason, "pergola")


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.__name__)
async def test_connect(http: aiohttp.ClientSession, book: Book, leaf: type[PergolaError]) -> None:
    prepare(book, leaf)
    headers = {"content-type": "application/proto", "connect-protocol-version": "1"}
    path = f"/{openai_pb2.DESCRIPTOR.package}.OpenAIService/ListModels"
    async with http.post(path, data=b"", headers=headers) as response:
        assert response.status >= 400
        told = json.loads(await response.read())
        assert told["code"] == leaf.code.value[1].replace(" ", "_").replace("cancelled", "canceled")
        assert told["message"] == MESSAGE
