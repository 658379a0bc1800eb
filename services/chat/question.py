"""What is asked, and what comes back, in the words of chat."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self

from services.providers.chat_model import ChatMessage, Usage
from services.runtime.errors import InvalidArgument, Violation

DEFAULT_K: Final = 8

Mode = Literal["graph", "vector"]


@dataclass(frozen=True, slots=True)
class RetrievalWish:
    """Where passages are to come from, and how many the model may see."""

    collections: tuple[str, ...]
    mode: Mode = "graph"
    k: int = DEFAULT_K


@dataclass(frozen=True, slots=True)
class Question:
    """A conversation up to a question. What is None was not given."""

    messages: tuple[ChatMessage, ...]
    model: str | None = None
    retrieval: RetrievalWish | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None
    cache: Literal["exact"] | None = None

    @property
    def text(self) -> str:
        """The last user message: what is searched for."""
        return next((message.content for message in reversed(self.messages) if message.role == "user"), "")

    def checked(self, where: str = "input.messages") -> Self:
        """This question, if it ends with something a user asks.

        Raises:
            InvalidArgument: it does not.
        """
        last = len(self.messages) - 1
        if not self.messages or self.messages[last].role != "user":
            raise InvalidArgument(
                "the last message must be the user's",
                violations=[Violation(f"{where}[{max(last, 0)}].role", "must be `user` in the last message")],
            )
        if not self.messages[last].content.strip():
            raise InvalidArgument(
                "the last message asks nothing",
                violations=[Violation(f"{where}[{last}].content", "must not be empty in the last message")],
            )
        return self

    def following(self, history: Sequence[ChatMessage], before: "Question | None") -> "Question":
        """This question as the next turn of a conversation: what it leaves open stays as it was `before`."""
        messages = (*history, *self.messages)
        if before is None:
            return replace(self, messages=messages)

        def kept(field: str) -> Any:
            own = getattr(self, field)
            return getattr(before, field) if own is None else own

        settings = ("model", "retrieval", "temperature", "max_output_tokens", "cache")
        return replace(self, messages=messages, **{field: kept(field) for field in settings})


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage that retrieval found. `start` and `end` count Unicode code points of the document's text; `score`
    compares within one retrieval only; `path` says in words how it was found, from the question on."""

    collection: str
    id: str
    document: str
    title: str
    text: str
    start: int
    end: int
    score: float
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage the answer names, with the number it names it by."""

    number: int
    passage: Passage


@dataclass(frozen=True, slots=True)
class Cited:
    """The event that tells which passages the answer cites; empty when it names none."""

    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """The last event of an answer. `finish_reason`: `stop`, `length`, `content_filter` or `cancelled`."""

    finish_reason: str
    model: str
    usage: Usage | None = None
    cached: bool = False
    degraded: str = ""


Event = str | Cited | Done
"""An answer is pieces of text, then `Cited` (with retrieval only), then `Done`."""
