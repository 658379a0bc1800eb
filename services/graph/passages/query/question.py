"""What of a question is known to the index: its terms and its phrases."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.graph.extraction.grams import is_unspaced, unspaced_parts
from services.graph.extraction.hangul import bare
from services.graph.extraction.terms import terms
from services.graph.extraction.text import Token, fold, tokens
from services.graph.extraction.words import STOP_WORDS
from services.graph.passages.index.arrays import Floats, Ints
from services.graph.passages.passage import Vector
from services.graph.passages.query.scope import Scope

_MOST_WORDS: Final = 12
_MOST_TOKENS: Final = 512
"""Of a question; what follows says nothing about names that the first page did not."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question as the index sees it."""

    text: str
    vector: Vector
    """Of length 1."""
    terms: Ints
    """Its different terms that the index knows."""
    idf: Floats
    """Of each of `terms`."""
    weight: float
    """The idf of all its terms, unknown ones at the most there is."""
    phrases: Ints
    """The longest known phrases in it."""
    within: Ints
    """Every known phrase in it: what leads nowhere, because the question says it already."""


def understand(scope: Scope, text: str, vector: Vector) -> Question:
    """Looks a question's words up. `vector`: of the question, of any length but 0."""
    words = sorted(set(terms(text)))
    numbers = scope.index.lexicon.find(words)
    total = scope.searched.total
    counts = np.zeros(len(words), np.int64)
    counts[numbers >= 0] = scope.searched.with_term(numbers[numbers >= 0])
    idf = np.log1p((total - counts + 0.5) / (counts + 0.5)).astype(np.float32)
    known = counts > 0
    longest, within = _phrases(scope, text)
    length = float(np.linalg.norm(vector))
    return Question(
        text,
        (vector / np.float32(length or 1)).astype(np.float32),
        numbers[known],
        idf[known],
        float(idf.sum()),
        longest,
        within,
    )


def _phrases(scope: Scope, text: str) -> tuple[Ints, Ints]:
    words = list(tokens(text))[:_MOST_TOKENS]
    spans = sorted(_spans(words), key=lambda span: (span[0] - span[1], span[0], -len(span[2]), span[2]))
    numbers = scope.index.phrases.find([key for _, _, key, _ in spans])
    there = np.flatnonzero(numbers >= 0)
    there = there[scope.known(numbers[there])]
    capital = scope.index.bridging.capital(numbers[there])
    taken: set[int] = set()
    longest: list[int] = []
    for place, named in zip(there.tolist(), capital.tolist(), strict=True):
        start, end, _, marked = spans[place]
        if (marked or named) and taken.isdisjoint(range(start, end)):
            taken.update(range(start, end))
            longest.append(int(numbers[place]))
    return np.array(sorted(set(longest)), np.int64), np.unique(numbers[there])


def _spans(words: Sequence[Token]) -> Iterator[tuple[int, int, str, bool]]:
    """Runs of words: first and last place (in characters), normal form, and whether it is marked as a phrase, by having
    several words or a first letter that is not small."""
    folded = [fold(word.text) for word in words]
    for first, word in enumerate(words):
        if is_unspaced(word.text):
            yield from _unspaced(word)
        for end in range(first + 1, min(first + _MOST_WORDS, len(words)) + 1):
            if all(one in STOP_WORDS for one in folded[first:end]) and end == first + 1:
                continue
            marked = end > first + 1 or not word.text[0].islower()
            start, stop = word.start, words[end - 1].end
            yield start, stop, " ".join(folded[first:end]), marked
            stem = bare(folded[end - 1])
            if stem != folded[end - 1]:
                yield start, stop, " ".join([*folded[first : end - 1], stem]), marked


def _unspaced(word: Token) -> Iterator[tuple[int, int, str, bool]]:
    for part in set(unspaced_parts(word.text)):
        place = fold(word.text).find(part)
        yield word.start + place, word.start + place + len(part), part, True
