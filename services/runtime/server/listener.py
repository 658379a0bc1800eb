"""The gRPC listener: its limits, its certificates, its address."""

from typing import Any

import grpc

from services.runtime.settings import ServiceSettings, SettingsError


def open_listener(settings: ServiceSettings, handler: grpc.GenericRpcHandler) -> tuple[grpc.aio.Server, str]:
    """A server bound to `settings.listen`, not started, and its address with the real port.

    Raises:
        SettingsError: the address is taken or not ours, or a certificate can't be read.
    """
    options: list[tuple[str, Any]] = [
        # Two processes on one port would each get a part of the calls, and nobody would know.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # Connections end, streams on them do not: without a grace they may run as long as they like.
        ("grpc.max_connection_age_ms", int(settings.max_connection_age_seconds * 1000)),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        # Our own channels and those of the client ping every 30 s, also on connections without calls.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_ping_strikes", 3),
    ]
    server = grpc.aio.server(handlers=[handler], options=options)
    host = settings.listen.rpartition(":")[0]
    try:
        credentials = _credentials(settings)
        if credentials is None:
            port = server.add_insecure_port(settings.listen)
        else:
            port = server.add_secure_port(settings.listen, credentials)
    except OSError as error:
        raise SettingsError(f"{error.filename} can't be read ({error.strerror})") from None
    except RuntimeError:
        raise SettingsError(
            f"listen {settings.listen} can't be opened: the port is taken, or the address is not this machine's"
        ) from None
    return server, f"{host}:{port}"


def _credentials(settings: ServiceSettings) -> grpc.ServerCredentials | None:
    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return None
    pair = (settings.tls_key_file.read_bytes(), settings.tls_certificate_file.read_bytes())
    authority = settings.tls_client_ca_file.read_bytes() if settings.tls_client_ca_file else None
    return grpc.ssl_server_credentials([pair], authority, authority is not None)
