"""A chat completion request: read as little as possible, so that everything else reaches the provider untouched."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from services.chat.question import DEFAULT_K, RetrievalWish
from services.providers.chat_model import ChatMessage
from services.runtime.errors import InvalidArgument, Violation

_COLLECTION: Final = r"^[a-z0-9][a-z0-9_-]{0,62}$"
_PATH: Final = re.compile(r" - at `\$\.?(.*)`$")
_SYSTEM_ROLES: Final = ("system", "developer")

D = TypeVar("D")


class _Retrieval(msgspec.Struct, forbid_unknown_fields=True):
    """The field `retrieval`, by the rules of chat.proto."""

    collections: Annotated[list[Annotated[str, Meta(pattern=_COLLECTION)]], Meta(min_length=1, max_length=16)]
    mode: Literal["", "graph", "vector"] = "graph"
    k: Annotated[int, Meta(ge=1, le=100)] | None = None


class _Part(msgspec.Struct):
    type: str = "text"
    text: str = ""


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.type == "text")
        return self.content or ""


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _ResponseFormat(msgspec.Struct):
    type: str = "text"


class _Known(msgspec.Struct):
    """The fields that are read here; `_Typed` has those that matter only without a relay."""

    model: str | None = None
    stream: bool | None = None
    retrieval: _Retrieval | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None


class _Typed(msgspec.Struct):
    messages: list[_Message]
    n: int | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    logprobs: bool | None = None
    response_format: _ResponseFormat | None = None
    tool_choice: Any = None
    stream_options: _StreamOptions | None = None


_KNOWN: Final = msgspec.json.Decoder(_Known)
_TYPED: Final = msgspec.json.Decoder(_Typed)
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RAW_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])


class CompletionRequest:
    """The body of POST /v1/chat/completions.

    Raises:
        InvalidArgument: it is no JSON object, or one of the few fields read here is wrong.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        try:
            self._fields = _FIELDS.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise InvalidArgument("the body is not a JSON object") from None
        known = _decoded(_KNOWN, body)
        self.model = known.model or ""
        self.stream = bool(known.stream)
        self.max_output_tokens = known.max_completion_tokens or known.max_tokens
        self.retrieval = None
        if known.retrieval is not None:
            wish = known.retrieval
            self.retrieval = RetrievalWish(
                tuple(dict.fromkeys(wish.collections)), wish.mode or "graph", wish.k or DEFAULT_K
            )

    def relayed(self, instructions: str | None) -> Mapping[str, msgspec.Raw]:
        """The fields for the provider: without `retrieval`, and with `instructions` in the first system message."""
        fields = dict(self._fields)
        fields.pop("retrieval", None)
        if instructions is not None:
            messages = _RAW_LIST.decode(fields["messages"])
            fields["messages"] = msgspec.Raw(msgspec.json.encode(_instructed(messages, instructions)))
        return fields

    def typed(self) -> "TypedRequest":
        """The request in Pergola's words, for models without a provider, and for retrieval.

        Raises:
            InvalidArgument: a message has another form than OpenAI's.
        """
        return TypedRequest(_decoded(_TYPED, self._body))


class TypedRequest:
    """What a request asks, in Pergola's words."""

    def __init__(self, body: _Typed) -> None:
        self._body = body
        self.temperature = body.temperature
        self.include_usage = bool(body.stream_options and body.stream_options.include_usage)
        self.messages: Sequence[ChatMessage] = [
            ChatMessage("system" if message.role in _SYSTEM_ROLES else message.role, message.text)
            for message in body.messages
        ]

    @property
    def chars(self) -> int:
        return sum(len(message.content) for message in self.messages)

    def question(self) -> str:
        """The last user message: what is searched for.

        Raises:
            InvalidArgument: no message is a user's, or it has no text.
        """
        text = next((message.content for message in reversed(self.messages) if message.role == "user"), "")
        if not text.strip():
            raise InvalidArgument(
                "retrieval needs a question: a message of role `user` with text",
                violations=[Violation("messages", "must hold a message of role `user` with text")],
            )
        return text

    def refuse_unanswerable(self, model: str) -> None:
        """For models without a provider: refuses what would change the shape of the answer.

        Raises:
            InvalidArgument: naming each such field.
        """
        body = self._body
        found = []
        if body.n not in (None, 1):
            found.append(Violation("n", f"must be 1: the model {model!r} gives one answer"))
        if body.logprobs:
            found.append(Violation("logprobs", f"the model {model!r} has no probabilities"))
        if body.response_format is not None and body.response_format.type != "text":
            found.append(Violation("response_format", f"must be `text`: the model {model!r} writes nothing else"))
        if body.tool_choice not in (None, "none", "auto"):
            found.append(Violation("tool_choice", f"must be `auto` or `none`: the model {model!r} calls no tools"))
        for position, message in enumerate(body.messages):
            if message.role not in ("system", "developer", "user", "assistant", "tool"):
                found.append(Violation(f"messages[{position}].role", "must be a role of the OpenAI API"))
        if found:
            raise InvalidArgument(f"{found[0].field}: {found[0].description}", violations=found)


def _instructed(messages: list[msgspec.Raw], instructions: str) -> list[Any]:
    """The messages with `instructions` in their first system message; all others keep their very bytes."""
    if messages:
        first = msgspec.json.decode(messages[0], type=dict[str, msgspec.Raw])
        role = msgspec.json.decode(first.get("role", msgspec.Raw(b"null")))
        if role in _SYSTEM_ROLES:
            content = msgspec.json.decode(first.get("content", msgspec.Raw(b"null")))
            if isinstance(content, list):
                content = [*content, {"type": "text", "text": instructions}]
            else:
                content = f"{content}\n\n{instructions}" if content else instructions
            return [{**first, "content": content}, *messages[1:]]
    return [{"role": "system", "content": instructions}, *messages]


def _decoded(decoder: msgspec.json.Decoder[D], body: bytes) -> D:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        text = str(error)
        path = _PATH.search(text)
        field = path.group(1) if path else ""
        description = _PATH.sub("", text)
        raise InvalidArgument(
            f"{field}: {description}" if field else description, violations=[Violation(field, description)]
        ) from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise InvalidArgument("the body is not a JSON object") from None
