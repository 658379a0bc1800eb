"""The turns of one Converse stream: answered one after the other, remembered, and stopped when asked."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from services.chat.answering import Answering
from services.chat.pacing import HEARTBEAT, Heartbeat, Paced
from services.chat.question import Done, Event, Question
from services.providers.chat_model import ChatMessage
from services.runtime.errors import PergolaError

MAX_WAITING: Final = 4
"""Inputs that may wait while a turn is answered; the caller is held back beyond that."""
MAX_MESSAGES: Final = 1000
"""Messages a conversation remembers."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The turn ended by an error."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between heartbeats, between two joined pieces, and for a whole answer."""

    heartbeat: float
    interval: float
    answer: float


TurnEvent = Event | Failed | Heartbeat


class Conversation:
    """Takes inputs on one side, yields the events of their turns on the other.

    A turn that fails, or is stopped before the answer began, leaves no trace in what is remembered; one that is stopped
    later leaves what was said. Beyond `history_chars` characters the oldest messages are forgotten, a system message at
    the beginning excepted.
    """

    def __init__(self, answering: Answering, pace: Pace, history_chars: int) -> None:
        self._answering = answering
        self._pace = pace
        self._history_chars = history_chars
        self._history: list[ChatMessage] = []
        self._before: Question | None = None
        self._inputs: asyncio.Queue[Question | PergolaError | None] = asyncio.Queue(MAX_WAITING)
        self._answer: Paced[Event] | None = None
        self._cancelled = False

    async def offer(self, question: Question | PergolaError) -> None:
        """The next turn: a question, or what is wrong with it. Waits while too many turns wait."""
        await self._inputs.put(question)

    async def end(self) -> None:
        """No more inputs come. The turns that wait are answered."""
        await self._inputs.put(None)

    def cancel(self) -> None:
        """Stops the turn that is being answered. Between turns nothing happens: the answer was faster."""
        if self._answer is not None:
            self._cancelled = True
            self._answer.stop()

    async def events(self) -> AsyncGenerator[tuple[int, TurnEvent], None]:
        """The events of all turns, each with the number of its turn, from 1. A heartbeat between turns carries the
        number of the last one."""
        turn = 0
        while True:
            question = await self._next()
            if isinstance(question, Heartbeat):
                yield turn, question
                continue
            if question is None:
                return
            turn += 1
            if isinstance(question, PergolaError):
                yield turn, Failed(question)
                continue
            async with aclosing(self._turn(question)) as events:
                async for event in events:
                    yield turn, event

    async def _next(self) -> Question | PergolaError | Heartbeat | None:
        try:
            async with asyncio.timeout(self._pace.heartbeat):
                return await self._inputs.get()
        except TimeoutError:
            return HEARTBEAT

    async def _turn(self, new: Question) -> AsyncGenerator[TurnEvent, None]:
        question = new.following(self._history, self._before)
        text: list[str] = []
        answer = Paced(
            self._answering.answer(question),
            heartbeat=self._pace.heartbeat,
            interval=self._pace.interval,
            seconds=self._pace.answer,
        )
        self._answer, self._cancelled = answer, False
        done = False
        try:
            async with aclosing(answer.items()) as events:
                async for event in events:
                    if isinstance(event, str):
                        text.append(event)
                    if isinstance(event, Done):
                        # From here on a cancel comes too late.
                        self._answer, done = None, True
                    if not self._cancelled:
                        yield event
        except Exception as error:
            yield Failed(error)
            return
        finally:
            self._answer = None
        if done or text:
            self._remember(question, "".join(text))
        if not done:
            yield Done("cancelled", self._answering.models.get(question.model or "").id)

    def _remember(self, question: Question, answer: str) -> None:
        self._before = question
        history = [*question.messages, ChatMessage("assistant", answer)]
        head = history[:1] if history[0].role == "system" else []
        rest = history[len(head) :]
        size = sum(len(message.content) for message in history)
        while rest and (size > self._history_chars or len(head) + len(rest) > MAX_MESSAGES):
            size -= len(rest.pop(0).content)
        self._history = head + rest
