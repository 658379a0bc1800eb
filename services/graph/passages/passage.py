"""A passage as the index takes it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.graph.extraction.casing import casing_of
from services.graph.extraction.grams import grams_of
from services.graph.extraction.mentions import Mention, mentions_of
from services.graph.extraction.terms import terms

Vector = NDArray[np.float32]
"""dimension."""
Vectors = NDArray[np.float32]
"""texts × dimension."""
Span = tuple[int, int]
"""First character of a text's part, one past its last, in code points."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage: its vectors, and what was read out of its text, which the index does not keep."""

    id: str
    title: str
    vector: Vector
    """Of title, newline, text. Short passages see their neighbours: of the previous passage and the own one."""
    sentences: Sequence[Span]
    """Where the sentences stand in the text."""
    sentence_vectors: Vectors
    """Of title, newline, sentence, for each of `sentences`."""
    title_vector: Vector | None
    """Of the title without what is in brackets; None without a title."""
    mentions: Sequence[Mention]
    """Phrases, each key once."""
    grams: Sequence[str]
    """Phrases if other passages share them; each once."""
    terms: Mapping[str, int]
    """What lexical search counts, how often."""
    casing: Mapping[str, tuple[int, int]]
    """Of terms inside sentences: how often with a capital, how often without."""
    collection: str = ""
    """What it belongs to; questions may be asked of some collections alone."""


def read(
    id: str,
    title: str,
    text: str,
    *,
    vector: Vector,
    sentences: Sequence[Span],
    sentence_vectors: Vectors,
    title_vector: Vector | None = None,
    heading_path: Sequence[str] = (),
    given: Sequence[Mention] = (),
    before: str = "",
    collection: str = "",
) -> Passage:
    """Reads a passage. `given`: what others said that it mentions, beside its own. `before`: the text before a short
    passage; lexical search sees it, and counts the passage's own words twice then. All else is the passage's own."""
    counted = Counter(terms(f"{title}\n{text}"))
    if before:
        counted = Counter({term: 2 * count for term, count in counted.items()})
        counted.update(terms(before))
    return Passage(
        id,
        title,
        vector,
        sentences,
        sentence_vectors,
        title_vector,
        _together(mentions_of(text, title, heading_path), given),
        grams_of(text),
        counted,
        casing_of(text),
        collection,
    )


def _together(own: Sequence[Mention], given: Sequence[Mention]) -> list[Mention]:
    """Each key once; what was given is a whole name, and names the passage as far as its own text says."""
    best = {one.key: one for one in own}
    for one in given:
        known = best.get(one.key, one)
        best[one.key] = known._replace(nested=False, given=True)
    return [best[key] for key in sorted(best)]
