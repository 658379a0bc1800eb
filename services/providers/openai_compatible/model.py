"""A chat model behind an OpenAI-compatible endpoint."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

import msgspec

from services.providers.chat_model import ChatPrompt, Finish, RelayedAnswer
from services.providers.openai_compatible import failures, wire
from services.providers.openai_compatible.endpoint import Endpoint
from services.providers.openai_compatible.events import EventBlock, EventReader
from services.runtime.errors import UpstreamBadResponse, UpstreamStreamCut

_REASONS: Final = {"length": "length", "content_filter": "content_filter"}


class OpenAICompatibleModel:
    """The model `upstream_model` of `endpoint`, known to callers as `id`. Satisfies `RelayModel`.

    `max_tokens_field` is the name the endpoint has for the longest answer: `max_tokens`, or `max_completion_tokens`,
    which is all that newer models of OpenAI's take.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        id: str,
        upstream_model: str,
        context_tokens: int | None = None,
        max_tokens_field: str = "max_tokens",
    ) -> None:
        self.id = id
        self.owner = "openai-compatible"
        self.context_tokens = context_tokens
        self._endpoint = endpoint
        self._upstream_model = upstream_model
        self._max_tokens_field = max_tokens_field

    async def stream(self, prompt: ChatPrompt) -> AsyncGenerator[str | Finish, None]:
        reason, usage = "stop", None
        async with aclosing(self._blocks(self._body(prompt))) as blocks:
            async for block in blocks:
                if text := block.text:
                    yield text
                reason = _REASONS.get(block.finish_reason or "", reason)
                usage = block.usage or usage
        yield Finish(reason, usage)

    async def relay(self, body: Mapping[str, msgspec.Raw]) -> AsyncGenerator[EventBlock, None]:
        async with aclosing(self._blocks(self._renamed(body))) as blocks:
            async for block in blocks:
                yield block

    async def complete(self, body: Mapping[str, msgspec.Raw]) -> RelayedAnswer:
        raw = await self._endpoint.read_whole(self._renamed(body), self.id)
        try:
            answer = wire.COMPLETION.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise UpstreamBadResponse(f"the provider of {self.id} did not answer with a chat completion") from None
        return RelayedAnswer(raw, answer.text, answer.usage.usage if answer.usage is not None else None)

    async def _blocks(self, body: bytes) -> AsyncGenerator[EventBlock, None]:
        """The events of a streamed answer; ends normally only after the answer's end was seen."""
        reader, finished, done = EventReader(), False, False
        async with self._endpoint.stream(body, self.id) as answer:
            while not done:
                piece = await answer.read()
                block = reader.feed(piece) if piece else reader.close()
                if block is not None:
                    if block.raw:
                        yield block
                    finished = finished or block.done or block.finish_reason is not None
                    done = block.done
                    self._check(block)
                if not piece:
                    break
            else:
                await answer.drain()
        if not finished:
            raise UpstreamStreamCut(f"the provider of {self.id} broke off in the middle of its answer")

    def _check(self, block: EventBlock) -> None:
        if block.error is not None:
            raise failures.from_event(block.error, self.id)
        if block.broken:
            raise UpstreamBadResponse(f"the provider of {self.id} sent an event that can't be read")

    def _body(self, prompt: ChatPrompt) -> bytes:
        body: dict[str, Any] = {
            "model": self._upstream_model,
            "messages": [{"role": message.role, "content": message.content} for message in prompt.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if prompt.temperature is not None:
            body["temperature"] = prompt.temperature
        if prompt.max_output_tokens is not None:
            body[self._max_tokens_field] = prompt.max_output_tokens
        return msgspec.json.encode(body)

    def _renamed(self, body: Mapping[str, msgspec.Raw]) -> bytes:
        return msgspec.json.encode({**body, "model": self._upstream_model})
