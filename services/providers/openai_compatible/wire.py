"""The parts of OpenAI's chat completion protocol that are read; every other field passes by unread."""

from typing import Any, Final

import msgspec

from services.providers.chat_model import Usage


class Delta(msgspec.Struct):
    content: str | None = None


class ChunkChoice(msgspec.Struct):
    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None


class TokenCounts(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    @property
    def usage(self) -> Usage:
        return Usage(self.prompt_tokens or 0, self.completion_tokens or 0)


class Chunk(msgspec.Struct):
    """One `chat.completion.chunk`, or the error object that some providers send in its place."""

    choices: list[ChunkChoice] | None = None
    usage: TokenCounts | None = None
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class CompletedMessage(msgspec.Struct):
    content: str | None = None


class CompletedChoice(msgspec.Struct):
    message: CompletedMessage
    index: int = 0


class Completion(msgspec.Struct):
    """A `chat.completion`."""

    choices: list[CompletedChoice]
    usage: TokenCounts | None = None

    @property
    def text(self) -> str:
        return next((choice.message.content or "" for choice in self.choices if choice.index == 0), "")


class ModelCard(msgspec.Struct):
    id: str


class ModelList(msgspec.Struct):
    """What `GET /models` answers."""

    data: list[ModelCard]


class ErrorObject(msgspec.Struct):
    message: str | None = None
    code: Any = None


class ErrorBody(msgspec.Struct):
    error: ErrorObject | str | None = None


CHUNK: Final = msgspec.json.Decoder(Chunk)
COMPLETION: Final = msgspec.json.Decoder(Completion)
MODELS: Final = msgspec.json.Decoder(ModelList)
ERROR: Final = msgspec.json.Decoder(ErrorBody)
