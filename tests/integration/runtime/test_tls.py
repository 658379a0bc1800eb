"""TLS at the listener, mutual TLS, and callers who are known by their certificate."""

import json
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.runtime.channels import connect
from services.runtime.settings import ServiceSettings, SettingsError
from tests.integration.runtime.echo import Echo, failure, pb, pb_grpc, run

CERTIFICATES = Path(__file__).parent / "certificates"
LISTENER: dict[str, Any] = {
    "tls_certificate_file": CERTIFICATES / "server.pem",
    "tls_key_file": CERTIFICATES / "server.key",
}


def peer_settings(address: str, **more: Any) -> ServiceSettings:
    """Settings of a service whose peer listens at `address` over TLS."""
    return ServiceSettings(cache_address=address, tls_peer_ca_file=CERTIFICATES / "ca.pem", **more)


async def test_a_peer_is_called_over_tls() -> None:
    async with run(Echo(), **LISTENER) as running:
        async with connect("cache", peer_settings(running.address, tls_peer_name="pergola.test")) as channel:
            assert (await pb_grpc.EchoServiceStub(channel).Read(pb.EchoRequest(text="a"))).text == "a"
        async with connect("cache", peer_settings(running.address, tls_peer_name="elsewhere.test")) as channel:
            error = await failure(pb_grpc.EchoServiceStub(channel).Read(pb.EchoRequest(text="a")))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        async with connect("cache", ServiceSettings(cache_address=running.address)) as channel:
            error = await failure(pb_grpc.EchoServiceStub(channel).Read(pb.EchoRequest(text="a")))
        assert error.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_caller_is_known_by_its_certificate(tmp_path: Path) -> None:
    file = tmp_path / "callers.json"
    known = {"name": "chat", "subjects": ["spiffe://pergola.test/chat"], "tenants": "*", "roles": ["service"]}
    file.write_text(json.dumps({"callers": [known]}))
    echo = Echo()
    mine: dict[str, Any] = {
        "tls_certificate_file": CERTIFICATES / "client.pem",
        "tls_key_file": CERTIFICATES / "client.key",
        "tls_peer_name": "pergola.test",
    }
    async with run(echo, **LISTENER, callers_file=file, tls_client_ca_file=CERTIFICATES / "ca.pem") as running:
        async with connect("cache", peer_settings(running.address, **mine)) as channel:
            metadata = (("x-pergola-tenant", "acme"),)
            await pb_grpc.EchoServiceStub(channel).Write(pb.EchoRequest(text="a"), metadata=metadata)
        assert (echo.calls[0].caller, echo.calls[0].tenant) == ("chat", "acme")
        async with connect("cache", peer_settings(running.address, tls_peer_name="pergola.test")) as channel:
            error = await failure(pb_grpc.EchoServiceStub(channel).Read(pb.EchoRequest(text="a")))
        assert error.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_certificate_that_is_not_listed_is_unauthenticated(tmp_path: Path) -> None:
    file = tmp_path / "callers.json"
    other = {"name": "vector", "subjects": ["spiffe://pergola.test/vector"], "tenants": "*", "roles": ["service"]}
    file.write_text(json.dumps({"callers": [other]}))
    mine: dict[str, Any] = {
        "tls_certificate_file": CERTIFICATES / "client.pem",
        "tls_key_file": CERTIFICATES / "client.key",
        "tls_peer_name": "pergola.test",
    }
    async with (
        run(Echo(), **LISTENER, callers_file=file, tls_client_ca_file=CERTIFICATES / "ca.pem") as running,
        connect("cache", peer_settings(running.address, **mine)) as channel,
    ):
        error = await failure(pb_grpc.EchoServiceStub(channel).Read(pb.EchoRequest(text="a")))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_missing_certificate_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.pem can't be read"):
        async with run(Echo(), tls_certificate_file=tmp_path / "absent.pem", tls_key_file=CERTIFICATES / "server.key"):
            pass
