"""Embeddings in the cache service. A cache that is away, slow or full costs nothing but the work it would save."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import grpc

from pergola.cache.v1 import cache_pb2, cache_pb2_grpc
from services.runtime.errors import PergolaError

log = logging.getLogger(__name__)

_NAMESPACE: Final = "embeddings"
_SECONDS: Final = 1.0
_PAUSE: Final = 5.0
"""After a failure the cache is left alone for so long."""
_KEYS: Final = 1000
"""The contract's limit of one call."""


class EmbeddingCache:
    """Vectors by key, in the current call's tenant."""

    def __init__(self, channel: grpc.aio.Channel, ttl_seconds: int) -> None:
        self._stub = cache_pb2_grpc.CacheServiceStub(channel)
        self._ttl = ttl_seconds
        self._paused_until = 0.0

    async def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        """What is there of `keys`; nothing when the cache does not answer."""
        found: dict[str, bytes] = {}
        for first in range(0, len(keys), _KEYS):
            if not self._open():
                break
            request = cache_pb2.GetManyRequest(namespace=_NAMESPACE, keys=keys[first : first + _KEYS])
            try:
                response = await self._stub.GetMany(request, timeout=_SECONDS)
            except (grpc.RpcError, PergolaError) as error:
                self._pause(error)
                break
            found.update((entry.key, entry.value.data) for entry in response.entries)
        return found

    async def set(self, values: dict[str, bytes]) -> None:
        """Stores `values`, or does not."""
        items = list(values.items())
        for first in range(0, len(items), _KEYS):
            if not self._open():
                return
            request = cache_pb2.SetManyRequest(namespace=_NAMESPACE)
            request.ttl.FromSeconds(self._ttl)
            for key, data in items[first : first + _KEYS]:
                request.entries.add(key=key).value.data = data
            try:
                await self._stub.SetMany(request, timeout=_SECONDS)
            except (grpc.RpcError, PergolaError) as error:
                self._pause(error)
                return

    def _open(self) -> bool:
        return asyncio.get_running_loop().time() >= self._paused_until

    def _pause(self, error: Exception) -> None:
        self._paused_until = asyncio.get_running_loop().time() + _PAUSE
        reason = error.code().name if isinstance(error, grpc.aio.AioRpcError) else type(error).__name__
        log.warning("the cache does not serve; embeddings are made without it", extra={"reason": reason})
