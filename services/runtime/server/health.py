"""`grpc.health.v1`: whether this process, and each service in it, takes calls."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.errors import NotFound
from services.runtime.policy import Policy
from services.runtime.roles import Role

SERVICE: Final = "grpc.health.v1.Health"
POLICIES: Final = {
    name: Policy(role=Role.READER, deadline=deadline, open=True, routine=True)
    for name, deadline in (("Check", 5.0), ("Watch", None))
}
"""Orchestrators and load balancers have no credentials."""

_Status = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """One state for all services of the process: they start, drain and fail together. "" is the process itself."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = {"", *services}
        self._serving = False
        self._changed = asyncio.Event()

    def set(self, serving: bool) -> None:
        self._serving = serving
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    @property
    def serving(self) -> bool:
        return self._serving

    def _status(self, service: str) -> Any:
        if service not in self._services:
            return _Status.SERVICE_UNKNOWN
        return _Status.SERVING if self._serving else _Status.NOT_SERVING

    async def Check(self, request: Any, _context: Any) -> Any:
        if request.service not in self._services:
            raise NotFound(f"no service {request.service[:100]} here; reflection lists those there are")
        return _Status(status=self._status(request.service))

    async def Watch(self, request: Any, _context: Any) -> AsyncIterator[Any]:
        last = None
        while True:
            changed, status = self._changed, self._status(request.service)
            if status != last:
                last = status
                yield _Status(status=status)
            await changed.wait()


def add(servicer: object, server: Any) -> None:
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
