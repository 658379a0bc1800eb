"""The settings of the chat service."""

from typing import Annotated

from msgspec import Meta

from services.providers.chat_models import ChatModelsError, ChatModelSpec, read_chat_models
from services.providers.extractive.model import EXTRACTIVE
from services.runtime.settings import ServiceSettings


class ChatSettings(ServiceSettings, frozen=True, kw_only=True):
    """Fields of PERGOLA_CHAT_*. Times are seconds."""

    models: Annotated[
        str,
        Meta(
            description="Chat models beside `extractive`: JSON text, or the path of a .json or .toml file "
            '(docs/chat.md), such as `[{"id": "ollama/*", "base_url": "http://127.0.0.1:11434/v1"}]`.'
        ),
    ] = ""
    default_model: Annotated[
        str, Meta(min_length=1, max_length=256, description="The model of a question that names none.")
    ] = EXTRACTIVE
    provider_connect_seconds: Annotated[
        float, Meta(gt=0, description="Longest wait for a connection to a model's endpoint.")
    ] = 10.0
    provider_first_byte_seconds: Annotated[
        float,
        Meta(gt=0, description="Longest wait until a model's answer begins; without streaming, until it is there."),
    ] = 120.0
    provider_idle_seconds: Annotated[float, Meta(gt=0, description="Longest a model's stream may stand still.")] = 60.0
    provider_connections: Annotated[int, Meta(ge=1, description="Calls to one endpoint at a time; more wait.")] = 256
    provider_body_bytes: Annotated[
        int, Meta(ge=1024, description="Largest answer of a model that is not streamed, in bytes.")
    ] = 16 * 1024 * 1024
    retrieval_seconds: Annotated[
        float,
        Meta(
            gt=0, description="Longest wait for passages. The graph service has half of it, then search alone serves."
        ),
    ] = 10.0
    passage_chars: Annotated[
        int, Meta(ge=1000, description="Characters of a prompt that passages may take; those beyond are left out.")
    ] = 24_000
    answer_chars: Annotated[
        int, Meta(ge=1000, description="Longest answer, in characters; a model that goes on is stopped.")
    ] = 2_000_000
    answer_seconds: Annotated[float, Meta(gt=0, description="Longest an answer of a Converse stream may take.")] = 600.0
    kept_answer_seconds: Annotated[
        float, Meta(ge=1, le=31_622_400, description="How long an answer is kept for `cache: exact`.")
    ] = 3600.0
    conversation_chars: Annotated[
        int, Meta(ge=1000, description="Characters a Converse stream remembers; older messages are forgotten.")
    ] = 400_000
    heartbeat_seconds: Annotated[
        float, Meta(gt=0, description="A stream on which nothing came for this long gets a sign of life.")
    ] = 15.0
    piece_interval_seconds: Annotated[
        float,
        Meta(ge=0, le=1, description="Shortest time between two pieces of a stream; what comes in between waits."),
    ] = 0.0

    def problems(self) -> list[str]:
        found = super().problems()
        try:
            specs = self.chat_models()
        except ChatModelsError as error:
            return [*found, *(f"models: {problem}" for problem in error.problems)]
        if self.default_model != EXTRACTIVE and not any(spec.matches(self.default_model) for spec in specs):
            found.append(f"default_model: there is no model {self.default_model!r} among models")
        return found

    def chat_models(self) -> list[ChatModelSpec]:
        """The entries of `models`.

        Raises:
            ChatModelsError: they can't be used.
        """
        return read_chat_models(self.models)
