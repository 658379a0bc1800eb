"""The HTTP connection to one OpenAI-compatible endpoint: bounded, with a limit for every wait."""

import asyncio
import ipaddress
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import aiohttp
import msgspec

from services.providers.openai_compatible import failures, wire
from services.runtime.errors import (
    Upstream,
    UpstreamBadResponse,
    UpstreamError,
    UpstreamStreamCut,
    UpstreamTimeout,
)
from services.runtime.settings import Secret

MAX_ERROR_BODY: Final = 64 * 1024
LIST_SECONDS: Final = 5.0
"""A listing of models that takes longer is not waited for."""
_DRAIN_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Limits:
    """How long an endpoint may keep us waiting, in seconds, and how much of it is used at once."""

    connect: float = 10.0
    """For a free connection, DNS, TCP and TLS together."""
    first_byte: float = 120.0
    """From the request to the first byte of the answer; a whole answer that is not streamed must come within it."""
    idle: float = 60.0
    """Between two reads of a stream."""
    connections: int = 256
    """Calls to the endpoint at a time; more wait, at most `connect`."""
    body_bytes: int = 16 * 1024 * 1024
    """Largest answer that is not streamed."""


class Endpoint:
    """One base URL and its key. An async context manager: leaving it closes the connections.

    Proxies of the environment (`https_proxy`, `no_proxy`) are honoured, except for this machine's own addresses.
    Redirects are not followed: the key goes to the configured address and nowhere else.
    """

    def __init__(self, base_url: str, key: Secret | None, limits: Limits) -> None:
        self.base_url = base_url.rstrip("/")
        self.limits = limits
        self._key = key
        self._proxy = proxy_for(self.base_url)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.limits.connections, keepalive_timeout=15),
            timeout=aiohttp.ClientTimeout(total=None, connect=self.limits.connect),
            # A compressed stream would sit in the provider's compressor.
            headers={"accept-encoding": "identity", "user-agent": "pergola"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def stream(self, body: bytes, model: str) -> AsyncIterator["Stream"]:
        """Posts a chat completion request; the answer is read while the context is open.

        Leaving it before `Stream.drain` closes the connection, which tells the provider to stop.

        Raises:
            Upstream: everything that can go wrong before the answer begins.
        """
        async with self._answer(body, model, "text/event-stream") as answer:
            if not answer.content_type.endswith("event-stream"):
                raise UpstreamBadResponse(f"the provider of {model} did not answer with a stream of events")
            yield Stream(answer, model, self.limits.idle)

    async def read_whole(self, body: bytes, model: str) -> bytes:
        """Posts a chat completion request and returns the body of its answer.

        Raises:
            Upstream: everything that can go wrong.
        """
        try:
            async with asyncio.timeout(self.limits.first_byte), self._answer(body, model, "application/json") as answer:
                with _broken_off(model):
                    return await _bounded_body(answer, self.limits.body_bytes, model)
        except TimeoutError:
            raise UpstreamTimeout(
                f"the provider of {model} did not finish its answer within {self.limits.first_byte:g} s"
            ) from None

    async def model_ids(self) -> list[str]:
        """The models the endpoint lists.

        Raises:
            Upstream: it could not be asked.
        """
        name = f"the endpoint {self.base_url}"
        with _refused(name):
            async with (
                asyncio.timeout(LIST_SECONDS),
                self._open().get(
                    f"{self.base_url}/models", headers=self._headers(), proxy=self._proxy, allow_redirects=False
                ) as answer,
            ):
                body = await _bounded_body(answer, self.limits.body_bytes, name)
                if answer.status != 200:
                    raise failures.from_status(answer.status, answer.headers, body, name)
        try:
            return [card.id for card in wire.MODELS.decode(body).data]
        except msgspec.MsgspecError:
            raise UpstreamBadResponse(f"{name} did not answer with a list of models") from None

    @asynccontextmanager
    async def _answer(self, body: bytes, model: str, accept: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer with status 200. On leaving, an answer that was not read to its end loses its connection."""
        with _refused(model):
            async with asyncio.timeout(self.limits.first_byte):
                answer = await self._open().post(
                    f"{self.base_url}/chat/completions",
                    data=body,
                    headers=self._headers() | {"content-type": "application/json", "accept": accept},
                    proxy=self._proxy,
                    allow_redirects=False,
                )
        try:
            if answer.status != 200:
                raise await self._failure(answer, model)
            yield answer
        finally:
            if answer.content.at_eof():
                answer.release()
            else:
                answer.close()

    async def _failure(self, answer: aiohttp.ClientResponse, model: str) -> Upstream:
        said = b""
        try:
            async with asyncio.timeout(self.limits.idle):
                said = await answer.content.read(MAX_ERROR_BODY)
        except (TimeoutError, aiohttp.ClientError):
            pass  # The status alone says enough.
        if self._key is not None:
            said = said.replace(self._key.reveal().encode(), b"...")
        return failures.from_status(answer.status, answer.headers, said, model)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the endpoint is used outside of its context")
        return self._session

    def _headers(self) -> dict[str, str]:
        return {} if self._key is None else {"authorization": f"Bearer {self._key.reveal()}"}


class Stream:
    """The bytes of a streamed answer."""

    def __init__(self, answer: aiohttp.ClientResponse, model: str, idle: float) -> None:
        self._content = answer.content
        self._model = model
        self._idle = idle

    async def read(self) -> bytes:
        """Whatever has arrived, at least one byte; empty at the end.

        Raises:
            UpstreamTimeout: nothing came for the idle limit.
            UpstreamStreamCut: the connection broke, or the HTTP body ended in the middle.
        """
        with _broken_off(self._model):
            try:
                async with asyncio.timeout(self._idle):
                    return await self._content.readany()
            except TimeoutError:
                raise UpstreamTimeout(
                    f"the provider of {self._model} sent nothing for {self._idle:g} s in the middle of its answer"
                ) from None

    async def drain(self) -> None:
        """Waits a moment for the end of the HTTP body, which often comes a packet after the last event: a connection
        that can be used again is worth that."""
        if self._content.at_eof():
            return
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                await self._content.readany()
        except (TimeoutError, aiohttp.ClientError):
            pass  # The answer is complete all the same.


def proxy_for(url: str) -> str | None:
    """The proxy the environment names for `url`; None for addresses of this machine, whatever it names."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return None
    try:
        if ipaddress.ip_address(host).is_loopback:
            return None
    except ValueError:
        pass
    return None if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get(parts.scheme)


@contextmanager
def _refused(model: str) -> Iterator[None]:
    """Translates what goes wrong before an answer begins."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError:
        raise UpstreamTimeout(f"no connection to the provider of {model} could be had in time") from None
    except TimeoutError:
        raise UpstreamTimeout(f"the provider of {model} did not begin to answer in time") from None
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError):
        raise UpstreamError(f"the provider of {model} closed the connection without an answer") from None
    except aiohttp.ClientSSLError:
        raise UpstreamError(f"the provider of {model} has no certificate that can be trusted") from None
    except aiohttp.ClientConnectionError:
        raise UpstreamError(f"the provider of {model} can't be reached") from None
    except aiohttp.ClientError:
        raise UpstreamBadResponse(f"the provider of {model} does not answer in HTTP that can be read") from None


@contextmanager
def _broken_off(model: str) -> Iterator[None]:
    """Translates what goes wrong while an answer is read."""
    try:
        yield
    except (aiohttp.ClientError, ConnectionError):
        raise UpstreamStreamCut(f"the provider of {model} broke off in the middle of its answer") from None


async def _bounded_body(answer: aiohttp.ClientResponse, limit: int, model: str) -> bytes:
    body = bytearray()
    async for data in answer.content.iter_any():
        body += data
        if len(body) > limit:
            raise UpstreamBadResponse(f"the answer of {model} is larger than {limit} bytes")
    return bytes(body)
