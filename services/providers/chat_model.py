"""What a chat model is asked and what it answers, whoever provides it."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import msgspec


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message: `role` is `system`, `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Source:
    """A passage the answer may cite as `[number]`; numbers begin at 1."""

    number: int
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """A whole prompt.

    `messages` are complete: they already carry the sources' text where there are any. `question` and `sources` are the
    same once more, apart, for models that do not read prose. `sources` is None when no retrieval was asked, and empty
    when it found nothing.
    """

    messages: Sequence[ChatMessage]
    question: str
    sources: Sequence[Source] | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counts them."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Finish:
    """The last thing a model's stream yields. `reason`: `stop`, `length` or `content_filter`."""

    reason: str
    usage: Usage | None = None


class ChatModel(Protocol):
    """A model that can be asked. `id` is the name callers use, `owner` whose it is."""

    @property
    def id(self) -> str: ...

    @property
    def owner(self) -> str: ...

    @property
    def context_tokens(self) -> int | None:
        """How many tokens of prompt and answer the model can hold; None: not known."""
        ...

    def stream(self, prompt: ChatPrompt) -> AsyncGenerator[str | Finish, None]:
        """Yields pieces of the answer, whatever is ready together, then one `Finish`.

        Closing the generator, or cancelling the task that drives it, stops the provider's work at once.

        Raises:
            InvalidArgument: the model can't answer such a prompt.
            Upstream: the provider failed; after pieces were yielded too.
        """
        ...


@runtime_checkable
class RelayModel(ChatModel, Protocol):
    """A model whose provider speaks the OpenAI protocol, so that `/v1` bodies can be handed through as they are."""

    def relay(self, body: Mapping[str, msgspec.Raw]) -> AsyncGenerator["RelayedEvents", None]:
        """Sends a chat completion request with `stream: true` among its fields, yields its server-sent events as they
        arrive. Only `model` is replaced; every other field keeps its very bytes.

        The stream ends normally only when the provider finished its answer. The closing `[DONE]` is not among the
        events.

        Raises:
            Upstream: as `stream` does.
        """
        ...

    async def complete(self, body: Mapping[str, msgspec.Raw]) -> "RelayedAnswer":
        """Sends a chat completion request without streaming.

        Raises:
            Upstream: as `stream` does.
        """
        ...


@dataclass(frozen=True, slots=True)
class RelayedAnswer:
    """A whole answer: the JSON as the provider sent it, the text of its first choice, and what it cost."""

    raw: bytes
    text: str
    usage: Usage | None


class RelayedEvents(Protocol):
    """Whole server-sent events that arrived together."""

    @property
    def raw(self) -> bytes:
        """The bytes as the provider sent them, ending with a blank line."""
        ...

    @property
    def text(self) -> str:
        """What the events add to the answer's first choice."""
        ...

    @property
    def usage(self) -> Usage | None:
        """What the provider counted; usually in the last events only, and only where the request asks for it."""
        ...

    def split_before_finish(self) -> tuple[bytes, bytes]:
        """`raw`, parted before the event that carries the `finish_reason`; the second part is empty without one."""
        ...

    def identity(self) -> "StreamIdentity":
        """What every event of the answer repeats; taken from the first that has it."""
        ...


class StreamIdentity(msgspec.Struct):
    """The fields that all chunks of one answer share."""

    id: str = ""
    created: int = 0
    model: str = ""
