"""Answers kept for the very same question: same messages, model and settings, and the same passages found for it.

Retrieval runs before the look-up. A document that changes changes the passages, and with them the key, so a kept
answer never outlives what it rests on.
"""

import hashlib
import logging
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from services.chat.question import Passage, Question
from services.providers.chat_model import Usage
from services.runtime.errors import PergolaError

log = logging.getLogger(__name__)

_VERSION: Final = 1
"""Of prompt, key and form. Another version finds nothing of this one's."""


class KeptAnswer(msgspec.Struct, frozen=True):
    """A complete answer. Citations are found again in its text."""

    text: str
    input_tokens: int | None
    output_tokens: int | None

    @property
    def usage(self) -> Usage | None:
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return Usage(self.input_tokens, self.output_tokens)


class AnswerStore(Protocol):
    """Where answers are kept; belongs to the current call's tenant."""

    async def get(self, key: str) -> bytes | None: ...

    async def put(self, key: str, value: bytes) -> None: ...


class ExactAnswers:
    """Keeps answers. A cache that does not answer costs a provider's call, never an answer."""

    def __init__(self, store: AnswerStore) -> None:
        self._store = store

    async def find(self, key: str) -> KeptAnswer | None:
        try:
            kept = await self._store.get(key)
        except PergolaError as error:
            log.warning("kept answers can't be read: %s", error.message)
            return None
        if kept is None:
            return None
        try:
            return msgspec.json.decode(kept, type=KeptAnswer)
        except msgspec.MsgspecError:
            log.warning("a kept answer can't be read and is made anew")
            return None

    async def keep(self, key: str, text: str, usage: Usage | None) -> None:
        answer = KeptAnswer(
            text, usage.input_tokens if usage is not None else None, usage.output_tokens if usage is not None else None
        )
        try:
            await self._store.put(key, msgspec.json.encode(answer))
        except PergolaError as error:
            log.warning("an answer can't be kept: %s", error.message)


def answer_key(question: Question, model: str, passages: Sequence[Passage] | None) -> str:
    """A digest of everything that decides an answer. The tenant is the store's business."""
    wish = question.retrieval
    decisive = (
        _VERSION,
        model,
        [(message.role, message.content) for message in question.messages],
        question.temperature,
        question.max_output_tokens,
        None if wish is None else (wish.mode, wish.collections, wish.k),
        None if passages is None else [(one.collection, one.id, one.title, one.text) for one in passages],
    )
    return hashlib.sha256(msgspec.json.encode(decisive)).hexdigest()
