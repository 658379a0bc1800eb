"""The callers: N streams at a time against one address, each asking again as soon as its answer is complete.

`python -m bench.relay.load PORT MODEL STREAMS SECONDS` prints one JSON object. Reads bytes and counts; every answer is
checked for the number of its chunks, the first of every stream word for word.
"""

import asyncio
import dataclasses
import json
import re
import sys
import time

import uvloop

from bench.relay.answer import CHUNKS, WORDS

_CONTENT = re.compile(rb'"content": ?"((?:[^"\\]|\\.)*)"')


@dataclasses.dataclass
class Load:
    """What one load saw. Times in seconds."""

    answers: int = 0
    """Complete answers within the time."""
    elapsed: float = 0.0
    first_bytes: list[float] = dataclasses.field(default_factory=list)
    """From each request to the first byte of its answer's body."""
    reads: int = 0
    """How often something could be read; at most one chunk each when every chunk travels alone."""


async def _stream(port: int, request: bytes, end: float, load: Load) -> None:
    clock = time.perf_counter
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    checked = False
    while True:
        asked = clock()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"the relay answered {head.splitlines()[0].decode(errors='replace')}")
        body = bytearray()
        reads = 0
        while not body.endswith(b"0\r\n\r\n") or b"data: [DONE]" not in body[-64:]:
            data = await reader.read(1 << 18)
            if not data:
                raise SystemExit("the relay closed the connection in the middle of an answer")
            if not body:
                began = clock() - asked
            body += data
            reads += 1
        chunks = body.count(b'"content":')
        if chunks < CHUNKS:
            raise SystemExit(f"an answer has only {chunks} of {CHUNKS} chunks")
        if not checked:
            checked = True
            _check(bytes(body))
        if clock() > end:
            writer.close()
            return
        load.answers += 1
        load.first_bytes.append(began)
        load.reads += reads


def _check(body: bytes) -> None:
    # The frames of the chunked encoding may cut a word in two.
    unframed = re.sub(rb"\r\n[0-9a-f]+\r\n", b"", b"\r\n" + body)
    said = b"".join(match.group(1) for match in _CONTENT.finditer(unframed)).decode()
    if said != "".join(WORDS):
        raise SystemExit("an answer does not say what the provider said")


async def _load(port: int, model: str, streams: int, seconds: float) -> Load:
    body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": "Say something."}]})
    request = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer sk-bench\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    ).encode()
    load = Load()
    began = time.perf_counter()
    await asyncio.gather(*(_stream(port, request, began + seconds, load) for _ in range(streams)))
    load.elapsed = seconds
    return load


if __name__ == "__main__":
    port, model, streams, seconds = sys.argv[1:]
    found = uvloop.run(_load(int(port), model, int(streams), float(seconds)))
    print(json.dumps(dataclasses.asdict(found)))
