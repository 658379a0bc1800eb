"""All four kinds of RPC through the runtime: answers, ids, validation, errors, logs."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from services.runtime.errors import CollectionNotFound, InvalidArgument, from_rpc
from tests.integration.runtime.conftest import Door
from tests.integration.runtime.echo import drained, failure, pb


def text(value: str) -> Any:
    return pb.EchoRequest(text=value)


def bare(channel: grpc.aio.Channel, method: str) -> Any:
    """The method without the stub: bytes in, bytes out."""
    return channel.unary_unary(f"/pergola.testing.v1.EchoService/{method}")


async def requests(*texts: str) -> AsyncIterator[Any]:
    for one in texts:
        yield text(one)


async def test_every_kind_of_rpc_answers(door: Door) -> None:
    assert (await door.stub.Read(text("a"))).text == "a"
    assert await drained(door.stub.Stream(text("b"))) == (["b0", "b1", "b2", "b"], None)
    assert (await door.stub.Collect(requests("c", "d"))).text == "c+d"
    assert await drained(door.stub.Converse(requests("e", "f"))) == (["e", "f"], None)


async def test_every_answer_carries_a_request_id(door: Door) -> None:
    for call in (door.stub.Read(text("a")), door.stub.Collect(requests("c"))):
        await call
        assert len(dict(await call.trailing_metadata())["x-request-id"]) == 32
    for call in (door.stub.Stream(text("b")), door.stub.Converse(requests("c"))):
        await drained(call)
        assert len(dict(await call.trailing_metadata())["x-request-id"]) == 32


@pytest.mark.parametrize(("sent", "kept"), [("id-1.A:b_c", True), ("with space", False), ("x" * 129, False)])
async def test_a_request_id_from_outside_is_kept_if_it_is_one(door: Door, sent: str, kept: bool) -> None:
    call = door.stub.Read(text("a"), metadata=(("x-request-id", sent),))
    await call
    answered = dict(await call.trailing_metadata())["x-request-id"]
    assert (answered == sent) is kept
    assert door.echo.calls[-1].request_id == answered


async def test_the_handler_sees_its_call(door: Door) -> None:
    metadata = (("idempotency-key", "k1"), ("x-pergola-face", "api"), ("traceparent", "00-aa-bb-01"))
    await door.stub.Read(text("a"), metadata=metadata)
    seen = door.echo.calls[-1]
    assert (seen.tenant, seen.caller, seen.face, seen.idempotency_key) == ("default", "local", "api", "k1")
    assert seen.method == "/pergola.testing.v1.EchoService/Read"
    assert seen.traceparent == "00-aa-bb-01"


async def test_an_unusable_idempotency_key_is_refused(door: Door) -> None:
    error = await failure(door.stub.Read(text("a"), metadata=(("idempotency-key", "x" * 129),)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("method", ["Read", "Stream", "Collect", "Converse"])
async def test_rules_of_the_contract_hold_for_every_kind(door: Door, method: str) -> None:
    call = getattr(door.stub, method)
    streams_in = method in ("Collect", "Converse")
    opened = call(requests("fine", "x" * 21)) if streams_in else call(text("x" * 21))
    if method in ("Stream", "Converse"):
        texts, error = await drained(opened)
        assert texts == (["fine"] if streams_in else [])
    else:
        error = await failure(opened)
    assert error is not None
    rebuilt = from_rpc(error, "echo")
    assert isinstance(rebuilt, InvalidArgument)
    assert [one.field for one in rebuilt.violations] == ["text"]
    assert "20" in rebuilt.violations[0].description


async def test_violations_name_the_path_and_are_limited(door: Door) -> None:
    bad = pb.EchoRequest(items=[pb.Item(number=-1)] * 30, named={"a": pb.Item(number=-1)})
    error = await failure(door.stub.Read(bad))
    rebuilt = from_rpc(error, "echo")
    assert len(rebuilt.violations) == 20
    assert rebuilt.violations[2].field == "items[2].number"
    assert rebuilt.metadata["violations_total"] == "31"
    single = await failure(door.stub.Read(pb.EchoRequest(named={"a": pb.Item(number=-1)})))
    assert from_rpc(single, "echo").violations[0].field == 'named["a"].number'


async def test_bytes_that_are_no_message_are_the_callers_fault(door: Door) -> None:
    async with grpc.aio.insecure_channel(door.running.address) as channel:
        error = await failure(bare(channel, "Read")(b"\xff\xff\xff"))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_error_of_the_tree_crosses_the_wire_whole(door: Door) -> None:
    rebuilt = from_rpc(await failure(door.stub.Read(text("not found"))), "echo")
    assert isinstance(rebuilt, CollectionNotFound)
    assert rebuilt.message == "there is no collection 'x'; create it first"
    assert rebuilt.metadata["collection"] == "x"


@pytest.mark.parametrize("method", ["Read", "Stream", "Collect", "Converse"])
async def test_an_unexpected_exception_tells_an_id_and_nothing_else(
    door: Door, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    call = getattr(door.stub, method)
    opened = call(requests("broken")) if method in ("Collect", "Converse") else call(text("broken"))
    if method in ("Stream", "Converse"):
        _, error = await drained(opened)
    else:
        error = await failure(opened)
    assert error is not None
    assert error.code() is grpc.StatusCode.INTERNAL
    shown = f"{error.details()} {error.trailing_metadata()}"
    assert "hunter2" not in shown
    assert "RuntimeError" not in shown
    error_id = from_rpc(error, "echo").metadata["error_id"]
    assert error_id in (error.details() or "")
    records = [record for record in caplog.records if getattr(record, "error_id", "") == error_id]
    assert len(records) == 1
    assert records[0].levelno == logging.ERROR
    assert records[0].exc_info is not None
    assert "hunter2" in str(records[0].exc_info[1])


async def test_a_handler_that_answers_nothing_is_internal(door: Door) -> None:
    error = await failure(door.stub.Read(text("nothing")))
    assert error.code() is grpc.StatusCode.INTERNAL


async def test_an_unknown_method_is_unimplemented(door: Door) -> None:
    async with grpc.aio.insecure_channel(door.running.address) as channel:
        error = await failure(bare(channel, "Nope")(b""))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert from_rpc(error, "echo").reason == "UNIMPLEMENTED"


async def test_the_access_log_tells_who_and_how_but_not_what(door: Door) -> None:
    await door.stub.Read(text("payload"), metadata=(("x-request-id", "r1"),))
    await failure(door.stub.Read(text("not found")))
    good, bad = door.log.lines
    assert good["method"] == "/pergola.testing.v1.EchoService/Read"
    assert (good["code"], good["request_id"], good["tenant"], good["caller"]) == ("OK", "r1", "default", "local")
    assert (bad["code"], bad["reason"]) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")
    assert "payload" not in str(door.log.lines)


async def test_in_band_errors_end_a_stream_for_http_faces(door: Door) -> None:
    texts, error = await drained(door.stub.Stream(text("not found"), metadata=(("x-pergola-face", "api"),)))
    assert texts[-1] == "error 404 COLLECTION_NOT_FOUND"
    assert error is not None
    texts, error = await drained(door.stub.Stream(text("not found")))
    assert texts == ["not found0", "not found1", "not found2"]
    assert error is not None
    assert error.code() is grpc.StatusCode.NOT_FOUND
