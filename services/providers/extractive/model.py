"""The model `extractive`: quotes passages, cites them, and says that no model wrote the answer."""

from collections.abc import AsyncGenerator
from typing import Final

from services.providers.chat_model import ChatPrompt, Finish
from services.providers.extractive.sentences import best_sentences
from services.runtime.errors import InvalidArgument, Violation

EXTRACTIVE: Final = "extractive"
MAX_SENTENCES: Final = 5
_CHARS_PER_TOKEN: Final = 4
_OPENING: Final = "From the passages found, word for word (no language model wrote this):\n"
_NOTHING: Final = "No passage was found that could answer this, and without passages the extractive model says nothing."


class ExtractiveModel:
    """Satisfies `ChatModel`. Needs no network, no key and no weights. `max_output_tokens` is kept at sentence ends, at
    four characters a token; `temperature` changes nothing, since nothing is sampled."""

    id = EXTRACTIVE
    owner = "pergola"
    context_tokens: int | None = None

    async def stream(self, prompt: ChatPrompt) -> AsyncGenerator[str | Finish, None]:
        if prompt.sources is None:
            raise InvalidArgument(
                f"the model {EXTRACTIVE!r} answers from retrieved passages only: name collections in `retrieval`, or "
                "choose another model",
                violations=[Violation("retrieval", f"is required by the model {EXTRACTIVE!r}")],
            )
        found = best_sentences(prompt.question, prompt.sources, MAX_SENTENCES)
        if not found:
            yield _NOTHING
            yield Finish("stop")
            return
        budget = (prompt.max_output_tokens or 1_000_000) * _CHARS_PER_TOKEN - len(_OPENING)
        yield _OPENING
        for sentence in found:
            line = f"\n- {sentence.text} [{sentence.number}]"
            budget -= len(line)
            if budget < 0:
                yield Finish("length")
                return
            yield line
        yield Finish("stop")
