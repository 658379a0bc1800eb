"""Answers chat completion requests: through the provider's own bytes where it speaks the protocol, else made here."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from services.chat.answering import Answering, Grounding
from services.chat.grounding.citations import cited
from services.chat.meters import Meters
from services.chat.openai_face import shapes
from services.chat.openai_face.request import CompletionRequest
from services.chat.question import Cited, Done, Question
from services.providers.chat_model import ChatModel, RelayModel, StreamIdentity, Usage


class Completions:
    """The OpenAI face of `Answering`."""

    def __init__(self, answering: Answering, meters: Meters) -> None:
        self._answering = answering
        self._meters = meters

    async def whole(self, request: CompletionRequest, request_id: str) -> bytes:
        """The JSON of a `chat.completion`.

        Raises:
            InvalidArgument, ModelNotFound, CollectionNotFound, Unavailable, Upstream.
        """
        model = self._model(request)
        if not isinstance(model, RelayModel):
            return await self._made_whole(request, model, request_id)
        with self._meters.answer(self._answering.models.label(model.id)) as meter:
            grounding = await self._grounding(request, model)
            answer = await model.complete(request.relayed(_instructions(grounding)))
            meter.piece()
            meter.finished(answer.usage)
        if grounding is None:
            return answer.raw
        return shapes.with_citations(answer.raw, cited(answer.text, grounding.passages))

    async def streamed(self, request: CompletionRequest, request_id: str) -> AsyncGenerator[bytes, None]:
        """Server-sent events, whole ones in every piece, with `[DONE]` at the end.

        Raises:
            As `whole`; after pieces were yielded too.
        """
        model = self._model(request)
        events = (
            self._relayed(request, model)
            if isinstance(model, RelayModel)
            else self._made_stream(request, model, request_id)
        )
        async with aclosing(events) as pieces:
            async for piece in pieces:
                yield piece
        yield shapes.DONE

    def _model(self, request: CompletionRequest) -> ChatModel:
        return self._answering.models.get(request.model)

    async def _relayed(self, request: CompletionRequest, model: RelayModel) -> AsyncGenerator[bytes, None]:
        with self._meters.answer(self._answering.models.label(model.id)) as meter:
            grounding = await self._grounding(request, model)
            text: list[str] = []
            length = 0
            identity: StreamIdentity | None = None
            told = grounding is None
            usage: Usage | None = None
            async with aclosing(model.relay(request.relayed(_instructions(grounding)))) as blocks:
                async for block in blocks:
                    meter.piece()
                    usage = block.usage or usage
                    if grounding is None or told:
                        yield block.raw
                        continue
                    text.append(block.text)
                    length += len(text[-1])
                    self._answering.check_length(length)
                    identity = identity or block.identity()
                    before, rest = block.split_before_finish()
                    if rest:
                        # Clients stop reading at the finish, so citations come just before it.
                        told = True
                        before += _citations(identity, "".join(text), grounding)
                    yield before + rest
            if grounding is not None and not told:
                yield _citations(identity or StreamIdentity(), "".join(text), grounding)
            meter.finished(usage)

    async def _grounding(self, request: CompletionRequest, model: ChatModel) -> Grounding | None:
        if request.retrieval is None:
            return None
        typed = request.typed()
        return await self._answering.ground(
            typed.question(), request.retrieval, model, typed.chars, request.max_output_tokens
        )

    async def _made_whole(self, request: CompletionRequest, model: ChatModel, request_id: str) -> bytes:
        text: list[str] = []
        citations, done = None, Done("stop", model.id)
        async with aclosing(self._answering.answer(_question(request, model))) as events:
            async for event in events:
                if isinstance(event, str):
                    text.append(event)
                elif isinstance(event, Cited):
                    citations = event.citations
                else:
                    done = event
        identity = _identity(model, request_id)
        return shapes.completion(identity, "".join(text), done.finish_reason, done.usage, citations)

    async def _made_stream(
        self, request: CompletionRequest, model: ChatModel, request_id: str
    ) -> AsyncGenerator[bytes, None]:
        maker = shapes.ChunkMaker(_identity(model, request_id))
        began = False
        async with aclosing(self._answering.answer(_question(request, model))) as events:
            async for event in events:
                if not began:
                    # Only now, so that an error before the first event is a plain HTTP error.
                    began = True
                    yield maker.role()
                if isinstance(event, str):
                    yield maker.content(event)
                elif isinstance(event, Cited):
                    yield maker.citations(event.citations)
                else:
                    yield maker.finish(event.finish_reason)
                    if request.typed().include_usage:
                        yield maker.usage(event.usage)


def _question(request: CompletionRequest, model: ChatModel) -> Question:
    typed = request.typed()
    typed.refuse_unanswerable(model.id)
    typed.question()
    return Question(
        messages=tuple(typed.messages),
        model=model.id,
        retrieval=request.retrieval,
        temperature=typed.temperature,
        max_output_tokens=request.max_output_tokens,
    )


def _identity(model: ChatModel, request_id: str) -> StreamIdentity:
    return StreamIdentity(f"chatcmpl-{request_id}", int(time.time()), model.id)


def _instructions(grounding: Grounding | None) -> str | None:
    return None if grounding is None else grounding.prompt.instructions


def _citations(identity: StreamIdentity, text: str, grounding: Grounding) -> bytes:
    return shapes.ChunkMaker(identity).citations(cited(text, grounding.passages))
