"""An OpenAI-compatible embeddings endpoint that does what the test tells it: a real HTTP server on a free port."""

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import web

DIMENSION = 8


def embedding(text: str) -> np.ndarray:
    """The vector this endpoint has for a text: unit length, from the text's hash."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).normal(size=DIMENSION)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


Script = Callable[[dict[str, Any]], web.Response | None]
"""What to answer to a request's body; None: the embeddings asked for."""


@dataclass
class FakeEmbeddings:
    """The endpoint; made by `fake_embeddings`."""

    url: str = ""
    script: list[Script] = field(default_factory=list)
    """One entry a request, in order; when it is used up, embeddings."""
    largest: int = 2048
    """More texts than that in one request are refused with 413."""
    as_lists: bool = False
    """Answers with lists of numbers though base64 was asked for, as some servers do."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    held: asyncio.Event | None = None
    """Set it to an event to keep every answer back until the event is set."""
    arrived: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    """Released by each request that comes in."""
    left: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    """Released by each request that is answered, or whose caller goes away."""
    waiting: int = 0
    most_waiting: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.keys.append(request.headers.get("authorization"))
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        self.arrived.release()
        try:
            if self.held is not None:
                await self.held.wait()
            scripted = self.script.pop(0)(body) if self.script else None
        finally:
            self.waiting -= 1
            self.left.release()
        if scripted is not None:
            return scripted
        if len(body["input"]) > self.largest:
            return web.json_response({"error": {"message": "too many inputs"}}, status=413)
        data = [
            {"object": "embedding", "index": n, "embedding": self._shape(text)} for n, text in enumerate(body["input"])
        ]
        # Any order is allowed, the index counts.
        return web.json_response({"object": "list", "model": body["model"], "data": data[::-1]})

    def _shape(self, text: str) -> Any:
        vector = embedding(text)
        return vector.tolist() if self.as_lists else base64.b64encode(vector.astype("<f4").tobytes()).decode()


def status(code: int, headers: dict[str, str] | None = None, message: str = "no") -> Script:
    """A failure."""
    return lambda _: web.json_response({"error": {"message": message}}, status=code, headers=headers)


@contextlib.asynccontextmanager
async def fake_embeddings() -> AsyncIterator[FakeEmbeddings]:
    fake = FakeEmbeddings()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/embeddings", fake.answer)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    fake.url = f"http://{host}:{port}/v1"
    try:
        yield fake
    finally:
        if fake.held is not None:
            fake.held.set()
        await runner.cleanup()
