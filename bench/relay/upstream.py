"""The model provider of this benchmark: OpenAI's streaming protocol, and nothing that costs more than it must.

`python -m bench.relay.upstream` prints its port and serves until its stdin ends. Two models:

- `fast` writes a chunk in every turn of its event loop, as fast as the reader takes them;
- `paced` writes one every PACE seconds, so that a relay that keeps up gets each chunk alone.

Every chunk is a write of its own. (tests/fakes/provider.py can misbehave in many ways; this one can only be fast.)
"""

import asyncio
import json
import re
import sys
from collections.abc import Callable
from typing import Final, cast

import uvloop

from bench.relay.answer import PACE, WORDS


def _event(delta: dict[str, str], finish: str | None) -> bytes:
    chunk = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1750000000,
        "model": "bench",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
_PIECES: Final = [
    _HEAD + _framed(_event({"role": "assistant", "content": WORDS[0]}, None)),
    *(_framed(_event({"content": word}, None)) for word in WORDS[1:]),
    _framed(_event({}, "stop")) + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n",
]


def _is_whole(head: bytes, body: bytes) -> bool:
    length = re.search(rb"\ncontent-length: *(\d+)", head)
    return len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")


class _Connection(asyncio.Protocol):
    """One keep-alive connection; requests come one after the other."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._next = 0
        self._again: Callable[[], object] = self._soon
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._write()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = bytes(self._received).partition(b"\r\n\r\n")
        if not found or not _is_whole(head.lower(), body):
            return
        # A caller sends its next request only when it has the answer to this one.
        self._received.clear()
        self._again = self._later if b'"paced"' in body else self._soon
        self._next = 0
        self._write()

    def _soon(self) -> object:
        return self._loop.call_soon(self._write)

    def _later(self) -> object:
        return self._loop.call_later(PACE, self._write)

    def _write(self) -> None:
        if self._transport is None or self._paused or self._next >= len(_PIECES):
            return
        self._transport.write(_PIECES[self._next])
        self._next += 1
        if self._next < len(_PIECES):
            self._again()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    uvloop.run(_serve())
