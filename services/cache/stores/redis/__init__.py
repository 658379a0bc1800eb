"""The second level on Redis or Valkey."""

from services.cache.stores.redis.store import RedisStore

__all__ = ["RedisStore"]
