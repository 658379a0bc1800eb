"""Redis as the level that all replicas share."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from redis.asyncio.connection import ConnectionPool

from services.cache.store import Stored
from services.cache.stores.redis.lane import Health, Lane
from services.cache.stores.redis.reads import Reads
from services.cache.stores.redis.writes import RedisWrite, Writes


class RedisStore:
    """Implements `services.cache.store.Store`. Connections are opened when first needed: Redis may come up later."""

    def __init__(self, reads: Reads, writes: Writes) -> None:
        self._reads = reads
        self._writes = writes

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, password: str | None, *, timeout: float, read_connections: int
    ) -> AsyncIterator["RedisStore"]:
        """A store on the instance at `url`; `timeout` is the most seconds any command may take, connecting included."""
        # The pool itself is not used: it only knows what kind of connection belongs to the URL. Time limits are the
        # lanes', so that one clock decides.
        pool = ConnectionPool.from_url(
            url,
            password=password,
            socket_timeout=None,
            socket_connect_timeout=None,
            socket_keepalive=True,
            client_name="pergola-cache",
            driver_info=None,
        )
        health = Health()
        lanes = [Lane(pool, health) for _ in range(read_connections + 1)]
        store = cls(Reads(lanes[1:], timeout), Writes(lanes[0], timeout))
        try:
            yield store
        finally:
            await store._reads.close()
            await store._writes.close()
            for lane in lanes:
                await lane.close()

    async def read(self, key: bytes) -> Stored | None:
        return await self._reads.read(key)

    async def read_many(self, keys: Sequence[bytes], max_bytes: int) -> list[Stored | None]:
        return await self._reads.read_many(keys, max_bytes)

    def set(self, values: Sequence[tuple[bytes, bytes]], ttl_ms: int) -> RedisWrite:
        return self._writes.begin(lambda lane: lane.write(values, ttl_ms))

    def delete(self, key: bytes) -> RedisWrite:
        return self._writes.begin(lambda _: (b"UNLINK", key))
