"""What callers of the gateway are told when something fails, beyond the one error and the one door at a time of
`gateway/test_gateway_errors.py`: streams before and after their first message, faults nobody expected, identity, time.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest

from pergola.chat.v1 import chat_pb2, chat_pb2_grpc
from services.runtime.errors import PergolaError, from_rpc, tree
from services.runtime.settings import ServiceSettings
from tests.bounds import AFTER_DEADLINE
from tests.end_to_end.gateway.envoys import Gateway, environ, envoy
from tests.end_to_end.gateway.upstream import Book, answer, content, upstream
from tests.integration.runtime import callers
from tests.support.steady import steady

LEAVES = sorted(set(tree.leaves()), key=lambda leaf: leaf.reason)
QUESTION = {"messages": [{"role": "user", "content": "x"}]}
COMPLETION = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}
REQUEST = chat_pb2.ChatInput(messages=[chat_pb2.Message(role="user", content="x")])


@dataclass
class Doors:
    """One gateway, before services that answer as `book` says and know the callers of `callers.ENTRIES`."""

    gateway: Gateway
    book: Book
    http: aiohttp.ClientSession
    channel: grpc.aio.Channel

    async def post(self, path: str, body: Any, name: str = "writer", **headers: str) -> tuple[Any, str]:
        """The response's status and headers, and its body."""
        own = {"authorization": f"Bearer {callers.KEYS[name]}"} if name else {}
        async with self.http.post(path, json=body, headers=own | headers) as response:
            return response, await response.text()

    def stub(self) -> Any:
        return chat_pb2_grpc.ChatServiceStub(self.channel)


@pytest.fixture(scope="module")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Doors]:
    file: Path = callers.write(tmp_path_factory.mktemp("callers") / "callers.json")
    book = Book()
    async with (
        upstream(book, ServiceSettings(drain_seconds=0.0, callers_file=file)) as behind,
        envoy(environ(behind.address), ready=False) as gateway,
        aiohttp.ClientSession(gateway.url) as http,
        grpc.aio.insecure_channel(gateway.address, options=[("grpc.enable_http_proxy", 0)]) as channel,
    ):
        yield Doors(gateway, book, http, channel)


@pytest.fixture
def doors(opened: Doors) -> Doors:
    opened.book.clear()
    return opened


