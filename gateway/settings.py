"""What the gateway's configuration is made from: PERGOLA_GATEWAY_*, and the addresses every part shares."""

import re
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from services.runtime.settings import Address, Addresses, Settings, is_loopback

SERVICES: Final = ("chat", "vector", "graph", "cache")
"""The service processes the gateway talks to, each over gRPC."""

_SOCKET_PATH_BYTES: Final = 103  # the shorter limit: macOS; Linux takes 107
_HOST = re.compile(r"(\*\.)?[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*")
_ORIGIN = re.compile(r"https?://[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*(:[0-9]{1,5})?")


class GatewaySettings(Settings, frozen=True, kw_only=True):
    """Settings of the gateway."""

    listen: Annotated[Address, Meta(description="host:port of the one listener.")] = "127.0.0.1:8080"
    metrics_listen: Annotated[
        Address | None, Meta(description="host:port where Prometheus reads /metrics; unset: no such listener.")
    ] = None
    admin_socket: Annotated[
        str,
        Meta(
            min_length=1,
            description="Unix socket of Envoy's admin interface (mode 0600), at most 103 bytes. A relative path starts "
            "at Envoy's working directory.",
        ),
    ] = "gateway-admin.sock"
    descriptors: Annotated[
        Path | None, Meta(description="Descriptor set of the contracts. Unset: build/pergola.binpb in the checkout.")
    ] = None
    callers_file: Annotated[
        Path | None, Meta(description="Who may call. Unset: the gateway listens on loopback addresses only.")
    ] = None
    tls_certificate_file: Annotated[
        Path | None,
        Meta(description="PEM chain of the listener, also shown to the services. Unset: plain text."),
    ] = None
    tls_key_file: Annotated[Path | None, Meta(description="PEM private key of tls_certificate_file.")] = None
    tls_peer_ca_file: Annotated[
        Path | None, Meta(description="PEM of the CA that signs the services; set: they are called over TLS.")
    ] = None
    tls_peer_name: Annotated[
        str | None, Meta(description="Name expected in a service's certificate, if it is not the host of its address.")
    ] = None

    chat_address: Annotated[Addresses, Meta(description="host:port of chat; commas: replicas.")]
    vector_address: Annotated[Addresses, Meta(description="host:port of vector; commas: replicas.")]
    graph_address: Annotated[Addresses, Meta(description="host:port of graph; commas: replicas.")]
    cache_address: Annotated[Addresses, Meta(description="host:port of cache; commas: replicas.")]
    edge_address: Annotated[Addresses, Meta(description="host:port of the WebSocket edge; commas: replicas.")]

    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Host names accepted besides localhost, 127.0.0.1 and [::1], without port; `*.example.com` is "
            "every name below example.com."
        ),
    ] = ()
    allowed_origins: Annotated[
        tuple[str, ...],
        Meta(description="Origins whose pages may call, as https://app.example.com; the gateway's own always may."),
    ] = ()

    unary_deadline_seconds: Annotated[
        float, Meta(ge=0.1, le=86_400, description="Seconds given to a unary call that brings no deadline.")
    ] = 30.0
    unary_deadline_limit_seconds: Annotated[
        float, Meta(ge=0.1, le=86_400, description="Most seconds a unary call may ask for; more is cut to this.")
    ] = 300.0
    stream_deadline_seconds: Annotated[
        float, Meta(ge=0.1, le=86_400, description="Seconds given to a streaming call that brings no deadline.")
    ] = 600.0
    stream_deadline_limit_seconds: Annotated[
        float, Meta(ge=0.1, le=86_400, description="Most seconds a streaming call may ask for; more is cut to this.")
    ] = 3600.0
    method_deadline_seconds: Annotated[
        dict[str, Annotated[float, Meta(ge=0.001, le=86_400)]],
        Meta(
            description='Deadlines of single RPCs, as JSON: {"pergola.vector.v1.DocumentService/BuildIndex": 120}. '
            "They replace the default and, where longer, the limit. Default: 600 for a whole answer of "
            "pergola.chat.v1.ChatService/Chat, which takes a model as long as a streamed one."
        ),
    ] = msgspec.field(default_factory=lambda: {"pergola.chat.v1.ChatService/Chat": 600.0})
    deadline_grace_seconds: Annotated[
        float,
        Meta(ge=0.1, le=60, description="Seconds beyond a deadline that the service's own answer may take to arrive."),
    ] = 1.0
    idle_timeout_seconds: Annotated[
        float, Meta(ge=1, le=86_400, description="Seconds a stream may be silent in both directions.")
    ] = 300.0

    max_body_bytes: Annotated[int, Meta(ge=1024, le=2**30, description="Largest request body on /api and /v1.")] = (
        16 * 2**20
    )
    max_upload_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            le=2**30,
            description="Largest file on the routes that take one as their body; the service has a limit of its own.",
        ),
    ] = 100 * 2**20
    max_response_bytes: Annotated[
        int, Meta(ge=1024, le=2**30, description="Largest response of a unary call on /api and /v1.")
    ] = 64 * 2**20
    max_connections: Annotated[
        int, Meta(ge=1, le=10_000_000, description="Connections held at once; more are closed on arrival.")
    ] = 10_000
    max_streams: Annotated[
        int, Meta(ge=1, le=100_000, description="Requests under way at once on one HTTP/2 connection.")
    ] = 256
    max_heap_mb: Annotated[
        int, Meta(ge=64, le=2**20, description="Memory in MiB; from 95% of it on new requests are answered with 503.")
    ] = 1024
    health_interval_seconds: Annotated[
        float, Meta(ge=0.1, le=60, description="Seconds between two health checks of an address.")
    ] = 1.0

    def problems(self) -> list[str]:
        """What is wrong with the fields together."""
        found = []
        if self.callers_file is None:
            for name, value in (("listen", self.listen), ("metrics_listen", self.metrics_listen)):
                if value is not None and not is_loopback(value):
                    found.append(f"{name}: only a loopback address is allowed without callers_file")
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            found.append("tls_certificate_file and tls_key_file: both or neither")
        if self.tls_peer_name is not None and self.tls_peer_ca_file is None:
            found.append("tls_peer_name: needs tls_peer_ca_file")
        files = ("descriptors", "callers_file", "tls_certificate_file", "tls_key_file", "tls_peer_ca_file")
        for name, path in ((name, getattr(self, name)) for name in files):
            if path is not None and not path.is_file():
                found.append(f"{name}: there is no file {path}")
        if len(self.admin_socket.encode()) > _SOCKET_PATH_BYTES:
            found.append(f"admin_socket: longer than {_SOCKET_PATH_BYTES} bytes; take a shorter or a relative path")
        found.extend(
            f"allowed_hosts: {host!r} is no host name; write app.example.com or *.example.com, in lower case"
            for host in self.allowed_hosts
            if not _HOST.fullmatch(host)
        )
        found.extend(
            f"allowed_origins: {origin!r} is no origin; write https://app.example.com, in lower case, without a path"
            for origin in self.allowed_origins
            if not _ORIGIN.fullmatch(origin)
        )
        if self.unary_deadline_seconds > self.unary_deadline_limit_seconds:
            found.append("unary_deadline_seconds: longer than unary_deadline_limit_seconds")
        if self.stream_deadline_seconds > self.stream_deadline_limit_seconds:
            found.append("stream_deadline_seconds: longer than stream_deadline_limit_seconds")
        return found
