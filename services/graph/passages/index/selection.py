"""Some of an index's passages, with the counts over them alone."""

import numpy as np

from services.graph.passages.index.arrays import Bools, Floats, Ints
from services.graph.passages.index.lexicon import Lexicon
from services.graph.passages.index.phrases import Phrases


class Selection:
    """Counts of phrases and terms as if there were no other passages; each is counted once, when it is asked for."""

    def __init__(
        self,
        phrases: Phrases,
        lexicon: Lexicon,
        mask: Bools,
        lengths: np.ndarray[tuple[int], np.dtype[np.uint32]],
        *,
        whole: bool,
    ) -> None:
        """`mask`: of each slot whether it is selected; `whole`: whether every passage is; `lengths`: in terms."""
        self.mask = mask
        self.total = int(mask.sum())
        self._phrases = phrases
        self._lexicon = lexicon
        self._lengths = lengths
        self._mean = float(lengths[mask].mean()) if self.total else 1.0
        self._counted = None if whole else np.full(len(phrases), -1, np.int32)

    def passages(self, phrases: Ints) -> Ints:
        """How many passages mention each of these phrases."""
        if self._counted is None:
            return self._phrases.passages(phrases)
        new = np.unique(phrases[self._counted[phrases] < 0])
        if len(new):
            mentions = self._phrases.of_phrases(new, self.mask)
            self._counted[new] = np.bincount(mentions.owner, minlength=len(new))
        return self._counted[phrases].astype(np.int64)

    def with_term(self, terms: Ints) -> Ints:
        """In how many passages each of these different terms is."""
        if self._counted is None:
            return self._lexicon.passages(terms)
        _, owners, _ = self._lexicon.postings(terms, self.mask)
        return np.bincount(owners, minlength=len(terms)).astype(np.int64)

    def lengths(self, slots: Ints) -> Floats:
        """Terms of these passages, over the mean of all."""
        return self._lengths[slots].astype(np.float32) / np.float32(self._mean or 1)
