"""A lane: one connection to Redis that carries one exchange at a time.

A reply belongs to a command only by its place in the order. Whoever stops reading in the middle leaves replies behind
that the next one takes for its own. So a lane is driven by its own task and never by a caller: a caller that is
cancelled leaves, the exchange goes on; and an exchange that breaks off, for whatever reason, takes the connection with
it.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import AuthenticationError, NoScriptError, RedisError, ResponseError

from services.cache.stores.redis import scripts
from services.runtime.errors import StoreUnavailable

log = logging.getLogger(__name__)

_GRACE_SECONDS: Final = 0.25
"""A command is given this long to end in step, even when nobody waits for it any more."""

Command = tuple[bytes, ...]
Reply = object
"""What the parser returns, or a StoreUnavailable in place of a reply that was an error."""


class _Stale(Exception):
    """A connection that had worked before turned out closed: worth one try on a new one."""


class Health:
    """Says in the log when Redis is lost and when it is back: once each, not once a call."""

    def __init__(self) -> None:
        self._lost = False

    def lost(self, reason: str) -> StoreUnavailable:
        if not self._lost:
            self._lost = True
            log.warning("redis is lost", extra={"reason": reason})
        return StoreUnavailable("the cache's Redis does not answer now; try again")

    def back(self) -> None:
        if self._lost:
            self._lost = False
            log.warning("redis is back")


class Lane:
    """One connection, opened when first needed and after every loss."""

    def __init__(self, pool: ConnectionPool, health: Health) -> None:
        self._pool = pool
        self._health = health
        self._connection: AbstractConnection | None = None
        self._used = False
        self._read_script = self._write_script = b""

    async def carry(self, build: Callable[["Lane"], Sequence[Command]], until: float) -> list[Reply]:
        """Sends the commands that `build` makes, in one piece, and returns a reply for each.

        `until`, on the loop's clock: when the last caller has left. All commands of this service can be repeated
        without harm, so a connection that had worked and turns out closed is replaced and the commands are sent once
        more. Raises StoreUnavailable; the outcome of the commands is open then.
        """
        # Replacing a connection costs more than a moment's patience with it, and callers in a hurry would otherwise
        # never let one be made.
        grace = asyncio.get_running_loop().time() + _GRACE_SECONDS
        try:
            async with asyncio.timeout_at(max(until, grace)):
                try:
                    return await self._once(build)
                except _Stale:
                    return await self._once(build)
        except TimeoutError as error:
            raise self._health.lost("it did not answer in time") from error
        except _Stale as error:
            raise self._health.lost(str(error)) from error

    def read(self, keys: Sequence[bytes], budget: int) -> Command:
        """The command that reads as many of the keys as fit into `budget` bytes, at least one."""
        return (b"EVALSHA", self._read_script, b"%d" % len(keys), *keys, b"%d" % budget)

    def write(self, values: Sequence[tuple[bytes, bytes]], ttl_ms: int) -> Command:
        """The command that stores values."""
        if len(values) == 1:
            key, value = values[0]
            return (b"SET", key, value, b"PX", b"%d" % ttl_ms)
        keys, contents = zip(*values, strict=True)
        return (b"EVALSHA", self._write_script, b"%d" % len(values), *keys, b"%d" % ttl_ms, *contents)

    async def _once(self, build: Callable[["Lane"], Sequence[Command]]) -> list[Reply]:
        connection = await self._ready()
        # Only now are the scripts' digests known.
        return await self._exchange(connection, build(self))

    async def _ready(self) -> AbstractConnection:
        """Connects, unless connected, and makes the scripts known."""
        if self._connection is not None:
            return self._connection
        connection: AbstractConnection = self._pool.connection_class(**self._pool.connection_kwargs)
        self._connection, self._used = connection, False
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            self._read_script, self._write_script = [
                await self._load(connection, script) for script in (scripts.READ, scripts.WRITE)
            ]
        except BaseException as error:
            # Neither authenticated nor scripted: of no use to anybody.
            await self.close()
            if isinstance(error, AuthenticationError):
                raise self._health.lost("it refused the credentials") from error
            if isinstance(error, (RedisError, OSError)):
                raise self._health.lost(type(error).__name__) from error
            raise
        return connection

    async def _exchange(self, connection: AbstractConnection, commands: Sequence[Command]) -> list[Reply]:
        replies: list[Reply] = []
        try:
            await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            for _ in commands:
                try:
                    replies.append(await connection.read_response(disconnect_on_error=False))
                except NoScriptError:
                    # Only somebody who empties the script cache does this. The next connection loads the scripts again.
                    await self.close()
                    raise _Stale("scripts were flushed") from None
                except ResponseError as error:
                    # The reply was read whole: the connection is in step.
                    replies.append(self._refused(error))
        except (RedisError, OSError) as error:
            was_used = self._used
            await self.close()
            if was_used and not replies:
                raise _Stale(type(error).__name__) from error
            raise self._health.lost(type(error).__name__) from error
        except BaseException:
            # Cancelled, by the time limit or at the end of the service: there may be replies on their way.
            await self.close()
            raise
        self._used = True
        self._health.back()
        return replies

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _load(self, connection: AbstractConnection, script: bytes) -> bytes:
        await connection.send_command(b"SCRIPT", b"LOAD", script, check_health=False)
        digest = await connection.read_response()
        return digest if isinstance(digest, bytes) else str(digest).encode()

    def _refused(self, error: ResponseError) -> StoreUnavailable:
        # The first word is Redis's error code (OOM, NOPERM, READONLY …); what follows may quote a key.
        code = str(error).split(" ", 1)[0][:32]
        log.warning("redis refused a command", extra={"reason": type(error).__name__, "redis_code": code})
        return StoreUnavailable("the cache's Redis refused the command; its operator finds the reason in the log")
