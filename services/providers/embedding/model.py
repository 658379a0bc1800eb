"""What an embedding model is to those who use one."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""texts × dimension, C order."""

Span = tuple[int, int]
"""Of a token in its text: first code point, one past the last."""


class Tokenizer(Protocol):
    """How a model cuts text into the units its window is counted in."""

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """For each text the spans of its tokens, in order, without special ones and without any limit of length."""
        ...


class EmbeddingModel(Protocol):
    """Turns texts into vectors."""

    @property
    def name(self) -> str:
        """What collections call it."""
        ...

    @property
    def fingerprint(self) -> str:
        """Equal for equal vectors: part of every cache key, so that another build of a model is another model."""
        ...

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        ...

    @property
    def window(self) -> int:
        """Tokens of text that count; what follows them is cut off."""
        ...

    @property
    def latin_only(self) -> bool:
        """Whether text in another script than Latin gets vectors of little worth."""
        ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        """One vector a text, in order. `urgent`: someone waits for it, let it pass what is bulk.

        Raises UpstreamError and its kin when the model is a remote one that fails.
        """
        ...

    async def close(self) -> None: ...
