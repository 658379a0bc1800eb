"""Words to their stems, by the Snowball algorithms (Porter, snowballstem.org) of the language a collection names."""

import functools
import threading
from typing import Final

import snowballstemmer

LANGUAGES: Final[tuple[str, ...]] = tuple(sorted(snowballstemmer.algorithms()))
"""What a collection may name."""


class Stemmer:
    """Stems of one language. May be asked by several threads."""

    def __init__(self, language: str) -> None:
        self._stemmer = snowballstemmer.stemmer(language)
        # Snowball's stemmer keeps the word it is at in itself.
        self._lock = threading.Lock()
        # Text repeats its words; stemming one takes about 60 µs.
        self.stem = functools.lru_cache(maxsize=1 << 16)(self._stem)

    def _stem(self, word: str) -> str:
        with self._lock:
            stem: str = self._stemmer.stemWord(word)
        return stem or word


@functools.cache
def stemmer(language: str) -> Stemmer:
    """The one stemmer of a language of LANGUAGES."""
    return Stemmer(language)
