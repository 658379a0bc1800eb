"""TLS on both sides of the gateway."""

import ssl
from pathlib import Path

import aiohttp
import grpc

from pergola.chat.v1 import chat_pb2, chat_pb2_grpc
from services.runtime.settings import ServiceSettings
from tests.end_to_end.gateway.envoys import environ, envoy
from tests.end_to_end.gateway.test_gateway_upstreams import until
from tests.end_to_end.gateway.upstream import Book, upstream

CERTIFICATES = Path(__file__).parents[2] / "integration" / "runtime" / "certificates"
CA, CERTIFICATE, KEY = CERTIFICATES / "ca.pem", CERTIFICATES / "server.pem", CERTIFICATES / "server.key"
QUESTION = chat_pb2.ChatInput(messages=[chat_pb2.Message(role="user", content="why?")])


async def test_tls_towards_callers() -> None:
    files = {"tls_certificate_file": str(CERTIFICATE), "tls_key_file": str(KEY), "allowed_hosts": "pergola.test"}
    async with upstream(Book()) as running, envoy(environ(running.address, **files), ready=False) as gateway:
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(CA)))
        async with aiohttp.ClientSession(f"https://{gateway.address}", connector=connector) as session:
            await until(session, "/api/collections", 200)
            own = {"origin": f"https://{gateway.address}"}
            async with session.get("/api/collections", headers=own) as response:
                assert response.status == 200
            other = {"origin": f"http://{gateway.address}"}
            async with session.get("/api/collections", headers=other) as response:
                assert response.status == 403
        credentials = grpc.ssl_channel_credentials(CA.read_bytes())
        options = [("grpc.enable_http_proxy", 0), ("grpc.ssl_target_name_override", "pergola.test")]
        async with grpc.aio.secure_channel(gateway.address, credentials, options=options) as channel:
            told = await chat_pb2_grpc.ChatServiceStub(channel).Chat(chat_pb2.ChatRequest(input=QUESTION))
        assert told.message.content == "hello"


async def test_tls_towards_services() -> None:
    settings = ServiceSettings(tls_certificate_file=CERTIFICATE, tls_key_file=KEY, drain_seconds=0.0)
    async with upstream(Book(), settings) as running:
        known = environ(running.address, tls_peer_ca_file=str(CA), tls_peer_name="pergola.test")
        async with envoy(known, ready=False) as gateway, aiohttp.ClientSession(gateway.url) as session:
            await until(session, "/api/collections", 200)
        # The address itself is in the certificate too; another name is not.
        by_address = environ(running.address, tls_peer_ca_file=str(CA))
        async with envoy(by_address, ready=False) as gateway, aiohttp.ClientSession(gateway.url) as session:
            await until(session, "/api/collections", 200)
        stranger = environ(running.address, tls_peer_ca_file=str(CA), tls_peer_name="elsewhere.test")
        async with (
            envoy(stranger, ready=False) as gateway,
            aiohttp.ClientSession(gateway.url) as session,
            session.get("/api/collections") as response,
        ):
            assert response.status == 503
            assert (await response.json())["error"]["reason"] == "PEER_UNAVAILABLE"
