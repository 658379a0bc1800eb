"""Phrases that are known by being shared alone: of text without capitals."""

from collections.abc import Sequence
from typing import Final

from services.graph.extraction.grams import MAX_WORDS, is_unspaced, unspaced_parts
from services.graph.passages.index.arrays import Bools, Ints
from services.graph.passages.index.interning import Digests, digest
from services.graph.passages.index.kept import Kept

FEWEST: Final = 2
MOST: Final = 50
"""Passages that share such a phrase."""
WORD_SHARE: Final = 0.05
SINGLE_SHARE: Final = 0.02
WORD_LEAST: Final = 10
"""Its first and last word are in at most this share of the passages (a single word in fewer), or this many."""


class Sightings(Kept):
    """Who had a run of words first. Most runs are never seen again, so that is all that is kept of them."""

    parts = ("_first",)

    def __init__(self) -> None:
        self._first = Digests()

    @property
    def nbytes(self) -> int:
        return self._first.nbytes

    def first(self, texts: Sequence[str], alive: Bools) -> Ints:
        """The slot of the living passage that had each text alone up to now; -1 where none had."""
        slots = self._first.find([digest(text) for text in texts])
        slots[(slots >= 0) & ~alive[slots]] = -1
        return slots

    def see(self, texts: Sequence[str], slot: int) -> None:
        self._first.put([digest(text) for text in texts], [slot] * len(texts))

    def compact(self, alive: Bools) -> None:
        """Forgets removed passages, whose slots may be given to others from now on."""
        self._first.keep(alive)


def contains(whole: str, part: str) -> bool:
    """Whether a phrase stands inside another: between blanks, where its script has them."""
    if len(whole) <= len(part):
        return False
    return part in whole if is_unspaced(part) else f" {part} " in f" {whole} "


def parts(whole: str) -> set[str]:
    """The phrases that may stand inside a phrase."""
    words = whole.split(" ")
    found = {
        " ".join(words[start:end])
        for start in range(len(words))
        for end in range(start + 1, min(start + MAX_WORDS, len(words)) + 1)
    }
    for word in words:
        found.update(unspaced_parts(word))
    return found - {whole}


def swallower(part: str, others: Sequence[str]) -> int:
    """The place of the longest of `others` that holds `part`, of equal ones the first in order; -1: none does."""
    best = -1
    for place, other in enumerate(others):
        if contains(other, part) and (best < 0 or (-len(other), other) < (-len(others[best]), others[best])):
            best = place
    return best
