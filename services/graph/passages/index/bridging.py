"""Which phrases lead from one passage to another."""

from typing import Final

import numpy as np

from services.graph.passages.index import grams
from services.graph.passages.index.arrays import Bools, Floats, Growing, Ints
from services.graph.passages.index.lexicon import Lexicon
from services.graph.passages.index.phrases import Phrases

COMMON_SHARE: Final = 0.05
COMMON_LEAST: Final = 10
"""A phrase that more passages mention than this share of all, and than this many, leads nowhere: it is who speaks, or
what everybody says."""

_KNOWN, _LEADS = 1, 2


def several(counts: Ints, total: int) -> Bools:
    """Whether a phrase that so many of `total` passages mention may lead from one of them to another."""
    return np.asarray((counts >= grams.FEWEST) & (counts <= max(COMMON_LEAST, COMMON_SHARE * total)))


def rarity(counts: Ints, total: int) -> Floats:
    """g: 1 for a phrase of one passage, falling to almost 0 for one of all."""
    total = max(total, 1)
    return np.asarray(np.log1p(total / np.maximum(counts, 1)) / np.log1p(total), np.float32)


class Bridging:
    """The rules, evaluated for the phrases that are asked for and remembered until the next change.

    They depend on counts of the whole corpus, so that any change may change any of them. What a phrase is (a name, or
    words that happen to be shared) is judged over everything the index holds; whether it is rare enough to lead
    anywhere, over the passages that a question is asked of.
    """

    def __init__(self, phrases: Phrases, lexicon: Lexicon) -> None:
        self._phrases = phrases
        self._lexicon = lexicon
        self._total = 0
        self._version = 1
        self._seen = Growing(np.uint32)
        self._flags = Growing(np.uint8)

    @property
    def nbytes(self) -> int:
        return self._seen.nbytes + self._flags.nbytes

    def changed(self, total: int) -> None:
        """Says that something changed, and how many passages there are now."""
        self._total = total
        self._version += 1

    def known(self, phrases: Ints) -> Bools:
        """Whether each is a phrase at all: marked as a name somewhere, or shared as names are."""
        return (self._evaluated(phrases) & _KNOWN) > 0

    def leads(self, phrases: Ints) -> Bools:
        """Whether each leads from one passage to another, among passages of which it is in several but not in many."""
        return (self._evaluated(phrases) & _LEADS) > 0

    def name_like(self, phrases: Ints) -> Bools:
        """Whether each is written as names are: a title, without case, or more often with a capital than without."""
        caseless: Bools = ~self._phrases.cased.rows[phrases]
        return (self._phrases.titles(phrases) > 0) | caseless | self.capital(phrases)

    def capital(self, phrases: Ints) -> Bools:
        """Whether a word of each stands inside sentences more often with a capital than without."""
        words, owners = self._phrases.words(phrases)
        found = np.zeros(len(phrases), np.bool_)
        np.logical_or.at(found, owners, ~self._lexicon.mostly_small(words))
        return found

    def _evaluated(self, phrases: Ints) -> Ints:
        for growing in (self._seen, self._flags):
            growing.extend_to(len(self._phrases))
        new = np.unique(phrases[self._seen.rows[phrases] != self._version])
        if len(new):
            self._flags.rows[new] = self._evaluate(new)
            self._seen.rows[new] = self._version
        return self._flags.rows[phrases].astype(np.int64)

    def _evaluate(self, phrases: Ints) -> Ints:
        counts = self._phrases.passages(phrases)
        written = self._phrases.written(phrases) > 0
        shared = self._shared(phrases)
        known = (written & (counts > 0)) | shared
        swallowers = self._phrases.swallowers(phrases)
        held = np.flatnonzero(shared & (swallowers >= 0))
        alone = np.ones(len(phrases), np.bool_)
        alone[held] = ~self._shared(swallowers[held])
        # Two passages that tell of the same year, or of something in May, have nothing to do with each other by that.
        leads = known & (counts >= grams.FEWEST) & ~self._phrases.barren.rows[phrases]
        leads &= np.where(written, self.name_like(phrases), alone)
        return np.where(known, _KNOWN, 0).astype(np.int64) | np.where(leads, _LEADS, 0).astype(np.int64)

    def _shared(self, phrases: Ints) -> Bools:
        """Whether phrases that nobody marks as names are shared as names are."""
        counts = self._phrases.passages(phrases)
        held: Bools = (self._phrases.written(phrases) == 0) & (counts >= grams.FEWEST) & (counts <= grams.MOST)
        asked = np.flatnonzero(held)
        words, owners = self._phrases.words(phrases[asked])
        sizes = np.bincount(owners, minlength=len(asked))
        usual = self._lexicon.passages(words)
        ends = np.cumsum(sizes)
        some = sizes > 0
        rare = np.zeros(len(asked), np.bool_)
        edge = np.maximum(usual[(ends - sizes)[some]], usual[ends[some] - 1])
        share = np.where(sizes[some] == 1, grams.SINGLE_SHARE, grams.WORD_SHARE)
        rare[some] = edge <= np.maximum(grams.WORD_LEAST, share * self._total)
        held[asked] = rare
        return held
