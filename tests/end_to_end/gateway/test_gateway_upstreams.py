"""What a caller sees when a service is down, slow, silent or one of several."""

import asyncio
import json
from typing import Any

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from pergola.chat.v1 import chat_pb2, chat_pb2_grpc
from pergola.vector.v1 import collection_pb2, collection_pb2_grpc
from services.runtime.settings import ServiceSettings
from tests import bounds
from tests.end_to_end.gateway.envoys import environ, envoy
from tests.end_to_end.gateway.upstream import Book, answer, upstream
from tests.support.steady import steady
from tests.support.tcp_proxy import tcp_proxy

QUESTION = {"messages": [{"role": "user", "content": "why?"}]}
NOBODY = "127.0.0.1:1"


async def until(session: aiohttp.ClientSession, path: str, status: int) -> Any:
    """The body of the first answer with `status`."""
    async with asyncio.timeout(bounds.RECOVERY):
        while True:
            async with session.get(path) as response:
                if response.status == status:
                    return await response.json()
            await asyncio.sleep(0.05)


async def test_services_that_are_not_there() -> None:
    async with envoy(environ(NOBODY), ready=False) as gateway, aiohttp.ClientSession(gateway.url) as session:
        async with session.get("/healthz") as response:
            assert response.status == 200
        async with session.get("/readyz") as response:
            assert (response.status, response.headers["content-type"]) == (503, "application/json")
            told = await response.json()
            assert told["status"] == "not_ready"
            assert told["missing"] == ["chat", "vector", "graph", "cache", "edge"]
        async with session.get("/api/collections") as response:
            assert (response.status, response.headers["retry-after"]) == (503, "1")
            error = (await response.json())["error"]
            assert (error["status"], error["reason"], error["retry_after"]) == ("UNAVAILABLE", "PEER_UNAVAILABLE", 1)
        async with session.get("/v1/models") as response:
            assert response.status == 503
            assert (await response.json())["error"]["type"] == "server_error"
        headers = {"content-type": "application/proto", "connect-protocol-version": "1"}
        async with session.post("/pergola.chat.v1.ChatService/Chat", data=b"", headers=headers) as response:
            assert (response.status, (await response.json())["code"]) == (503, "unavailable")
        async with session.get("/ws/chat", headers={"upgrade": "websocket", "connection": "upgrade"}) as response:
            assert response.status == 503
            assert (await response.json())["error"]["reason"] == "PEER_UNAVAILABLE"
        async with grpc.aio.insecure_channel(gateway.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await chat_pb2_grpc.ChatServiceStub(channel).Chat(chat_pb2.ChatRequest())
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_one_missing_service_is_named_and_comes_back() -> None:
    async with upstream(Book()) as running:
        variables = environ(running.address) | {"PERGOLA_GRAPH_ADDRESS": NOBODY, "PERGOLA_EDGE_ADDRESS": NOBODY}
        async with envoy(variables, ready=False) as gateway, aiohttp.ClientSession(gateway.url) as session:
            await until(session, "/api/collections", 200)
            told = await until(session, "/readyz", 503)
            assert told["missing"] == ["graph", "edge"]
            assert told["parts"]["vector"] == "ready"
            running.not_serving()
            assert (await until(session, "/api/collections", 503))["error"]["reason"] == "PEER_UNAVAILABLE"


async def test_a_service_that_died_while_answering() -> None:
    book = Book()
    begun = asyncio.Event()

    async def hang(_: Any) -> chat_pb2.ChatResponse:
        begun.set()
        await asyncio.Event().wait()
        return answer()

    book.unary("Chat", hang)
    async with (
        upstream(book) as running,
        tcp_proxy(running.address) as proxy,
        envoy(environ(proxy.address), ready=False) as gateway,
        aiohttp.ClientSession(gateway.url) as session,
    ):
        await until(session, "/api/collections", 200)
        asked = asyncio.ensure_future(session.post("/api/chat", json=QUESTION))
        async with asyncio.timeout(bounds.RECOVERY):
            await begun.wait()
        proxy.drop()
        response = await asked
        assert response.status == 503
        error = (await response.json())["error"]
        assert error["reason"] == "PEER_UNAVAILABLE"
        assert "reset" not in json.dumps(error)


async def test_a_service_that_falls_silent_is_given_up_after_the_deadline() -> None:
    async with upstream(Book()) as running, tcp_proxy(running.address) as proxy:
        # The health checks come rarely here, so that the deadline is what ends the call.
        rare = environ(
            proxy.address, health_interval_seconds="30", deadline_grace_seconds="0.2", unary_deadline_seconds="0.5"
        )
        async with envoy(rare, ready=False) as gateway, aiohttp.ClientSession(gateway.url) as session:
            await until(session, "/api/collections", 200)
            proxy.hold_replies(lambda _sent: True)
            started, steadily = asyncio.get_running_loop().time(), steady()
            async with session.get("/api/collections", headers={"grpc-timeout": "500m"}) as response:
                assert response.status == 504
                error = (await response.json())["error"]
            assert (error["status"], error["reason"]) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
            assert asyncio.get_running_loop().time() - started >= 0.5
            assert steady() - steadily <= 0.5 + 0.2 + bounds.AFTER_DEADLINE
            async with grpc.aio.insecure_channel(gateway.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
                # Without a deadline of gRPC's own, so that the answer is the gateway's.
                stub = collection_pb2_grpc.CollectionServiceStub(channel)
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await stub.ListCollections(collection_pb2.ListCollectionsRequest())
                assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            proxy.release()


async def test_replicas_share_the_calls_and_replace_each_other() -> None:
    books = [Book(), Book()]
    async with upstream(books[0]) as first, upstream(books[1]) as second:
        variables = environ(f"{first.address},{second.address},{NOBODY}", health_interval_seconds="30")
        async with envoy(variables, ready=False) as gateway, aiohttp.ClientSession(gateway.url) as session:
            await until(session, "/api/collections", 200)
            for _ in range(8):
                async with session.get("/api/collections") as response:
                    assert response.status == 200
            assert all(len(book.seen) >= 4 for book in books)
            # Nobody listens there any more, and no health check tells: the connection that fails does.
            await first.drain(notice=0, grace=0)
            for _ in range(8):
                async with session.get("/api/collections") as response:
                    assert response.status == 200, await response.text()


async def test_names_are_resolved() -> None:
    async with upstream(Book()) as running:
        port = running.address.rpartition(":")[2]
        async with (
            envoy(environ(f"localhost:{port}"), ready=False) as gateway,
            aiohttp.ClientSession(gateway.url) as session,
        ):
            await until(session, "/api/collections", 200)


async def test_identity_is_the_services_business() -> None:
    """The gateway passes credentials on and says what the service says of them."""
    settings = ServiceSettings(drain_seconds=0.0)
    book = Book()
    async with upstream(book, settings) as running, envoy(environ(running.address), ready=False) as gateway:
        async with aiohttp.ClientSession(gateway.url) as session:
            await until(session, "/api/collections", 200)
            async with session.get("/api/collections", headers={"authorization": "Bearer abc"}) as response:
                assert response.status == 200
        assert book.last.metadata["authorization"] == "Bearer abc"


MESSAGE = 'over: "søren" 100% \\ <b>\n🌿'


def ends(service: str, method: str, code: grpc.StatusCode) -> grpc.GenericRpcHandler:
    """A method that ends as gRPC itself ends calls, without the runtime's say."""

    async def end(_: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        await context.abort(code, MESSAGE)

    return grpc.method_handlers_generic_handler(service, {method: grpc.unary_unary_rpc_method_handler(end)})


async def test_an_error_of_grpc_itself_has_the_shape_of_its_door() -> None:
    server = grpc.aio.server()
    states = health.aio.HealthServicer()
    await states.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(states, server)
    server.add_generic_rpc_handlers(
        [
            ends("pergola.vector.v1.CollectionService", "ListCollections", grpc.StatusCode.DEADLINE_EXCEEDED),
            ends("pergola.chat.v1.OpenAIService", "ListModels", grpc.StatusCode.RESOURCE_EXHAUSTED),
        ]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with (
            envoy(environ(f"127.0.0.1:{port}"), ready=False) as gateway,
            aiohttp.ClientSession(gateway.url) as session,
        ):
            await until(session, "/api/collections", 504)
            async with session.get("/api/collections", headers={"x-request-id": "bare-1"}) as response:
                assert response.status == 504
                assert (await response.json())["error"] == {
                    "code": 504,
                    "status": "DEADLINE_EXCEEDED",
                    "reason": "DEADLINE_EXCEEDED",
                    "message": MESSAGE,
                    "request_id": "bare-1",
                }
            async with session.get("/v1/models", headers={"x-request-id": "bare-2"}) as response:
                assert response.status == 429
                assert (await response.json())["error"] == {
                    "message": MESSAGE,
                    "type": "invalid_request_error",
                    "param": None,
                    "code": "resource_exhausted",
                    "request_id": "bare-2",
                }
    finally:
        await server.stop(None)
