"""Which models `make run` points at."""

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from local.supervisor import hints


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real HTTP server that answers as an Ollama does."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/api/tags"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"models": [{"name": "llama3.2"}, {"name": "qwen3"}]}).encode())

        def log_message(self, *_arguments: object) -> None:
            return

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    monkeypatch.setattr(hints, "_OLLAMA", ("127.0.0.1", server.server_port))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def no_ollama(monkeypatch: pytest.MonkeyPatch) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        monkeypatch.setattr(hints, "_OLLAMA", ("127.0.0.1", server.server_port))


def _setting(lines: list[str]) -> str:
    line = next(line for line in lines if "PERGOLA_CHAT_MODELS" in line)
    return line.partition("'")[2].rpartition("'")[0]


@pytest.mark.usefixtures("no_ollama")
def test_nothing_found_says_nothing() -> None:
    assert hints.models({}) == []


@pytest.mark.usefixtures("ollama")
def test_an_ollama_is_named_with_its_models() -> None:
    lines = hints.models({})
    assert "ollama/llama3.2" in lines[0]
    assert json.loads(_setting(lines))[0]["id"] == "ollama/*"


@pytest.mark.usefixtures("ollama")
def test_configured_models_need_no_hint() -> None:
    assert hints.models({"PERGOLA_CHAT_MODELS": "[]"}) == []


@pytest.mark.usefixtures("no_ollama")
def test_the_line_is_a_setting_that_chat_accepts_and_shows_no_key() -> None:
    chat_models = pytest.importorskip("services.providers.chat_models")
    environ = {"OPENAI_API_KEY": "secret-value", "GROQ_API_KEY": "another-secret"}
    lines = hints.models(environ)
    assert "secret" not in "".join(lines)
    assert len(chat_models.read_chat_models(_setting(lines), environ)) == 2
