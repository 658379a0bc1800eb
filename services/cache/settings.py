"""Settings of the cache service."""

from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from services.cache.limits import Limits
from services.runtime.settings import Secret, ServiceSettings

_ANSWER_OVERHEAD = 256 * 1024
"""Room in one message beside the values: keys, lengths, times to live."""


class CacheSettings(ServiceSettings, frozen=True, kw_only=True):
    redis_values_url: Annotated[
        str,
        Meta(
            pattern=r"^(redis|rediss|unix)://",
            description="Redis or Valkey for values, an instance that may evict: redis://[user@]host:port/db, "
            "rediss:// over TLS, unix://path.",
        ),
    ]
    redis_password: Annotated[Secret | None, Meta(description="Password of that instance.")] = None
    redis_timeout_seconds: Annotated[
        float,
        Meta(gt=0, le=60, description="Most seconds that a call waits for Redis, however far its deadline is."),
    ] = 2.0
    redis_read_connections: Annotated[
        int, Meta(ge=1, le=64, description="Connections for reads; writes have one, which keeps their order.")
    ] = 2
    staleness_bound_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=60,
            description="Most seconds that a read is behind a write through another replica. 0: every read asks Redis.",
        ),
    ] = 1.0
    memory_max_bytes: Annotated[int, Meta(ge=0, description="Room for values in the process's memory.")] = (
        64 * 1024 * 1024
    )
    memory_max_entries: Annotated[int, Meta(ge=0, description="Most values in the process's memory.")] = 100_000
    default_ttl_seconds: Annotated[
        float,
        Meta(ge=0.001, le=31_622_400, description="Seconds a value lives when its writer does not say."),
    ] = 3600.0
    max_value_bytes: Annotated[
        int, Meta(ge=1, le=512 * 1024 * 1024, description="Largest value; beyond it VALUE_TOO_LARGE.")
    ] = 4 * 1024 * 1024

    def problems(self) -> list[str]:
        found = super().problems()
        try:
            parts = urlsplit(self.redis_values_url)
            if parts.password is not None:
                found.append("redis_values_url: must not hold a password; give it as redis_password")
            _ = parts.port
        except ValueError:
            found.append("redis_values_url: is not a URL")
        if self.max_value_bytes > self.max_message_bytes - _ANSWER_OVERHEAD:
            found.append("max_value_bytes: a value must fit into max_message_bytes with 256 KiB to spare")
        return found

    @property
    def limits(self) -> Limits:
        return Limits(
            staleness_bound=self.staleness_bound_seconds,
            default_ttl_ms=max(1, round(self.default_ttl_seconds * 1000)),
            max_value_bytes=self.max_value_bytes,
            max_answer_bytes=self.max_message_bytes - _ANSWER_OVERHEAD,
        )
