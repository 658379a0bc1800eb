"""A service as an operator meets it: a process with settings, signals, a log and an exit code."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from tests.integration.runtime.echo import ROOT, pb, pb_grpc

SECRET = "hunter2-hunter2"


@asynccontextmanager
async def process(*arguments: str, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PERGOLA_")}
    environ |= {"PERGOLA_DRAIN_NOTICE_SECONDS": "0.2"}
    environ |= {f"PERGOLA_{name.upper()}": value for name, value in settings.items()}
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.runtime.process",
        *arguments,
        cwd=ROOT,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()


async def line(started: asyncio.subprocess.Process, message: str) -> dict[str, Any]:
    """The first line of the log with this message."""
    assert started.stderr is not None
    while raw := await started.stderr.readline():
        entry: dict[str, Any] = json.loads(raw)
        if entry["message" if "message" in entry else "method"] == message:
            return entry
    raise AssertionError(f"the process ended without saying {message!r}")


async def ended(started: asyncio.subprocess.Process) -> tuple[int | None, str]:
    """The exit code, and the rest of what it wrote to standard error."""
    _, errors = await asyncio.wait_for(started.communicate(), 20)
    return started.returncode, errors.decode()


async def test_sigterm_drains_and_exits_with_zero() -> None:
    async with process() as started:
        address = (await line(started, "serving"))["address"]
        async with grpc.aio.insecure_channel(address) as channel:
            stub = pb_grpc.EchoServiceStub(channel)
            waiting = stub.Read(pb.EchoRequest(text="wait"), timeout=1.5)
            await stub.Read(pb.EchoRequest(text="a"))
            started.send_signal(signal.SIGTERM)
            await line(started, "draining")
            # Still served: balancers have not noticed yet.
            await stub.Read(pb.EchoRequest(text="b"))
            assert await waiting.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        code, errors = await ended(started)
    assert code == 0
    assert '"message":"stopped"' in errors


async def test_a_second_signal_means_now() -> None:
    async with process(drain_seconds="60") as started:
        address = (await line(started, "serving"))["address"]
        async with grpc.aio.insecure_channel(address) as channel:
            waiting = pb_grpc.EchoServiceStub(channel).Read(pb.EchoRequest(text="wait"))
            await pb_grpc.EchoServiceStub(channel).Read(pb.EchoRequest(text="a"))
            started.send_signal(signal.SIGTERM)
            await line(started, "draining")
            started.send_signal(signal.SIGTERM)
            code, _ = await ended(started)
            waiting.cancel()
    assert code == 1


async def test_a_signal_during_the_start_ends_it() -> None:
    async with process("never-ready") as started:
        assert started.stdout is not None
        await started.stdout.readline()
        started.send_signal(signal.SIGTERM)
        assert (await ended(started))[0] == 0


async def test_wrong_settings_are_all_named_and_no_secret_is_shown() -> None:
    wrong = {"echo_service_key": SECRET, "echo_lisen": SECRET, "drain_seconds": "soon", "listen": "0.0.0.0:1"}
    async with process(**wrong) as started:
        code, errors = await ended(started)
    assert code == 2
    assert "PERGOLA_ECHO_LISEN" in errors
    assert "PERGOLA_DRAIN_SECONDS" in errors
    assert SECRET not in errors


async def test_every_address_but_loopback_needs_callers() -> None:
    async with process(listen="0.0.0.0:0") as started:
        code, errors = await ended(started)
    assert code == 2
    assert "PERGOLA_LISTEN: only a loopback address is allowed without callers_file" in errors


async def test_a_store_that_is_down_at_the_start_is_said_without_a_stack() -> None:
    async with process("store-down") as started:
        code, errors = await ended(started)
    assert code == 1
    assert "PostgreSQL does not answer; start it and try again" in errors
    assert "Traceback" not in errors


async def test_a_bug_at_the_start_is_logged_with_its_stack() -> None:
    async with process("bug") as started:
        code, errors = await ended(started)
    assert code == 1
    assert "KeyError" in json.loads(errors.splitlines()[-1])["exception"]


async def test_a_dead_worker_ends_the_process_with_one() -> None:
    async with process("worker-dies") as started:
        await line(started, "serving")
        code, errors = await ended(started)
    assert code == 1
    assert "the background task cheese died" in errors
