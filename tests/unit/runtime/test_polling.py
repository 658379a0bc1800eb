"""How gRPC polls is read when it is imported, so each process has to say it before."""

import os
import subprocess
import sys

import pytest

_EDGE = "gateway.edge.__main__"
_SAID = "import sys, {0}; every = list(sys.modules); print(every.index('services') < every.index('grpc'))"


@pytest.mark.parametrize("process", ["cache", "vector", "graph", "chat", _EDGE])
def test_every_process_says_how_grpc_polls_before_it_imports_it(process: str) -> None:
    module = process if process == _EDGE else f"services.{process}.__main__"
    assert _run(_SAID.format(module)) == "True"


@pytest.mark.parametrize(
    ("given", "taken"), [(None, "-event_engine_listener,-event_engine_client"), ("", ""), ("x", "x")]
)
def test_what_the_environment_says_wins(given: str | None, taken: str) -> None:
    assert _run("import os, services; print(os.environ['GRPC_EXPERIMENTS'])", given) == taken


def _run(code: str, experiments: str | None = None) -> str:
    environ = {name: value for name, value in os.environ.items() if name != "GRPC_EXPERIMENTS"}
    if experiments is not None:
        environ["GRPC_EXPERIMENTS"] = experiments
    return subprocess.run(
        [sys.executable, "-c", code], env=environ, check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()
