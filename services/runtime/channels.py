"""Channels to the other services: balanced, retried once at most, and carrying what the current call knows.

Every call made here takes along the time that is left, the request id, the tenant, the trace and this service's own
credentials; it never outlives the call that made it. The stubs are handed multi-callables that add this and nothing
else: grpc.aio's client interceptors would wrap every call in three more tasks.
"""

import ipaddress
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc

from services.runtime import call, contracts
from services.runtime.errors import DeadlineExceeded
from services.runtime.settings import ServiceSettings, SettingsError

_MAX_TOKENS: Final = 10
"""The retry budget: each failure takes a token, each success gives 0.1 back, and below half nothing is retried."""


def service_config(peer: str) -> str:
    """gRPC's service config for `peer`: round robin, and the one retry of the methods that may be repeated."""
    names = [
        {"service": service.full_name, "method": method.name}
        for service in contracts.services_of(peer)
        for method in service.methods
        if contracts.idempotent(method) and not method.client_streaming
    ]
    config: dict[str, Any] = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "retryThrottling": {"maxTokens": _MAX_TOKENS, "tokenRatio": 0.1},
    }
    if names:
        config["methodConfig"] = [
            {
                "name": names,
                "retryPolicy": {
                    "maxAttempts": 2,
                    "initialBackoff": "0.02s",
                    "maxBackoff": "0.1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    return json.dumps(config)


def targets(addresses: str) -> list[str]:
    """gRPC targets for `host:port[,host:port…]`.

    A list of IP addresses is one target, within which gRPC balances and retries. gRPC resolves only one name a
    channel, so of a list with names each entry is a target of its own, and `PeerChannel` goes around them.
    """
    entries = [entry.strip() for entry in addresses.split(",") if entry.strip()]
    versions = [_ip_version(entry) for entry in entries]
    if all(version == 4 for version in versions):
        return ["ipv4:" + ",".join(entries)]
    if all(version == 6 for version in versions):
        return ["ipv6:" + ",".join(entries)]
    return [f"dns:///{entry}" for entry in entries]


def _ip_version(entry: str) -> int | None:
    try:
        return ipaddress.ip_address(entry.rpartition(":")[0].strip("[]")).version
    except ValueError:
        return None


def connect(peer: str, settings: ServiceSettings) -> "PeerChannel":
    """A channel to `peer` as the settings describe it. Needs a running event loop.

    Raises:
        SettingsError: the peer has no address, or callers are configured and this service has no credentials.
    """
    addresses: str | None = getattr(settings, f"{peer}_address", None)
    if not addresses:
        raise SettingsError(f"PERGOLA_{peer.upper()}_ADDRESS: is required, this service calls {peer}")
    if settings.callers_file is not None and settings.service_key is None and settings.tls_certificate_file is None:
        raise SettingsError("service_key: is required where callers are configured and other services are called")
    options: list[tuple[str, Any]] = [
        ("grpc.service_config", service_config(peer)),
        # With http_proxy in the environment every call to a neighbour would go to the proxy, and fail.
        ("grpc.enable_http_proxy", 0),
        # What a name server's TXT records say is not for us to obey.
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 5_000),
    ]
    credentials = _credentials(settings)
    if settings.tls_peer_name is not None:
        options.append(("grpc.ssl_target_name_override", settings.tls_peer_name))
    channels = [
        grpc.aio.insecure_channel(target, options=options)
        if credentials is None
        else grpc.aio.secure_channel(target, credentials, options=options)
        for target in targets(addresses)
    ]
    key = settings.service_key.reveal() if settings.service_key is not None else None
    return PeerChannel(channels, key)


def _credentials(settings: ServiceSettings) -> grpc.ChannelCredentials | None:
    if settings.tls_peer_ca_file is None:
        return None
    return grpc.ssl_channel_credentials(
        root_certificates=settings.tls_peer_ca_file.read_bytes(),
        private_key=settings.tls_key_file.read_bytes() if settings.tls_key_file else None,
        certificate_chain=settings.tls_certificate_file.read_bytes() if settings.tls_certificate_file else None,
    )


class PeerChannel(grpc.aio.Channel):
    """One logical channel over one gRPC channel a target. Stubs take it like any other."""

    def __init__(self, channels: Sequence[grpc.aio.Channel], service_key: str | None) -> None:
        self._channels = list(channels)
        self._next = 0
        self._fixed: tuple[tuple[str, str], ...] = ()
        if service_key is not None:
            self._fixed = (("authorization", f"Bearer {service_key}"),)

    def pick(self) -> int:
        """The index of the next channel; one whose connection is broken is passed over while another is not."""
        if len(self._channels) == 1:
            return 0
        start, self._next = self._next, (self._next + 1) % len(self._channels)
        for step in range(len(self._channels)):
            index = (start + step) % len(self._channels)
            state = self._channels[index].get_state(try_to_connect=True)
            if state not in (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN):
                return index
        return start

    def metadata(self, given: Any) -> list[tuple[str, Any]]:
        """The metadata of an outgoing call."""
        entries: list[tuple[str, Any]] = [*self._fixed, *(given or ())]
        current = call.find()
        if current is not None:
            entries.append(("x-request-id", current.request_id))
            entries.append(("x-pergola-tenant", current.tenant))
            if current.traceparent:
                entries.append(("traceparent", current.traceparent))
                if current.tracestate:
                    entries.append(("tracestate", current.tracestate))
        return entries

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return _Callable(self, method, [one.unary_unary(method, *args, **kwargs) for one in self._channels], False)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return _Callable(self, method, [one.unary_stream(method, *args, **kwargs) for one in self._channels], True)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return _Callable(self, method, [one.stream_unary(method, *args, **kwargs) for one in self._channels], True)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return _Callable(self, method, [one.stream_stream(method, *args, **kwargs) for one in self._channels], True)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """READY if any target is; else the state of the first."""
        states = [one.get_state(try_to_connect) for one in self._channels]
        return grpc.ChannelConnectivity.READY if grpc.ChannelConnectivity.READY in states else states[0]

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channels[0].wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Returns when the first target is connected."""
        await self._channels[0].channel_ready()

    async def close(self, grace: float | None = None) -> None:
        for one in self._channels:
            await one.close(grace)

    async def __aenter__(self) -> "PeerChannel":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _Callable:
    """A method on a `PeerChannel`, called like grpc.aio's own multi-callables."""

    __slots__ = ("_channel", "_inner", "_method", "_streams")

    def __init__(self, channel: PeerChannel, method: str, inner: Sequence[Callable[..., Any]], streams: bool) -> None:
        self._channel = channel
        self._method = method
        self._inner = inner
        self._streams = streams

    def __call__(self, request: Any = None, *, timeout: float | None = None, metadata: Any = None, **kw: Any) -> Any:
        left = call.remaining()
        if left is not None:
            if left <= 0:
                raise DeadlineExceeded(f"no time was left to call {self._method}")
            timeout = left if timeout is None else min(timeout, left)
        opened = self._inner[self._channel.pick()](
            request, timeout=timeout, metadata=self._channel.metadata(metadata), **kw
        )
        scope = call.scope.get()
        # A unary call is awaited at once, and awaiting tasks cancel it; a stream may be left half read.
        if self._streams and scope is not None:
            scope.adopt(opened)
        return opened
