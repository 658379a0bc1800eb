"""Who may call what, for whom: one table, for all four kinds of RPC; and the callers file while it changes."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.errors import from_rpc
from services.runtime.settings import SettingsError
from tests.integration.runtime import callers
from tests.integration.runtime.callers import bearer
from tests.integration.runtime.conftest import Door
from tests.integration.runtime.echo import Echo, Log, drained, failure, pb, pb_grpc, run

OK = "OK"

TABLE = [
    # what, metadata, method, outcome, tenant that the handler sees
    ("no credentials", (), "Read", "UNAUTHENTICATED", None),
    ("an unknown key", (("authorization", "Bearer nobody"),), "Read", "UNAUTHENTICATED", None),
    ("no bearer", (("authorization", f"Basic {callers.KEYS['reader']}"),), "Read", "UNAUTHENTICATED", None),
    ("a bare key", (("authorization", callers.KEYS["reader"]),), "Read", "UNAUTHENTICATED", None),
    ("a reader that reads", bearer("reader"), "Read", OK, "acme"),
    ("a reader that names its tenant", bearer("reader", tenant="acme"), "Read", OK, "acme"),
    ("a reader elsewhere", bearer("reader", tenant="globex"), "Read", "TENANT_FORBIDDEN", None),
    ("a reader that writes", bearer("reader"), "Write", "ROLE_REQUIRED", None),
    ("a reader that streams in", bearer("reader"), "Collect", "ROLE_REQUIRED", None),
    ("a reader that converses", bearer("reader"), "Converse", "ROLE_REQUIRED", None),
    ("a reader that streams", bearer("reader"), "Stream", OK, "acme"),
    ("a writer that reads", bearer("writer"), "Read", OK, "acme"),
    ("a writer that writes", bearer("writer"), "Write", OK, "acme"),
    ("a writer that streams in", bearer("writer"), "Collect", OK, "acme"),
    ("a writer that administers", bearer("writer"), "Admin", "ROLE_REQUIRED", None),
    ("an admin", bearer("admin"), "Admin", OK, "acme"),
    ("an admin elsewhere", bearer("admin", tenant="globex"), "Write", "TENANT_FORBIDDEN", None),
    ("a caller of two tenants, its first", bearer("two"), "Read", OK, "acme"),
    ("a caller of two tenants, its second", bearer("two", tenant="globex"), "Read", OK, "globex"),
    ("a service for a tenant", bearer("service", tenant="globex"), "Write", OK, "globex"),
    ("a service that administers", bearer("service", tenant="globex"), "Admin", "ROLE_REQUIRED", None),
    ("a service for no tenant id", bearer("service", tenant="Not A Tenant"), "Write", "TENANT_FORBIDDEN", None),
]


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Door]:
    servicer, log = Echo(), Log()
    async with (
        run(servicer, log, callers_file=callers.write(tmp_path / "callers.json")) as running,
        grpc.aio.insecure_channel(running.address) as channel,
    ):
        yield Door(servicer, log, running, pb_grpc.EchoServiceStub(channel))


async def one() -> AsyncIterator[Any]:
    yield pb.EchoRequest(text="a")


@pytest.mark.parametrize(("what", "metadata", "method", "outcome", "tenant"), TABLE, ids=[row[0] for row in TABLE])
async def test_table(guarded: Door, what: str, metadata: Any, method: str, outcome: str, tenant: str | None) -> None:
    request = one() if method in ("Collect", "Converse") else pb.EchoRequest(text="a")
    call = getattr(guarded.stub, method)(request, metadata=metadata)
    error: Any = None
    if method in ("Stream", "Converse"):
        error = (await drained(call))[1]
    else:
        try:
            await call
        except grpc.aio.AioRpcError as raised:
            error = raised
    if outcome == OK:
        assert error is None, what
        assert guarded.echo.calls[-1].tenant == tenant
        assert guarded.echo.calls[-1].caller in callers.KEYS
        return
    assert error is not None, what
    if outcome == "UNAUTHENTICATED":
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    else:
        rebuilt = dict(error.trailing_metadata())["grpc-status-details-bin"]
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        assert outcome.encode() in rebuilt
    assert guarded.echo.calls == []


async def test_no_key_is_ever_logged(guarded: Door) -> None:
    await guarded.stub.Read(pb.EchoRequest(text="a"), metadata=bearer("reader"))
    await failure(guarded.stub.Read(pb.EchoRequest(text="a"), metadata=(("authorization", "Bearer wrong-key"),)))
    shown = str(guarded.log.lines)
    assert callers.KEYS["reader"] not in shown
    assert "wrong-key" not in shown
    assert guarded.log.lines[-1]["peer"].startswith("ipv4:127.0.0.1")


async def test_without_a_callers_file_another_tenant_is_refused(door: Door) -> None:
    error = await failure(door.stub.Read(pb.EchoRequest(text="a"), metadata=(("x-pergola-tenant", "acme"),)))
    assert from_rpc(error, "echo").reason == "TENANT_FORBIDDEN"


async def test_health_needs_no_credentials(guarded: Door) -> None:
    async with grpc.aio.insecure_channel(guarded.running.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service="pergola.testing.v1.EchoService"))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_needs_credentials(guarded: Door) -> None:
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    async def asked() -> AsyncIterator[Any]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    async with grpc.aio.insecure_channel(guarded.running.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in stub.ServerReflectionInfo(asked()):
                pass
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        answers = [answer async for answer in stub.ServerReflectionInfo(asked(), metadata=bearer("reader"))]
    names = {service.name for service in answers[0].list_services_response.service}
    assert {"pergola.testing.v1.EchoService", "grpc.health.v1.Health"} <= names


async def test_a_changed_file_counts_without_a_restart(guarded: Door, tmp_path: Path) -> None:
    fresh = {"name": "fresh", "tenants": ["acme"], "roles": ["reader"], "key_sha256": callers.hashed("fresh-key")}
    metadata = (("authorization", "Bearer fresh-key"),)
    await failure(guarded.stub.Read(pb.EchoRequest(text="a"), metadata=metadata))
    callers.write(tmp_path / "callers.json", [fresh])
    async with asyncio.timeout(10):
        while True:
            try:
                await guarded.stub.Read(pb.EchoRequest(text="a"), metadata=metadata)
                break
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.05)
    await failure(guarded.stub.Read(pb.EchoRequest(text="a"), metadata=bearer("reader")))


async def test_who_loses_the_right_loses_the_running_feed(guarded: Door, tmp_path: Path) -> None:
    kept = guarded.stub.Watch(pb.EchoRequest(text=""), metadata=bearer("writer"))
    lost = guarded.stub.Watch(pb.EchoRequest(text=""), metadata=bearer("reader"))
    assert (await kept.read()).text == (await lost.read()).text == "watching"
    callers.write(tmp_path / "callers.json", [entry for entry in callers.ENTRIES if entry["name"] != "reader"])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(lost.read(), 10)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert not kept.done()
    kept.cancel()


async def test_a_broken_file_keeps_the_callers_before_it(guarded: Door, tmp_path: Path) -> None:
    said = asyncio.Event()

    class Listen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "the callers before the change stay" in record.getMessage():
                said.set()

    listening = Listen()
    logging.getLogger("services.runtime.identity").addHandler(listening)
    (tmp_path / "callers.json").write_text("{")
    await asyncio.wait_for(said.wait(), 10)
    logging.getLogger("services.runtime.identity").removeHandler(listening)
    await guarded.stub.Read(pb.EchoRequest(text="a"), metadata=bearer("reader"))


async def test_a_broken_file_at_the_start_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "callers.json"
    file.write_text('{"callers": [{"name": "x", "roles": ["reader"], "tenants": ["acme"]}]}')
    with pytest.raises(SettingsError, match="neither key_sha256 nor subjects"):
        async with run(Echo(), callers_file=file):
            pass
