"""pergola.cache.v1.CacheService."""

from typing import Any, TypeAlias

import grpc
from google.protobuf import duration_pb2

from pergola.cache.v1 import cache_pb2, cache_pb2_grpc
from services.cache.address import address
from services.cache.cache import Cache
from services.cache.handlers.values import value_from, value_to
from services.cache.value import Entry
from services.runtime.call import current

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class CacheHandlers(cache_pb2_grpc.CacheServiceServicer):
    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def Get(self, request: cache_pb2.GetRequest, _context: Context) -> cache_pb2.GetResponse:
        entry = await self._cache.get(address(current().tenant, request.namespace, request.key))
        if entry is None:
            return cache_pb2.GetResponse()
        return cache_pb2.GetResponse(entry=_entry(request.key, entry))

    async def Set(self, request: cache_pb2.SetRequest, _context: Context) -> cache_pb2.SetResponse:
        value = value_from(request.value, "value")
        key = address(current().tenant, request.namespace, request.key)
        await self._cache.set([(key, value)], _ttl(request))
        return cache_pb2.SetResponse()

    async def Delete(self, request: cache_pb2.DeleteRequest, _context: Context) -> cache_pb2.DeleteResponse:
        deleted = await self._cache.delete(address(current().tenant, request.namespace, request.key))
        return cache_pb2.DeleteResponse(deleted=deleted)

    async def GetMany(self, request: cache_pb2.GetManyRequest, _context: Context) -> cache_pb2.GetManyResponse:
        tenant = current().tenant
        keys = list(request.keys)
        entries = await self._cache.get_many([address(tenant, request.namespace, key) for key in keys])
        found = zip(keys, entries, strict=True)
        return cache_pb2.GetManyResponse(entries=[_entry(key, entry) for key, entry in found if entry is not None])

    async def SetMany(self, request: cache_pb2.SetManyRequest, _context: Context) -> cache_pb2.SetManyResponse:
        tenant = current().tenant
        values = [
            (address(tenant, request.namespace, entry.key), value_from(entry.value, f"entries[{index}].value"))
            for index, entry in enumerate(request.entries)
        ]
        await self._cache.set(values, _ttl(request))
        return cache_pb2.SetManyResponse()


def _ttl(request: cache_pb2.SetRequest | cache_pb2.SetManyRequest) -> int | None:
    """Milliseconds, rounded up; None when the request leaves it to the service."""
    if not request.HasField("ttl"):
        return None
    return request.ttl.seconds * 1000 + -(-request.ttl.nanos // 1_000_000)


def _entry(key: str, entry: Entry) -> cache_pb2.Entry:
    ttl = None
    if entry.ttl_ms is not None:
        seconds, milliseconds = divmod(entry.ttl_ms, 1000)
        ttl = duration_pb2.Duration(seconds=seconds, nanos=milliseconds * 1_000_000)
    return cache_pb2.Entry(key=key, value=value_to(entry.value), ttl=ttl)
