"""An index of texts, with real vectors or with made-up ones."""

import re
import time
from collections.abc import Sequence
from typing import Final, Protocol

from bench.retrieval.questions import Text
from services.graph.passages.index.index import PassageIndex
from services.graph.passages.passage import Vectors, read
from services.runtime.sentences import split

_BRACKETS: Final = re.compile(r"\s*[(（][^()（）]*[)）]")


class Vectorised(Protocol):
    """Where the vectors of texts come from."""

    dimension: int

    def of(self, texts: Sequence[str]) -> Vectors:
        """One vector a text, in order."""
        ...


def build(corpus: Sequence[Text], vectors: Vectorised, *, titled: bool = True) -> PassageIndex:
    """An index whose ids are the places of the texts. `titled`: whether titles are part of anything."""
    index = PassageIndex(vectors.dimension)
    add(index, corpus if titled else [Text("", one.text) for one in corpus], vectors)
    index.settle(vectors.of)
    return index


def add(index: PassageIndex, texts: Sequence[Text], vectors: Vectorised) -> float:
    """Adds texts, with ids that go on counting; the seconds that the slowest of them took."""
    before = [f"{one.title}\n" if one.title else "" for one in texts]
    spans = [split(one.text) for one in texts]
    passages = vectors.of([begin + one.text for begin, one in zip(before, texts, strict=True)])
    titles = vectors.of([_BRACKETS.sub("", one.title) for one in texts])
    sentences = vectors.of(
        [
            begin + one.text[start:end]
            for begin, one, cut in zip(before, texts, spans, strict=True)
            for start, end in cut
        ]
    )
    first, slowest = 0, 0.0
    for place, one in enumerate(texts):
        last = first + len(spans[place])
        begin_time = time.perf_counter()
        index.put(
            read(
                str(len(index)),
                one.title,
                one.text,
                vector=passages[place],
                sentences=spans[place],
                sentence_vectors=sentences[first:last],
                title_vector=titles[place] if one.title else None,
            )
        )
        slowest = max(slowest, time.perf_counter() - begin_time)
        first = last
    return slowest
