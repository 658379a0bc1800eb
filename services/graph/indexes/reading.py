"""Points to passages: sentences found, vectors asked for, names read."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.graph.extraction.mentions import Mention
from services.graph.extraction.names import without_brackets
from services.graph.indexes.together import together
from services.graph.passages.passage import Passage, Span, Vector, Vectors, read
from services.graph.points import Embedded, Points
from services.runtime import sentences

TEXTS: Final = 512
"""Embedded in one call."""
_CALLS: Final = 2
"""At once: one is embedded while the other is on its way."""
MOST_SENTENCES: Final = 64
"""Of a passage that get a vector; chunks of documents have ten, only points that were stored by hand may have more."""
_MOST_TEXT: Final = 32_768
"""Characters that vector takes."""


def key(collection: str, point: str) -> str:
    """A passage's id in an index. The names of collections have no slash."""
    return f"{collection}/{point}"


def unkey(id: str) -> tuple[str, str]:
    """Collection and point of an id."""
    collection, _, point = id.partition("/")
    return collection, point


@dataclass(frozen=True, slots=True)
class _Cut:
    """A point whose sentences are known."""

    point: Embedded
    spans: Sequence[Span]
    texts: Sequence[str]
    """What is embedded of it: its sentences under the title, then the title."""


async def passages(
    peer: Points, collection: str, points: Sequence[Embedded], given: Sequence[Sequence[Mention]]
) -> list[Passage]:
    """Passages of points that have their vectors. `given`: of each point, what others said that it mentions.

    Raises what the vector service raises; nothing is embedded that was embedded before.
    """
    cuts = await asyncio.to_thread(lambda: [_cut(one) for one in points])
    vectors = await embed(peer, collection, list(dict.fromkeys(text for one in cuts for text in one.texts)))
    # Some milliseconds of reading each: not on the event loop.
    return await asyncio.to_thread(
        lambda: [_passage(collection, one, vectors, more) for one, more in zip(cuts, given, strict=True)]
    )


async def embed(peer: Points, collection: str, texts: Sequence[str]) -> dict[str, Vector]:
    """The vector of each of these different texts, kept with the collection."""
    turn = asyncio.Semaphore(_CALLS)
    found: dict[str, Vector] = {}

    async def part(some: Sequence[str]) -> None:
        async with turn:
            vectors = await peer.embed_kept(some, collection)
        found.update(zip(some, vectors, strict=True))

    await together(*(part(texts[first : first + TEXTS]) for first in range(0, len(texts), TEXTS)))
    return found


def _cut(point: Embedded) -> _Cut:
    whole, title = point.text.text, point.text.title
    spans = sentences.split(whole)[:MOST_SENTENCES]
    before = f"{title}\n" if title else ""
    texts = [(before + whole[start:end])[:_MOST_TEXT] for start, end in spans]
    title = without_brackets(title)
    return _Cut(point, spans, [*texts, title] if title else texts)


def _passage(collection: str, cut: _Cut, vectors: dict[str, Vector], given: Sequence[Mention]) -> Passage:
    point = cut.point
    rows = [vectors[text] for text in cut.texts]
    count = len(cut.spans)
    none: Vectors = np.zeros((0, len(point.vector)), np.float32)
    return read(
        key(collection, point.id),
        point.text.title,
        point.text.text,
        vector=point.vector,
        sentences=cut.spans,
        sentence_vectors=np.stack(rows[:count]) if count else none,
        title_vector=rows[count] if len(rows) > count else None,
        heading_path=point.text.heading_path,
        given=given,
        before=point.text.before,
        collection=collection,
    )
