"""Kept answers in the cache service. Satisfies `AnswerStore`."""

from typing import Final

import grpc
from google.protobuf.duration_pb2 import Duration

from pergola.cache.v1 import cache_pb2, cache_pb2_grpc
from services.chat.peers.errors import translated

NAMESPACE: Final = "chat-answers"
SECONDS: Final = 2.0
"""A kept answer that takes longer to find is not worth the wait."""


class CacheAnswers:
    """Values of the namespace `chat-answers`, kept for `ttl` seconds."""

    def __init__(self, channel: grpc.aio.Channel, ttl: float) -> None:
        self._stub = cache_pb2_grpc.CacheServiceStub(channel)
        self._ttl = Duration()
        self._ttl.FromMilliseconds(int(ttl * 1000))

    async def get(self, key: str) -> bytes | None:
        request = cache_pb2.GetRequest(namespace=NAMESPACE, key=key)
        try:
            response = await self._stub.Get(request, timeout=SECONDS)
        except grpc.RpcError as error:
            raise translated(error, "cache", SECONDS) from None
        return response.entry.value.data if response.HasField("entry") else None

    async def put(self, key: str, value: bytes) -> None:
        request = cache_pb2.SetRequest(namespace=NAMESPACE, key=key, value=cache_pb2.Value(data=value), ttl=self._ttl)
        try:
            await self._stub.Set(request, timeout=SECONDS)
        except grpc.RpcError as error:
            raise translated(error, "cache", SECONDS) from None
