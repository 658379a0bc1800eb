"""Finds the passages for a question: through the graph, or by search alone."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from services.chat.question import Passage, RetrievalWish
from services.runtime.errors import PeerUnavailable, Unavailable

log = logging.getLogger(__name__)

MAX_QUESTION: Final = 8192
"""Characters of a question that are searched for; the rest of a longer one is not."""
WITHOUT_GRAPH: Final = "the graph service does not answer: passages come from search alone"


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Passages, the best first. `degraded` says what was left out and why; empty when everything worked."""

    passages: tuple[Passage, ...]
    degraded: str = ""


class Finder(Protocol):
    """A way to find passages."""

    async def find(self, question: str, collections: Sequence[str], k: int) -> Retrieved:
        """At most `k` passages for `question`.

        Raises:
            CollectionNotFound: one of the collections does not exist.
            Unavailable: whoever searches does not answer.
        """
        ...


class Retrieving:
    """Retrieval by mode. When the graph service does not answer, search alone serves, and the answer says so."""

    def __init__(self, graph: Finder, vector: Finder) -> None:
        self._graph = graph
        self._vector = vector

    async def retrieve(self, question: str, wish: RetrievalWish) -> Retrieved:
        """The passages for `question`.

        Raises:
            CollectionNotFound: one of the collections does not exist.
            Unavailable: nobody could search.
        """
        searched = question[:MAX_QUESTION]
        if wish.mode == "vector":
            return await self._vector.find(searched, wish.collections, wish.k)
        try:
            return await self._graph.find(searched, wish.collections, wish.k)
        except PeerUnavailable as error:
            log.warning("retrieval without the graph: %s", error.message)
            try:
                found = await self._vector.find(searched, wish.collections, wish.k)
            except Unavailable:
                raise error from None
            return Retrieved(found.passages, WITHOUT_GRAPH)
