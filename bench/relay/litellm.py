"""The baseline: LiteLLM's proxy from PyPI, in an environment of its own, set up as its makers advise for production."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench._harness import environment
from bench._harness.cli import BenchmarkError
from local.system import ports

VERSION: Final = "1.106.2"
_START_SECONDS: Final = 120.0


def install(folder: Path) -> Path:
    """Makes the environment, unless it is there; returns its folder."""
    return environment.install(folder, "litellm", VERSION, "litellm[proxy]")


@contextlib.contextmanager
def running(installed: Path, folder: Path, upstream: int) -> Iterator[tuple[int, int]]:
    """One worker process before the provider on port `upstream`; gives its port and process number."""
    port = ports.choose(set())
    config = folder / "litellm.json"  # JSON is YAML
    models = [
        {
            "model_name": name,
            "litellm_params": {
                "model": f"openai/{name}",
                "api_base": f"http://127.0.0.1:{upstream}/v1",
                "api_key": "sk-bench",
            },
        }
        for name in ("fast", "paced")
    ]
    config.write_text(
        json.dumps({"model_list": models, "litellm_settings": {"set_verbose": False, "telemetry": False}})
    )
    own = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environ = own | {
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "DISABLE_ADMIN_UI": "True",
        # Both relays let everyone in here: it is the relaying that is measured.
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    command = [str(installed / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", "1"]
    with (folder / "litellm.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environ, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait(process, port, folder / "litellm.log")
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/health/liveliness")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except OSError:
            time.sleep(0.2)
        finally:
            connection.close()
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise BenchmarkError(f"LiteLLM's proxy did not start. The last lines of its log:\n{tail}")
