"""A model provider that exists only here: a real HTTP server that speaks OpenAI's protocol and misbehaves on request.

In tests it runs in a thread of its own: `with FakeProvider() as provider:`, then `provider.script("name", Script(…))`.
By itself: `python -m tests.fakes.provider --port 9000` (models named as in `script.by_name`, or set through
`POST /_fake/scripts`, a JSON object of scripts by model name).
"""

import argparse
import asyncio
import concurrent.futures
import threading
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec
from aiohttp import web

from tests.fakes import script as scripts
from tests.fakes.script import Script


@dataclass(eq=False)
class Seen:
    """A request that came in. `ended` is done when the answer was given whole (True) or not (False), `disconnected`
    when the client went away before that."""

    model: str
    path: str
    headers: dict[str, str]
    raw: bytes
    body: dict[str, Any]
    ended: "concurrent.futures.Future[bool]" = field(default_factory=concurrent.futures.Future)
    disconnected: "concurrent.futures.Future[None]" = field(default_factory=concurrent.futures.Future)

    async def wait_disconnected(self, seconds: float) -> None:
        """Raises TimeoutError when the client is still there after so many seconds."""
        await asyncio.wait_for(asyncio.wrap_future(self.disconnected), seconds)

    async def wait_ended(self, seconds: float) -> bool:
        return await asyncio.wait_for(asyncio.wrap_future(self.ended), seconds)


class FakeProvider:
    """A context manager: the server runs while it is open. Its methods may be called from any thread."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._scripts: dict[str, Script] = {}
        self._seen: list[Seen] = []
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-provider", daemon=True)
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        """What goes into a model's `base_url`."""
        return f"http://127.0.0.1:{self.port}/v1"

    def script(self, model: str, script: Script) -> str:
        """From now on requests for `model` are answered so. Returns the name."""
        self._scripts[model] = script
        return model

    def requests(self, model: str) -> list[Seen]:
        """All requests for `model` so far."""
        with self._changed:
            return [one for one in self._seen if one.model == model]

    async def request(self, model: str, number: int = 1, seconds: float = 10.0) -> Seen:
        """The `number`th request for `model`, waited for."""

        def wait() -> Seen:
            with self._changed:
                here = self._changed.wait_for(lambda: len(self.requests(model)) >= number, seconds)
            if not here:
                raise TimeoutError(f"no request number {number} for {model} within {seconds} s")
            return self.requests(model)[number - 1]

        return await asyncio.to_thread(wait)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._completions)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/_fake/scripts", self._set_scripts)
        app.router.add_get("/_fake/requests", self._list_requests)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = msgspec.json.decode(raw, type=dict[str, Any])
        model = str(body.get("model", ""))
        seen = Seen(model, request.path, {name.lower(): value for name, value in request.headers.items()}, raw, body)
        with self._changed:
            self._seen.append(seen)
            self._changed.notify_all()
        whole = False
        try:
            response = await self._answer(request, seen, self._scripts.get(model) or scripts.by_name(model))
            whole = True
        except asyncio.CancelledError:
            seen.disconnected.set_result(None)
            raise
        except ConnectionError:
            seen.disconnected.set_result(None)
            return web.Response()
        finally:
            seen.ended.set_result(whole)
        return response

    async def _answer(self, request: web.Request, seen: Seen, script: Script) -> web.StreamResponse:
        if script.first_byte_delay < 0:
            await asyncio.Event().wait()
        elif script.first_byte_delay:
            await asyncio.sleep(script.first_byte_delay)
        if script.body is not None or script.status != 200:
            content = script.body or msgspec.json.encode(scripts.error_body(script.status)).decode()
            kind = script.content_type or "application/json"
            return web.Response(status=script.status, text=content, headers=script.headers, content_type=kind)
        if not seen.body.get("stream"):
            return await self._whole(request, seen, script)
        return await self._stream(request, seen, script)

    async def _whole(self, request: web.Request, seen: Seen, script: Script) -> web.StreamResponse:
        answer = scripts.completion(seen.model, script, seen.body)
        if script.malformed_after is not None:
            answer = answer[: len(answer) // 2]
        if script.cut_after is None and script.hang_after is None:
            return web.Response(body=answer, content_type="application/json", headers=script.headers)
        response = web.StreamResponse(headers={"content-type": "application/json", "content-length": str(len(answer))})
        await response.prepare(request)
        await response.write(answer[: len(answer) // 2])
        if script.cut_after is not None:
            _break(request)
            return response
        await asyncio.Event().wait()
        return response

    async def _stream(self, request: web.Request, seen: Seen, script: Script) -> web.StreamResponse:
        kind = script.content_type or "text/event-stream"
        response = web.StreamResponse(headers={"content-type": kind, **script.headers})
        await response.prepare(request)
        model = seen.model
        await response.write(scripts.chunk_event(model, script, {"role": "assistant", "content": ""}))
        deltas: list[dict[str, Any]] = [{"content": piece} for piece in script.chunks]
        if script.tool_call is not None:
            deltas = [{"tool_calls": [scripts.tool_call(script.tool_call)]}]
        for number in range(len(deltas) + 1):
            if await self._misbehave(request, response, script, number):
                return response
            if number == len(deltas):
                break
            if number and script.chunk_delay:
                await asyncio.sleep(script.chunk_delay)
            await response.write(scripts.chunk_event(model, script, deltas[number]))
        if script.finish:
            await response.write(scripts.chunk_event(model, script, {}, scripts.finish_reason(script)))
        if script.usage and (seen.body.get("stream_options") or {}).get("include_usage"):
            await response.write(scripts.usage_event(model, script, seen.body))
        if script.done:
            await response.write(f"data: [DONE]{script.line_end}{script.line_end}".encode())
        await response.write_eof()
        return response

    async def _misbehave(self, request: web.Request, response: web.StreamResponse, script: Script, number: int) -> bool:
        """Does what the script says comes after `number` chunks; True when that ends the answer."""
        if script.malformed_after == number:
            await response.write(b'data: {"choices": [{"delta"\n\n')
        if script.error_after == number:
            await response.write(scripts.event(script, scripts.error_body(500)))
        if script.close_after == number:
            await response.write_eof()
            return True
        if script.cut_after == number:
            _break(request)
            return True
        if script.hang_after == number:
            await asyncio.Event().wait()
        return False

    async def _models(self, _request: web.Request) -> web.Response:
        names = [*self._scripts, "fake-model"]
        cards = [{"id": name, "object": "model", "created": scripts.CREATED, "owned_by": "fake"} for name in names]
        return web.json_response({"object": "list", "data": cards})

    async def _set_scripts(self, request: web.Request) -> web.Response:
        given = msgspec.json.decode(await request.read(), type=dict[str, Script])
        self._scripts.update(given)
        return web.json_response(sorted(given))

    async def _list_requests(self, _request: web.Request) -> web.Response:
        with self._changed:
            listed = [
                {"model": one.model, "ended": one.ended.done(), "disconnected": one.disconnected.done()}
                for one in self._seen
            ]
        return web.json_response(listed)


def _break(request: web.Request) -> None:
    """Ends the connection as a crash would."""
    transport = request.transport
    if transport is not None:
        transport.abort()


def main() -> None:
    parser = argparse.ArgumentParser(description="A fake provider of chat models that speaks OpenAI's protocol.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    with FakeProvider(parser.parse_args().port) as provider:
        print(provider.base_url, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
