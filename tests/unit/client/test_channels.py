"""What every call of a channel brings along, seen from a real server."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf import struct_pb2

from pergola import NotReachable, aio_channel, channel, translated

KINDS = ["unary_unary", "unary_stream", "stream_unary", "stream_stream"]


class _Seen(grpc.GenericRpcHandler):
    """Answers any call with what it brought: its time left and its authorization."""

    def service(self, handler_call_details: Any) -> Any:
        kind = handler_call_details.method.rpartition("/")[2]

        def seen(context: Any) -> struct_pb2.Struct:
            answer = struct_pb2.Struct()
            answer["left"] = context.time_remaining()
            answer["authorization"] = dict(context.invocation_metadata()).get("authorization", "")
            answer["extra"] = dict(context.invocation_metadata()).get("extra", "")
            return answer

        async def one(request: Any, context: Any) -> struct_pb2.Struct:
            return seen(context)

        async def many(request: Any, context: Any) -> AsyncIterator[struct_pb2.Struct]:
            yield seen(context)

        make = getattr(grpc, f"{kind}_rpc_method_handler")
        return make(
            many if kind.endswith("stream") else one,
            request_deserializer=struct_pb2.Struct.FromString,
            response_serializer=struct_pb2.Struct.SerializeToString,
        )


@pytest_asyncio.fixture(scope="module")
async def server() -> AsyncIterator[str]:
    running = grpc.aio.server()
    running.add_generic_rpc_handlers((_Seen(),))
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    yield f"http://127.0.0.1:{port}"
    await running.stop(None)


@pytest.fixture(autouse=True)
def proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for 127.0.0.1, these would refuse."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)


def stub(on: Any, kind: str) -> Any:
    return getattr(on, kind)(
        f"/test.Seen/{kind}",
        request_serializer=struct_pb2.Struct.SerializeToString,
        response_deserializer=struct_pb2.Struct.FromString,
    )


def call(url: str, kind: str, settings: dict[str, Any], **options: Any) -> Any:
    """One call on the synchronous channel."""
    with channel(url, **settings) as opened:
        request: Any = struct_pb2.Struct()
        answer = stub(opened, kind)(iter([request]) if kind.startswith("stream") else request, **options)
        return next(iter(answer)) if kind.endswith("_stream") else answer


async def aio_call(url: str, kind: str, settings: dict[str, Any], **options: Any) -> Any:
    """The same on the asyncio channel."""
    async with aio_channel(url, **settings) as opened:
        request: Any = struct_pb2.Struct()
        answer = stub(opened, kind)(iter([request]) if kind.startswith("stream") else request, **options)
        if kind.endswith("_stream"):
            return await anext(aiter(answer))
        return await answer


async def either(face: str, url: str, kind: str, settings: dict[str, Any], **options: Any) -> Any:
    if face == "aio":
        return await aio_call(url, kind, settings, **options)
    return await asyncio.to_thread(call, url, kind, settings, **options)


@pytest.mark.parametrize("face", ["sync", "aio"])
@pytest.mark.parametrize("kind", KINDS)
async def test_every_call_brings_the_key_and_a_deadline(server: str, face: str, kind: str) -> None:
    settings = {"api_key": "k-1", "timeout": 20.0, "stream_timeout": 200.0}
    seen = await either(face, server, kind, settings, metadata=(("extra", "mine"),))
    assert seen["authorization"] == "Bearer k-1"
    assert seen["extra"] == "mine", "the caller's own metadata go along"
    limit = 20.0 if kind == "unary_unary" else 200.0
    assert limit / 2 < seen["left"] < limit * 1.1, "on the wire a deadline is rounded up"


@pytest.mark.parametrize("face", ["sync", "aio"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_timeout_of_its_own_counts(server: str, face: str, kind: str) -> None:
    seen = await either(face, server, kind, {}, timeout=7.0)
    assert 3.5 < seen["left"] < 7.7
    assert seen["authorization"] == ""


@pytest.mark.parametrize("face", ["sync", "aio"])
async def test_the_key_may_come_from_the_environment(server: str, face: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERGOLA_API_KEY", "from-the-environment")
    monkeypatch.setenv("PERGOLA_URL", server)
    seen = await either(face, "", "unary_unary", {})
    assert seen["authorization"] == "Bearer from-the-environment"


@pytest.mark.parametrize("face", ["sync", "aio"])
async def test_nothing_at_the_address_is_not_reachable(face: str) -> None:
    with pytest.raises(NotReachable), translated():
        await either(face, "http://127.0.0.1:9", "unary_unary", {})
