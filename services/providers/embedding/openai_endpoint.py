"""A model behind an endpoint that speaks OpenAI's embeddings protocol: OpenAI, vLLM, Ollama, TEI and many more."""

import asyncio
import base64
import binascii
import random
import re
from collections.abc import Sequence
from typing import Final

import aiohttp
import msgspec
import numpy as np

from services.providers.embedding.estimate import Estimate
from services.providers.embedding.model import Vectors
from services.providers.embedding.pace import Pace
from services.providers.openai_compatible import failures
from services.providers.openai_compatible.endpoint import proxy_for
from services.runtime.call import remaining
from services.runtime.errors import (
    Upstream,
    UpstreamAuthentication,
    UpstreamBadResponse,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
)
from services.runtime.settings import Secret

_ATTEMPTS: Final = 4
_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 20.0
_CONNECT_SECONDS: Final = 10.0
_ERROR_BYTES: Final = 64 * 1024
_NUMBER_BYTES: Final = 32
"""Generous for one number in JSON text; a base64 one takes 5.4."""

_SIZE: Final = re.compile(r"token|too (?:large|long|many|big)|maximum|at most|batch|array length|limit", re.IGNORECASE)
"""In the words with which providers refuse a request for its size."""


class _Item(msgspec.Struct):
    index: int
    embedding: str | list[float]


class _Answer(msgspec.Struct):
    data: list[_Item]


_DECODER: Final = msgspec.json.Decoder(_Answer)


class OpenAIEndpoint:
    """The embedding model `model` at `base_url`. Satisfies `EmbeddingModel`.

    Asks for base64 and understands lists of numbers too. Never more than `concurrency` requests at once, and fewer when
    the endpoint refuses some (see `Pace`); what is too large is sent in halves. What is worth it is tried again while
    the current call's time lasts: 429 after the wait the endpoint asks for, server errors and lost connections after a
    growing one.
    """

    latin_only = False

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        dimension: int,
        window: int,
        key: Secret | None,
        batch: int,
        concurrency: int,
        seconds: float,
    ) -> None:
        """`window` in tokens, `seconds` for one request. Needs a running event loop."""
        self.name = model
        self.fingerprint = f"{model}:{dimension}"
        self.dimension = dimension
        self.window = window
        self.tokenizer = Estimate()
        self._url = f"{base_url.rstrip('/')}/embeddings"
        self._proxy = proxy_for(base_url)
        self._key = key
        self._seconds = seconds
        self.pace = Pace(model, concurrency=concurrency, batch=batch)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=concurrency),
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"user-agent": "pergola", "content-type": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:  # noqa: ARG002 - see below
        """One vector a text, in order. Urgent texts need no way past the others: the requests are many and short."""
        cut = [self._cut(text) for text in texts]
        batch = self.pace.batch
        parts = [cut[first : first + batch] for first in range(0, len(cut), batch)]
        tasks = [asyncio.create_task(self._part(part)) for part in parts]
        try:
            made = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return np.concatenate(made) if made else np.empty((0, self.dimension), np.float32)

    async def close(self) -> None:
        await self._session.close()

    def _cut(self, text: str) -> str:
        # No token is longer than four characters, so a text this short fits without a look.
        if len(text) <= self.window:
            return text
        spans = self.tokenizer.spans([text])[0]
        return text if len(spans) <= self.window else text[: spans[self.window - 1][1]]

    async def _part(self, texts: Sequence[str]) -> Vectors:
        attempt = 1
        while True:
            if len(texts) > self.pace.batch:
                # Another request has shown meanwhile that this one would be too large.
                return await self._halves(texts)
            begun = 0.0
            try:
                async with self.pace.turn() as begun:
                    made = await self._ask(texts)
                    self.pace.served()
            except UpstreamRejected as error:
                if len(texts) == 1 or not _too_large(error):
                    raise
                self.pace.too_large(len(texts))
                return await self._halves(texts)
            except (UpstreamAuthentication, UpstreamBadResponse):
                raise
            except Upstream as error:
                if not begun:
                    # Not even asked: there is no time left to wait for a turn.
                    raise
                wait = error.retry_after
                if wait is None:
                    wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311
                limited = isinstance(error, UpstreamRateLimited)
                if limited:
                    self.pace.refused(begun, min(wait, _LONGEST_WAIT))
                left = remaining()
                if attempt >= _ATTEMPTS or wait > _LONGEST_WAIT or (left is not None and wait >= left):
                    raise
            else:
                return made
            attempt += 1
            if not limited:
                await asyncio.sleep(wait)

    async def _halves(self, texts: Sequence[str]) -> Vectors:
        middle = len(texts) // 2
        return np.concatenate([await self._part(texts[:middle]), await self._part(texts[middle:])])

    async def _ask(self, texts: Sequence[str]) -> Vectors:
        body = msgspec.json.encode({"model": self.name, "input": texts, "encoding_format": "base64"})
        headers = {} if self._key is None else {"authorization": f"Bearer {self._key.reveal()}"}
        limit = len(texts) * (self.dimension * _NUMBER_BYTES + 1024) + _ERROR_BYTES
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._session.post(
                    self._url, data=body, headers=headers, proxy=self._proxy, allow_redirects=False
                ) as answer,
            ):
                if answer.status != 200:
                    said = await _read(answer, _ERROR_BYTES)
                    if self._key is not None:
                        said = said.replace(self._key.reveal().encode(), b"...")
                    raise failures.from_status(answer.status, answer.headers, said, self.name)
                read = await _read(answer, limit + 1)
        except TimeoutError:
            raise UpstreamTimeout(f"the provider of {self.name} did not answer within {self._seconds:g} s") from None
        except (aiohttp.ClientError, ConnectionError):
            raise UpstreamError(f"the provider of {self.name} can't be reached, or broke off its answer") from None
        if len(read) > limit:
            raise UpstreamBadResponse(f"the answer of {self.name} is larger than its vectors can be")
        return self._vectors(read, len(texts))

    def _vectors(self, read: bytes, count: int) -> Vectors:
        try:
            items = sorted(_DECODER.decode(read).data, key=lambda item: item.index)
            rows = [_numbers(item.embedding) for item in items]
        except (msgspec.MsgspecError, binascii.Error, ValueError):
            raise UpstreamBadResponse(f"the provider of {self.name} did not answer with embeddings") from None
        if [item.index for item in items] != list(range(count)):
            raise UpstreamBadResponse(f"the provider of {self.name} answered with other embeddings than were asked for")
        lengths = {row.shape[0] for row in rows}
        if lengths != {self.dimension}:
            raise UpstreamBadResponse(
                f"the provider of {self.name} makes vectors of {sorted(lengths)[0]} numbers, the setting "
                f"embedding_endpoint_dimension says {self.dimension}"
            )
        vectors = np.stack(rows)
        if not np.isfinite(vectors).all():
            raise UpstreamBadResponse(f"the provider of {self.name} answered with numbers that are not finite")
        return vectors


def _too_large(error: UpstreamRejected) -> bool:
    """Whether what was refused together may be right in halves. Only words tell it where the status is 400 or 422."""
    status = error.metadata.get("upstream_status")
    return status == "413" or (status in ("400", "422") and _SIZE.search(error.message) is not None)


def _numbers(embedding: str | list[float]) -> Vectors:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), "<f4").astype(np.float32)
    return np.array(embedding, np.float32)


async def _read(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """At most `limit` bytes of a body."""
    read = bytearray()
    async for part in answer.content.iter_any():
        read += part
        if len(read) >= limit:
            return bytes(read[:limit])
    return bytes(read)