def failing(book: Book, error: Exception, *, after: int = 0) -> None:
    """Every chat RPC raises `error`; the streams after that many messages."""

    async def one(_request: Any) -> Any:
        raise error

    async def many(_request: Any) -> AsyncIterator[Any]:
        for number in range(after):
            yield content(str(number))
        raise error

    book.unary("Chat", one)
    book.unary("ListModels", one)
    book.stream("StreamChat", many)
    book.stream("CreateChatCompletion", many)


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.reason)
async def test_a_stream_that_fails_before_its_first_message_is_a_plain_error(
    doors: Doors, leaf: type[PergolaError]
) -> None:
    failing(doors.book, leaf("what to do", retry_after=6.5))
    response, text = await doors.post("/api/chat/stream", QUESTION)
    assert (response.status, response.content_type) == (leaf.http_status, "application/json")
    assert response.headers["retry-after"] == "7"
    told = json.loads(text)["error"]
    assert (told["code"], told["status"], told["reason"]) == (leaf.http_status, leaf.code.name, leaf.reason)
    assert told["request_id"] == response.headers["x-request-id"]
    response, text = await doors.post("/v1/chat/completions", COMPLETION)
    assert (response.status, response.content_type) == (leaf.http_status, "application/json")
    assert response.headers["retry-after"] == "7"
    assert json.loads(text)["error"]["code"] == leaf.reason.lower()
    stream = doors.stub().StreamChat(
        chat_pb2.StreamChatRequest(input=REQUEST), metadata=callers.bearer("writer"), timeout=20
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    assert caught.value.code() is leaf.code
    assert dict(caught.value.trailing_metadata() or ())["retry-after"] == "7"


async def test_a_fault_nobody_expected_tells_an_id_and_nothing_else(
    doors: Doors, caplog: pytest.LogCaptureFixture
) -> None:
    failing(doors.book, RuntimeError("password=hunter2 at /srv/secret.py"))
    said = []
    for path, body in (
        ("/api/chat", QUESTION),
        ("/api/chat/stream", QUESTION),
        ("/v1/chat/completions", COMPLETION),
    ):
        response, text = await doors.post(path, body)
        assert response.status == 500
        assert response.content_type == "application/json"
        said.append(f"{text} {response.headers}")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await doors.stub().Chat(chat_pb2.ChatRequest(input=REQUEST), metadata=callers.bearer("writer"))
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    said.append(f"{caught.value.details()} {caught.value.trailing_metadata()}")
    assert len(said) == 4
    logged = {record.error_id for record in caplog.records if hasattr(record, "error_id")}
    for one in said:
        assert "hunter2" not in one
        assert "secret.py" not in one
        assert "RuntimeError" not in one
        assert any(error_id in one for error_id in logged)


@pytest.mark.parametrize(("name", "status", "reason"), [("", 401, "UNAUTHENTICATED"), ("reader", 403, "ROLE_REQUIRED")])
async def test_identity_is_asked_at_every_door(doors: Doors, name: str, status: int, reason: str) -> None:
    response, text = await doors.post("/api/chat", QUESTION, name)
    assert (response.status, json.loads(text)["error"]["reason"]) == (status, reason)
    response, text = await doors.post("/v1/chat/completions", COMPLETION, name)
    assert (response.status, json.loads(text)["error"]["code"]) == (status, reason.lower())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await doors.stub().Chat(chat_pb2.ChatRequest(input=REQUEST), metadata=callers.bearer(name) if name else ())
    assert caught.value.code().name in ("UNAUTHENTICATED", "PERMISSION_DENIED")
    assert doors.book.seen == []


async def test_nobody_from_outside_chooses_tenant_or_face(doors: Doors) -> None:
    outside = {"x-pergola-tenant": "globex", "x-pergola-face": "openai"}
    response, _ = await doors.post("/api/chat", QUESTION, **outside)
    assert response.status == 200
    assert "x-pergola-tenant" not in doors.book.last.metadata
    assert doors.book.last.metadata["x-pergola-face"] == "api"
    metadata = (*callers.bearer("writer"), ("x-pergola-tenant", "globex"))
    assert (await doors.stub().Chat(chat_pb2.ChatRequest(input=REQUEST), metadata=metadata)) == answer()


async def test_a_broken_rule_is_named_with_its_field(doors: Doors) -> None:
    response, text = await doors.post("/api/chat", {"messages": [{"role": "nobody", "content": "x"}]})
    assert response.status == 400
    told = json.loads(text)["error"]
    assert told["violations"][0]["field"].endswith("messages[0].role")
    assert told["violations_total"] == 1
    response, text = await doors.post("/api/chat", {"messages": [{"role": "nobody", "content": "x"}] * 100})
    assert response.status == 400
    told = json.loads(text)["error"]
    assert (len(told["violations"]), told["violations_total"]) == (20, 100)


async def test_time_that_is_over_is_told_by_the_service(doors: Doors) -> None:
    begun = steady()

    async def hang(_request: Any) -> Any:
        await asyncio.Event().wait()

    doors.book.unary("Chat", hang)
    response, text = await doors.post("/api/chat", QUESTION, **{"grpc-timeout": "300m"})
    assert response.status == 504
    assert json.loads(text)["error"]["reason"] == "DEADLINE_EXCEEDED"
    assert steady() - begun < 0.3 + AFTER_DEADLINE


async def test_an_error_of_the_tree_is_the_same_through_the_gateway(doors: Doors) -> None:
    failing(doors.book, tree.CollectionNotFound("there is no collection docs", metadata={"collection": "docs"}))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await doors.stub().Chat(chat_pb2.ChatRequest(input=REQUEST), metadata=callers.bearer("writer"))
    rebuilt = from_rpc(caught.value, "chat")
    assert isinstance(rebuilt, tree.CollectionNotFound)
    assert rebuilt.metadata["collection"] == "docs"
