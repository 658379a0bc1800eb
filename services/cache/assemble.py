"""Puts the cache service together."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from pergola.cache.v1 import cache_pb2, cache_pb2_grpc
from services.cache.cache import Cache
from services.cache.handlers.cache_service import CacheHandlers
from services.cache.memory import Memory
from services.cache.settings import CacheSettings
from services.cache.stores.redis import RedisStore
from services.runtime.start import Runtime, Servicer


@asynccontextmanager
async def assemble(settings: CacheSettings, runtime: Runtime[CacheSettings]) -> AsyncIterator[Sequence[Servicer]]:
    """Redis need not be up yet: calls say STORE_UNAVAILABLE until it is."""
    memory = Memory(max_bytes=settings.memory_max_bytes, max_entries=settings.memory_max_entries)
    password = settings.redis_password.reveal() if settings.redis_password is not None else None
    async with RedisStore.open(
        settings.redis_values_url,
        password,
        timeout=settings.redis_timeout_seconds,
        read_connections=settings.redis_read_connections,
    ) as store:
        cache = Cache(store, memory, settings.limits)
        runtime.metrics.register(cache.meters)
        yield [
            Servicer(
                cache_pb2.DESCRIPTOR.services_by_name["CacheService"].full_name,
                CacheHandlers(cache),
                cache_pb2_grpc.add_CacheServiceServicer_to_server,
            )
        ]
