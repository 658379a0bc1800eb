"""An OpenAI-compatible embeddings endpoint whose vectors are made up, so that loading takes no model's time."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from bench.retrieval.distractors import MadeUpVectors

MODEL: Final = "made-up"
DIMENSION: Final = 384
_VECTORS: Final = MadeUpVectors(DIMENSION)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        data = [
            {"object": "embedding", "index": place, "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode()}
            for place, row in enumerate(_VECTORS.of(body["input"]))
        ]
        answer = json.dumps({"object": "list", "model": body["model"], "data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """A line a request would drown what the benchmark says."""


@contextmanager
def serving() -> Iterator[dict[str, str]]:
    """Serves on a free port of this machine; gives the settings by which vector asks there."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="made-up embeddings")
    thread.start()
    prefix = "PERGOLA_VECTOR_EMBEDDING"
    try:
        yield {
            f"{prefix}_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}/v1",
            f"{prefix}_ENDPOINT_MODEL": MODEL,
            f"{prefix}_ENDPOINT_DIMENSION": str(DIMENSION),
            f"{prefix}_ENDPOINT_BATCH": "512",
            f"{prefix}_MODEL": MODEL,
            # Nothing is asked for twice; what is made up need not be remembered.
            f"{prefix}_CACHE_SECONDS": "0",
        }
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
