"""The terms of a text: what lexical search counts, in any script."""

import functools
import re
from collections.abc import Iterator
from typing import Final

from services.graph.extraction.hangul import bare, is_hangul
from services.graph.extraction.text import words
from services.graph.extraction.words import STOP_WORDS

_RUN: Final = re.compile(r"[\u3400-\u9fff\uf900-\ufaff々]+|[\u3040-\u30ff]+|[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]+")
"""Runs of a script that is written without blanks: Han, kana; Thai, Lao, Burmese, Khmer."""
_VOWELS: Final = frozenset("aeiouy")


def terms(text: str) -> list[str]:
    """Folded words without stop words, in order: Latin ones without a plural's or a verb's ending, Korean ones without
    particles; of scripts without blanks, each two neighbouring characters."""
    return list(_terms(text))


def _terms(text: str) -> Iterator[str]:
    for word in words(text):
        if word.isascii():
            if word not in STOP_WORDS:
                yield stem(word)
        elif is_hangul(word):
            yield bare(word)
        elif _RUN.search(word):
            yield from _unspaced(word)
        elif word not in STOP_WORDS:
            yield word


def _unspaced(word: str) -> Iterator[str]:
    position = 0
    for run in _RUN.finditer(word):
        if run.start() > position:
            yield word[position : run.start()]
        part = run.group()
        if len(part) == 1:
            yield part
        yield from (part[place : place + 2] for place in range(len(part) - 1))
        position = run.end()
    if position < len(word):
        yield word[position:]


@functools.lru_cache(65536)
def stem(word: str) -> str:
    """A Latin word without -s, -es, -ed, -ing, where a word with a vowel is left. It joins writings of one word for
    counting; what it leaves need not be a word."""
    if len(word) < 4 or not word.isalpha():
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-2] if word.endswith(("sses", "xes", "ches", "shes", "zes")) else word[:-1]
    for ending in ("ing", "ed"):
        left = word[: -len(ending)]
        if word.endswith(ending) and len(left) > 2 and not _VOWELS.isdisjoint(left):
            if left[-1] == left[-2] and left[-1] not in "lsz":
                return left[:-1]
            return left
    return word[:-1] if len(word) > 4 and word.endswith("e") else word
