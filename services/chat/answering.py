"""How a question becomes an answer: passages, prompt, kept answer or provider, citations."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from services.chat.exact_answers import ExactAnswers, answer_key
from services.chat.grounding.citations import cited
from services.chat.grounding.prompt import PromptPassages, fit, grounded, passage_budget
from services.chat.grounding.retrieving import Retrieving
from services.chat.meters import Meters
from services.chat.question import Cited, Done, Event, Passage, Question, RetrievalWish
from services.providers.chat_model import ChatModel, ChatPrompt, Finish
from services.providers.registry import ChatModels
from services.runtime.errors import UpstreamBadResponse


@dataclass(frozen=True, slots=True)
class Grounding:
    """The passages of a prompt, and what is to be said about those that are missing."""

    prompt: PromptPassages
    degraded: str

    @property
    def passages(self) -> tuple[Passage, ...]:
        return self.prompt.passages


class Answering:
    """Answers questions. `passage_chars` is the room for passages in a prompt, `answer_chars` the longest answer."""

    def __init__(
        self,
        models: ChatModels,
        retrieving: Retrieving,
        answers: ExactAnswers,
        meters: Meters,
        *,
        passage_chars: int,
        answer_chars: int,
    ) -> None:
        self.models = models
        self._retrieving = retrieving
        self._answers = answers
        self._meters = meters
        self._passage_chars = passage_chars
        self._answer_chars = answer_chars

    async def ground(
        self, text: str, wish: RetrievalWish, model: ChatModel, conversation_chars: int, max_output_tokens: int | None
    ) -> Grounding:
        """The passages for the question `text` that the prompt of a conversation of so many characters can hold.

        Raises:
            InvalidArgument: the conversation leaves no room for them.
            CollectionNotFound, Unavailable: retrieval failed.
        """
        budget = passage_budget(self._passage_chars, conversation_chars, model.context_tokens, max_output_tokens)
        found = await self._retrieving.retrieve(text, wish)
        fitting = fit(found.passages, budget)
        notes = [found.degraded] if found.degraded else []
        if fitting.left_out:
            notes.append(f"{fitting.left_out} of {len(found.passages)} passages did not fit into the prompt")
        return Grounding(fitting, "; ".join(notes))

    async def answer(self, question: Question) -> AsyncGenerator[Event, None]:
        """The events of an answer: pieces of text, `Cited` where retrieval was asked, `Done`.

        Closing the generator, or cancelling the task that drives it, stops retrieval or the provider at once.

        Raises:
            InvalidArgument, ModelNotFound, CollectionNotFound, Unavailable, Upstream: before or between the events.
        """
        model = self.models.get(question.model or "")
        with self._meters.answer(self.models.label(model.id)) as meter:
            grounding = await self._grounding(question, model)
            passages = grounding.passages if grounding is not None else None
            degraded = grounding.degraded if grounding is not None else ""
            key = answer_key(question, model.id, passages) if question.cache == "exact" else None
            kept = await self._answers.find(key) if key is not None else None
            if kept is not None:
                meter.cached()
                yield kept.text
                if passages is not None:
                    yield Cited(cited(kept.text, passages))
                yield Done("stop", model.id, kept.usage, cached=True, degraded=degraded)
                return
            text: list[str] = []
            finish = Finish("stop")
            length = 0
            async with aclosing(model.stream(_prompt(question, grounding))) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Finish):
                        finish = piece
                        continue
                    meter.piece()
                    text.append(piece)
                    length += len(piece)
                    self.check_length(length)
                    yield piece
            whole = "".join(text)
            if passages is not None:
                yield Cited(cited(whole, passages))
            if key is not None and finish.reason == "stop":
                await self._answers.keep(key, whole, finish.usage)
            meter.finished(finish.usage)
            yield Done(finish.reason, model.id, finish.usage, degraded=degraded)

    def check_length(self, chars: int) -> None:
        """Raises UpstreamBadResponse for a model that does not stop: its answer is kept here until it is complete."""
        if chars > self._answer_chars:
            raise UpstreamBadResponse(f"the answer is longer than {self._answer_chars} characters")

    async def _grounding(self, question: Question, model: ChatModel) -> Grounding | None:
        if question.retrieval is None:
            return None
        chars = sum(len(message.content) for message in question.messages)
        return await self.ground(question.text, question.retrieval, model, chars, question.max_output_tokens)


def _prompt(question: Question, grounding: Grounding | None) -> ChatPrompt:
    messages = list(question.messages)
    if grounding is not None:
        messages = grounded(messages, grounding.prompt.instructions)
    return ChatPrompt(
        messages=messages,
        question=question.text,
        sources=grounding.prompt.sources if grounding is not None else None,
        temperature=question.temperature,
        max_output_tokens=question.max_output_tokens,
    )
