"""A replica of the cache service in this process, on the real Valkey."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from redis.asyncio import Redis

from pergola.cache.v1 import cache_pb2, cache_pb2_grpc
from services.cache.assemble import assemble
from services.cache.settings import CacheSettings
from services.runtime.settings import load
from services.runtime.start import serving
from tests.stacks import Stores


class Replica:
    """Shorthands for the calls of one namespace."""

    def __init__(self, address: str, channel: grpc.aio.Channel, namespace: str) -> None:
        self.address = address
        self.stub: Any = cache_pb2_grpc.CacheServiceStub(channel)
        self.namespace = namespace

    async def set(self, key: str, text: str, timeout: float | None = None, **fields: Any) -> None:
        value = cache_pb2.Value(text=text)
        request = cache_pb2.SetRequest(namespace=self.namespace, key=key, value=value, **fields)
        await self.stub.Set(request, timeout=timeout)

    async def get(self, key: str, timeout: float | None = None) -> str | None:
        reply = await self.stub.Get(cache_pb2.GetRequest(namespace=self.namespace, key=key), timeout=timeout)
        return reply.entry.value.text if reply.HasField("entry") else None

    async def delete(self, key: str, timeout: float | None = None) -> bool:
        request = cache_pb2.DeleteRequest(namespace=self.namespace, key=key)
        return bool((await self.stub.Delete(request, timeout=timeout)).deleted)

    async def get_many(self, *keys: str) -> dict[str, str]:
        reply = await self.stub.GetMany(cache_pb2.GetManyRequest(namespace=self.namespace, keys=keys))
        return {entry.key: entry.value.text for entry in reply.entries}

    async def set_many(self, values: dict[str, str]) -> None:
        entries = [cache_pb2.SetManyEntry(key=key, value=cache_pb2.Value(text=text)) for key, text in values.items()]
        await self.stub.SetMany(cache_pb2.SetManyRequest(namespace=self.namespace, entries=entries))


@contextlib.asynccontextmanager
async def replica(stores: Stores, namespace: str, **settings: str) -> AsyncIterator[Replica]:
    """`settings`: of the cache service, in lower case, over those the supervisor would give it."""
    environ = (
        stores.environ("cache")
        | {"PERGOLA_LOG_LEVEL": "warning"}
        | {f"PERGOLA_CACHE_{name.upper()}": value for name, value in settings.items()}
    )
    for name in ("LISTEN", "METRICS_LISTEN"):
        environ.pop(f"PERGOLA_CACHE_{name}", None)
    running = serving("cache", load(CacheSettings, "cache", environ), assemble)
    async with running as service, grpc.aio.insecure_channel(service.address) as channel:
        yield Replica(service.address, channel, namespace)


def redis_client(stores: Stores) -> "Redis":
    """The instance itself, past the service. Use it in `async with`."""
    url, password = redis_of(stores)
    return Redis.from_url(url, password=password)


def redis_of(stores: Stores) -> tuple[str, str]:
    """URL and password of the instance for values."""
    environ = stores.environ("cache")
    return environ["PERGOLA_REDIS_VALUES_URL"], Path(environ["PERGOLA_REDIS_PASSWORD_FILE"]).read_text().strip()


def reason(error: grpc.RpcError) -> str:
    """The reason in the ErrorInfo of a failed call."""
    trailing: Any = error.trailing_metadata() or ()
    packed = next(value for key, value in trailing if key == "grpc-status-details-bin")
    info = error_details_pb2.ErrorInfo()
    for detail in status_pb2.Status.FromString(packed).details:
        if detail.Unpack(info):
            return str(info.reason)
    raise AssertionError("the status has no ErrorInfo")
