"""What an operator sees: metrics on their listener, spans at a collector, logs as JSON."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from services.runtime.settings import SettingsError
from services.runtime.telemetry.logs import JsonHandler, LogSink
from tests.integration.runtime.echo import Echo, Log, drained, failure, pb, pb_grpc, run


def text(value: str) -> Any:
    return pb.EchoRequest(text=value)


async def _metrics(address: str | None) -> list[str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/metrics") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        return (await answer.text()).splitlines()


async def test_metrics_count_calls_by_method_and_code() -> None:
    async with (
        run(Echo(), metrics_listen="127.0.0.1:0") as running,
        grpc.aio.insecure_channel(running.address) as channel,
    ):
        stub = pb_grpc.EchoServiceStub(channel)
        await stub.Read(text("a"))
        await failure(stub.Read(text("not found")))
        await drained(stub.Stream(text("a")))
        held = stub.Watch(text(""))
        await held.read()
        lines = await _metrics(running.metrics_address)
        held.cancel()
    service = 'grpc_service="pergola.testing.v1.EchoService"'
    ok = f'{{grpc_code="OK",grpc_method="Read",{service}}} 1.0'
    assert f"pergola_rpc_seconds_count{ok}" in lines
    assert f'pergola_rpc_seconds_count{{grpc_code="NOT_FOUND",grpc_method="Read",{service}}} 1.0' in lines
    assert f'pergola_rpc_messages_sent_total{{grpc_method="Stream",{service}}} 4.0' in lines
    assert f'pergola_rpc_messages_received_total{{grpc_method="Read",{service}}} 2.0' in lines
    assert f'pergola_rpc_in_flight{{grpc_method="Watch",{service}}} 1.0' in lines
    assert any(line.startswith("process_resident_memory_bytes") for line in lines)


async def test_a_taken_metrics_address_is_refused_with_its_name() -> None:
    async with run(Echo(), metrics_listen="127.0.0.1:0") as running:
        with pytest.raises(SettingsError, match=f"metrics_listen {running.metrics_address}"):
            async with run(Echo(), metrics_listen=running.metrics_address):
                pass


async def test_a_taken_address_is_refused_with_its_name() -> None:
    async with run(Echo()) as running:
        with pytest.raises(SettingsError, match=f"listen {running.address} can't be opened"):
            async with run(Echo(), listen=running.address):
                pass


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """An OpenTelemetry collector: keeps the spans that it is sent."""

    def __init__(self) -> None:
        self.spans: list[Any] = []

    async def Export(self, request: Any, _context: Any) -> Any:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse()


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    collector, server = Collector(), grpc.aio.server()
    add: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
    add(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield collector, f"http://127.0.0.1:{port}"
    finally:
        await server.stop(0)


TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


async def test_spans_continue_the_callers_trace() -> None:
    echo = Echo()
    async with (
        collecting() as (collector, endpoint),
        run(echo, otlp_endpoint=endpoint) as running,
        grpc.aio.insecure_channel(running.address) as channel,
    ):
        stub = pb_grpc.EchoServiceStub(channel)
        metadata = (("traceparent", f"00-{TRACE}-{PARENT}-01"), ("x-request-id", "r9"))
        await stub.Read(text("a"), metadata=metadata)
        await failure(stub.Read(text("broken"), metadata=metadata))
    good, bad = sorted(collector.spans, key=lambda span: span.status.code)
    assert good.trace_id.hex() == TRACE
    assert good.parent_span_id.hex() == PARENT
    assert echo.calls[0].traceparent == f"00-{TRACE}-{good.span_id.hex()}-01"
    attributes = {one.key: one.value.string_value for one in good.attributes}
    assert attributes["rpc.method"] == "Read"
    assert attributes["pergola.request_id"] == "r9"
    assert bad.status.code == 2
    assert "hunter2" not in str(bad)


async def test_an_unsampled_trace_is_passed_on_and_not_recorded() -> None:
    echo = Echo()
    async with (
        collecting() as (collector, endpoint),
        run(echo, otlp_endpoint=endpoint) as running,
        grpc.aio.insecure_channel(running.address) as channel,
    ):
        metadata = (("traceparent", f"00-{TRACE}-{PARENT}-00"),)
        await pb_grpc.EchoServiceStub(channel).Read(text("a"), metadata=metadata)
    assert echo.calls[0].traceparent.startswith(f"00-{TRACE}-")
    assert echo.calls[0].traceparent.endswith("-00")
    assert collector.spans == []


async def test_an_absent_collector_does_not_disturb() -> None:
    async with (
        run(Echo(), otlp_endpoint="http://127.0.0.1:9") as running,
        grpc.aio.insecure_channel(running.address) as channel,
    ):
        assert (await pb_grpc.EchoServiceStub(channel).Read(text("a"))).text == "a"


async def test_logs_are_one_json_object_a_line() -> None:
    stream = io.BytesIO()
    sink = LogSink(stream)
    logger = logging.Logger("test")
    logger.addHandler(JsonHandler(sink, "echo"))
    logger.info("hello %s\n", "world", extra={"request_id": "r1", "odd": {1, 2}})
    try:
        int("no")
    except ValueError:
        logger.exception("failed")
    await asyncio.sleep(0)
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["message"], first["service"], first["request_id"]) == ("hello world\n", "echo", "r1")
    assert "ValueError: invalid literal" in second["exception"]


async def test_calls_that_went_well_are_silent_from_warning_on() -> None:
    log = Log()
    async with (
        run(Echo(), log, log_level="warning") as running,
        grpc.aio.insecure_channel(running.address) as channel,
    ):
        stub = pb_grpc.EchoServiceStub(channel)
        await stub.Read(text("a"))
        await failure(stub.Read(text("not found")))
        await failure(stub.Read(text("broken")))
    assert [line["code"] for line in log.lines] == ["INTERNAL"]
