"""What a service is given to assemble itself from: its settings, channels to its peers, background tasks."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

import grpc
from prometheus_client import CollectorRegistry

from services.runtime.channels import PeerChannel, connect
from services.runtime.identity import DEFAULT_TENANT, CallersWatch
from services.runtime.settings import ServiceSettings

log = logging.getLogger(__name__)

S = TypeVar("S", bound=ServiceSettings)
T = TypeVar("T")


class Runtime(Generic[S]):
    """What a service is given to assemble itself from."""

    def __init__(self, service: str, settings: S, callers: CallersWatch | None = None) -> None:
        self._callers = callers
        self.service = service
        self.settings = settings
        self.metrics = CollectorRegistry()
        """A service's own Prometheus metrics; read at `metrics_listen` with the runtime's."""
        self._channels: dict[str, PeerChannel] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        """Holds the exception of the first background task that died."""

    def tenants(self) -> frozenset[str]:
        """The tenants that callers are listed for now; callers that may act for any (`*`) name none."""
        return frozenset({DEFAULT_TENANT}) if self._callers is None else self._callers.now.tenants

    def connect(self, peer: str) -> grpc.aio.Channel:
        """The channel to `cache`, `vector`, `graph` or `chat`, shared by all of this process. Closed with it.

        Raises:
            SettingsError: the settings hold no address, or no credentials, for this peer.
        """
        if peer not in self._channels:
            self._channels[peer] = connect(peer, self.settings)
        return self._channels[peer]

    def spawn(self, coro: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run `coro` in the background until the process stops.

        If it raises, the process can't do its job: that is logged, the health check says NOT_SERVING, and the process
        drains and exits with 1. One that only returns is finished, and that is fine.
        """
        task = asyncio.get_running_loop().create_task(coro, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.critical("the background task %s died", task.get_name(), exc_info=error)
            if not self.failed.done():
                self.failed.set_result(error)

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for channel in self._channels.values():
            await channel.close()
