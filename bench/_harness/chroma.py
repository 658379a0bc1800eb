"""The baseline of vector search: Chroma's server from PyPI, in an environment of its own, asked by its own client.

Server and client are processes of that environment; `chroma_caller.py` is what runs there, and is told what to do line
by line. Vectors go there as .npy files, so that no time is spent on handing them over.
"""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench._harness import environment
from bench._harness.cli import BenchmarkError
from local.system import ports

VERSION: Final = "1.5.9"
_START_SECONDS: Final = 60.0
_CALLER: Final = Path(__file__).with_name("chroma_caller.py")


class Caller:
    """Chroma's Python client in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def do(self, action: str, **values: Any) -> Any:
        """Has `chroma_caller` do one of its actions, and returns what that answers.

        Raises BenchmarkError.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": action, **values}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the process ended"}
        if "error" in answer:
            raise BenchmarkError(f"Chroma's client could not {action}: {answer['error']}")
        return answer["done"]


def install(folder: Path) -> Path:
    """Makes the environment, unless it is there; returns its folder."""
    return environment.install(folder, "chromadb", VERSION, "chromadb")


@contextlib.contextmanager
def running(installed: Path, folder: Path) -> Iterator[tuple[Caller, int]]:
    """A server with its data under `folder`, and a caller of it; gives the caller and the server's process number."""
    port = ports.choose(set())
    environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environ |= {"ANONYMIZED_TELEMETRY": "False", "HF_HUB_OFFLINE": "1"}
    command = [str(installed / "bin" / "chroma"), "run", "--path", str(folder / "data")]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "chroma.log").open("wb") as log:
        server = subprocess.Popen(
            command, env=environ, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait(server, port, folder / "chroma.log")
        with _caller(installed, port, environ) as caller:
            yield caller, server.pid
    finally:
        _end(server)


@contextlib.contextmanager
def _caller(installed: Path, port: int, environ: dict[str, str]) -> Iterator[Caller]:
    process = subprocess.Popen(
        [str(installed / "bin" / "python"), str(_CALLER), str(port)],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Caller(process)
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/api/v2/heartbeat")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise BenchmarkError(f"Chroma's server did not start. The last lines of its log:\n{tail}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
