"""The Python parts: the four services and the WebSocket edge, each `python -m` in a process of its own."""

import sys
from collections.abc import Callable, Mapping

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from local.components.component import Component, Launch, Site
from local.settings import CHECKOUT
from local.system import ports

Wiring = Callable[[str], Mapping[str, str]]
"""Gives the environment of a part's process, by the part's name."""


class PythonPart(Component):
    """A module of this checkout that is run with the interpreter that runs the stack."""

    module: str
    stop_seconds = 30.0

    def __init__(self, site: Site, wiring: Wiring) -> None:
        super().__init__(site)
        self._wiring = wiring

    def launch(self) -> Launch:
        return Launch([sys.executable, "-m", self.module], dict(self._wiring(self.name)), CHECKOUT)


class Service(PythonPart):
    """One of the four gRPC services; ready when its health service says so."""

    def __init__(self, site: Site, wiring: Wiring, name: str, needs: tuple[str, ...]) -> None:
        super().__init__(site, wiring)
        self.name = name
        self.needs = needs
        self.module = f"services.{name}"
        self.port_names = (name, f"{name}-metrics")

    def ready(self) -> bool:
        # A channel that was refused waits a second before it tries again, so the port is tried first.
        if not ports.accepts(self.port):
            return False
        with grpc.insecure_channel(self.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
            try:
                answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1.0)
            except grpc.RpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


class Edge(PythonPart):
    """The WebSocket edge behind the gateway."""

    name = "edge"
    port_names = ("edge",)
    module = "gateway.edge"

    def ready(self) -> bool:
        return ports.accepts(self.port)
