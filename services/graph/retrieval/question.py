"""The names in a question: the longest phrases of it that the graph knows."""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final, NamedTuple

from services.graph.extraction.text import fold, tokens, words
from services.graph.extraction.words import STOP_WORDS

_LONGEST: Final = 8
"""Words of the longest phrase that is looked up."""
_WORDS: Final = 256
"""Words of a question that are looked at; a longer one is a document."""


class _Word(NamedTuple):
    text: str
    """Folded."""
    capital: bool
    """Whether it does not begin with a small letter: digits and scripts without case count."""


class Question:
    """The words of a question."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._words = [_Word(fold(token.text), not token.text[0].islower()) for token in islice(tokens(text), _WORDS)]

    @property
    def terms(self) -> frozenset[str]:
        """Its distinct words that carry meaning."""
        return frozenset(words(self.text)) - STOP_WORDS

    def phrases(self) -> list[str]:
        """Every key that might be a name in it: two words and more in any case, one word with a capital."""
        return sorted({key for _, _, key in self._spans()})

    def names(self, known: Collection[str]) -> list[str]:
        """Those of `known` that stand in it, the longest first, none inside another."""
        found: list[str] = []
        taken = [False] * len(self._words)
        for first, end, key in self._spans():
            if key in known and not any(taken[first:end]):
                taken[first:end] = [True] * (end - first)
                if key not in found:
                    found.append(key)
        return found

    def _spans(self) -> Iterator[tuple[int, int, str]]:
        for length in range(min(_LONGEST, len(self._words)), 0, -1):
            for first in range(len(self._words) - length + 1):
                words = self._words[first : first + length]
                if length == 1 and (not words[0].capital or words[0].text in STOP_WORDS):
                    continue
                yield first, first + length, " ".join(word.text for word in words)
