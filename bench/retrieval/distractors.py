"""Passages that look like those of a corpus and answer nothing, for measuring time and memory at size."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from bench.retrieval.questions import Text
from services.graph.passages.passage import Vectors

_NAME: Final = re.compile(r"\b[A-Z][a-z]{3,}\b")
_KEPT: Final = 0.5
"""Share of names that stay as they are, so that phrases are shared as in a real corpus."""
_SYLLABLES: Final = [
    "ka",
    "ro",
    "mi",
    "ten",
    "vol",
    "sha",
    "lin",
    "dor",
    "bel",
    "quo",
    "ner",
    "fis",
    "ju",
    "gan",
    "pre",
]


def distractors(corpus: Sequence[Text], count: int, seed: int = 7) -> Iterator[Text]:
    """Copies of the corpus in which half of the names are replaced, all copies of a name in one passage alike."""
    random = np.random.default_rng(seed)
    for place in range(count):
        one = corpus[place % len(corpus)]
        renamed: dict[str, str] = {}

        def name(found: re.Match[str], renamed: dict[str, str] = renamed) -> str:
            word = found.group()
            if word not in renamed:
                other = "".join(random.choice(_SYLLABLES, 3)).capitalize()
                renamed[word] = word if random.random() < _KEPT else other
            return renamed[word]

        yield Text(_NAME.sub(name, one.title), _NAME.sub(name, one.text))


class MadeUpVectors:
    """Random directions, one a text: as far from each other as the vectors of unrelated passages."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension

    def of(self, texts: Sequence[str]) -> Vectors:
        """One vector a text, of unit length, in order."""
        found = np.empty((len(texts), self.dimension), np.float32)
        for row, text in enumerate(texts):
            seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
            found[row] = np.random.default_rng(seed).standard_normal(self.dimension, np.float32)
        # A common part: the vectors of one model's texts are never orthogonal.
        found += 0.3
        lengths: Vectors = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / lengths, np.float32)
