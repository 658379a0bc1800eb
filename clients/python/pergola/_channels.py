"""gRPC channels to Pergola, for the generated stubs.

Both kinds send the key, give every call a deadline, and go past the proxies of the environment when Pergola is on this
machine: with `http_proxy` set, gRPC would ask the proxy for 127.0.0.1.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import grpc

from pergola import _address

UNARY_SECONDS: Final = 30.0
STREAM_SECONDS: Final = 600.0
_MAX_MESSAGE: Final = 32 * 1024 * 1024


def channel(
    url: str | None = None,
    *,
    api_key: str | None = None,
    timeout: float = UNARY_SECONDS,
    stream_timeout: float = STREAM_SECONDS,
    ca_file: str | os.PathLike[str] | None = None,
) -> grpc.Channel:
    """A channel for the synchronous stubs. Close it, or use it in a `with` block.

    url: http(s)://host:port of the gateway or of one service; None: see docs/client.md.
    api_key: None: PERGOLA_API_KEY, if set.
    timeout, stream_timeout: seconds given to a call that brings no timeout of its own.
    ca_file: PEM of the authorities to trust for https; None: PERGOLA_CA_FILE, else gRPC's own.
    """
    address = _address.find(url)
    options = _options(address)
    if address.tls:
        plain = grpc.secure_channel(address.target, _credentials(ca_file), options)
    else:
        plain = grpc.insecure_channel(address.target, options)
    return grpc.intercept_channel(plain, _Sync(_metadata(api_key), timeout, stream_timeout))


def aio_channel(
    url: str | None = None,
    *,
    api_key: str | None = None,
    timeout: float = UNARY_SECONDS,
    stream_timeout: float = STREAM_SECONDS,
    ca_file: str | os.PathLike[str] | None = None,
) -> grpc.aio.Channel:
    """A channel for the stubs on asyncio; the same parameters as `channel`. Needs a running event loop."""
    address = _address.find(url)
    options = _options(address)
    terms = _metadata(api_key), timeout, stream_timeout
    interceptors: list[grpc.aio.ClientInterceptor] = [
        _AioUnaryUnary(*terms),
        _AioUnaryStream(*terms),
        _AioStreamUnary(*terms),
        _AioStreamStream(*terms),
    ]
    if address.tls:
        return grpc.aio.secure_channel(address.target, _credentials(ca_file), options, interceptors=interceptors)
    return grpc.aio.insecure_channel(address.target, options, interceptors=interceptors)


def _options(address: _address.Address) -> list[tuple[str, Any]]:
    options: list[tuple[str, Any]] = [
        ("grpc.primary_user_agent", "pergola-python"),
        ("grpc.max_receive_message_length", _MAX_MESSAGE),
        ("grpc.max_send_message_length", _MAX_MESSAGE),
    ]
    if address.loopback:
        options.append(("grpc.enable_http_proxy", 0))
    return options


def _credentials(ca_file: str | os.PathLike[str] | None) -> grpc.ChannelCredentials:
    path = ca_file or os.environ.get("PERGOLA_CA_FILE")
    return grpc.ssl_channel_credentials(Path(path).read_bytes() if path else None)


def _metadata(api_key: str | None) -> tuple[tuple[str, str], ...]:
    key = api_key or os.environ.get("PERGOLA_API_KEY")
    return (("authorization", f"Bearer {key}"),) if key else ()


class _Details(NamedTuple):
    """gRPC gives no way to change its own details, only to hand it others."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: Any
    compression: Any = None


class _Terms:
    def __init__(self, metadata: Sequence[tuple[str, str]], timeout: float, stream_timeout: float) -> None:
        self._metadata = tuple(metadata)
        self._timeout = timeout
        self._stream_timeout = stream_timeout

    def apply(self, details: Any, *, stream: bool) -> Any:
        timeout = details.timeout
        if timeout is None:
            timeout = self._stream_timeout if stream else self._timeout
        return _Details(
            details.method,
            timeout,
            (*(details.metadata or ()), *self._metadata),
            details.credentials,
            details.wait_for_ready,
            getattr(details, "compression", None),
        )


class _Sync(
    _Terms,
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        return continuation(self.apply(client_call_details, stream=False), request)

    def intercept_unary_stream(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        return continuation(self.apply(client_call_details, stream=True), request)

    def intercept_stream_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        return continuation(self.apply(client_call_details, stream=True), request_iterator)

    def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        return continuation(self.apply(client_call_details, stream=True), request_iterator)


class _AioTerms(_Terms):
    def apply(self, details: Any, *, stream: bool) -> Any:
        changed = super().apply(details, stream=stream)
        return grpc.aio.ClientCallDetails(
            changed.method,
            changed.timeout,
            grpc.aio.Metadata(*changed.metadata),
            changed.credentials,
            changed.wait_for_ready,
        )


class _AioUnaryUnary(_AioTerms, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(self.apply(client_call_details, stream=False), request)


class _AioUnaryStream(_AioTerms, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(self.apply(client_call_details, stream=True), request)


class _AioStreamUnary(_AioTerms, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await continuation(self.apply(client_call_details, stream=True), request_iterator)


class _AioStreamStream(_AioTerms, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await continuation(self.apply(client_call_details, stream=True), request_iterator)
