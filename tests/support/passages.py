"""Passages and vectors for tests of the passage index: arithmetic on words in place of a model."""

import hashlib
import re
from collections.abc import Sequence

import numpy as np

from services.graph.passages.index.index import Embed, PassageIndex
from services.graph.passages.passage import Passage, Span, Vector, Vectors, read
from services.graph.passages.query.retrieve import Answer, retrieve
from services.graph.passages.query.scope import Scope

DIMENSION = 192


def embed(texts: Sequence[str]) -> Vectors:
    """The normalised sum of a fixed random vector for each word: texts with the same words are alike."""
    return np.array([_embed(text) for text in texts], np.float32).reshape(len(texts), DIMENSION)


def _embed(text: str) -> Vector:
    total = np.zeros(DIMENSION, np.float32)
    for word in re.findall(r"\w+", text.lower()) or [text]:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "little")
        total += np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
    return total / np.float32(np.linalg.norm(total))


def blind(texts: Sequence[str]) -> Vectors:
    """What a model makes of a script it was not trained on, at best: nothing."""
    return np.zeros((len(texts), DIMENSION), np.float32)


def passage(id: str, title: str, text: str, embed: Embed = embed, collection: str = "") -> Passage:
    """A passage whose sentences end with a full stop."""
    spans: list[Span] = [match.span() for match in re.finditer(r"[^.。]+[.。]?", text) if match.group().strip()]
    before = f"{title}\n" if title else ""
    return read(
        id,
        title,
        text,
        vector=embed([before + text])[0],
        sentences=spans,
        sentence_vectors=embed([before + text[start:end] for start, end in spans]),
        title_vector=embed([title])[0] if title else None,
        collection=collection,
    )


def index_of(passages: Sequence[Passage], embed: Embed = embed) -> PassageIndex:
    """An index of passages, settled."""
    index = PassageIndex(DIMENSION)
    for one in passages:
        index.put(one)
    index.settle(embed)
    return index


def ask(index: PassageIndex, question: str, k: int = 10, embed: Embed = embed) -> Answer:
    return retrieve(Scope(index), question, embed([question])[0], k, entities=k)
