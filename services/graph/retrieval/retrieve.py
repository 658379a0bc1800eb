"""Retrieve: passages that answer a question, those that names lead to included, each with its path."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.graph.retrieval import gather
from services.graph.retrieval.gather import Names, Scope
from services.graph.retrieval.passages import Found, Passages, Point, Vector
from services.graph.retrieval.question import Question
from services.graph.retrieval.scoring import Bridge, Candidate, Key, Placed, Ranking
from services.graph.store import Reader
from services.runtime import call
from services.runtime.errors import DeadlineExceeded, Unavailable, Upstream

_CANDIDATES: Final = 40
"""Passages asked of hybrid search, at least; twice k when that is more."""
_RESERVE: Final = 0.15
"""Seconds of the deadline kept for the answer."""
_TITLE: Final = 80

_PLAIN: Final = "passages are ranked by the question alone, without links"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path: `question`, `passage` or `name`."""

    kind: str
    text: str
    id: str


@dataclass(frozen=True, slots=True)
class Hit:
    point: Point
    score: float
    path: Sequence[Step]


@dataclass(frozen=True, slots=True)
class Answer:
    hits: Sequence[Hit]
    degraded: str
    """Empty when everything worked."""


class Retrieval:
    """Finds passages, in the collections and over the links it is given and no others."""

    def __init__(self, store: Reader, passages: Passages, *, link_seconds: float) -> None:
        """`link_seconds`: most seconds spent on links; then the answer goes without."""
        self._store = store
        self._passages = passages
        self._link_seconds = link_seconds

    async def retrieve(self, scope: Scope, text: str, k: int) -> Answer:
        """At most `k` passages, best first.

        Raises CollectionNotFound; PeerUnavailable and the embedding endpoint's errors when vector can't search.
        """
        question = Question(text)
        # Both run while vector searches.
        names = asyncio.ensure_future(gather.names_in(self._store, scope, question))
        asked = asyncio.ensure_future(self._ask(scope, text))
        try:
            found = await gather.find(self._passages, scope, text, max(_CANDIDATES, 2 * k))
            try:
                async with asyncio.timeout(self._budget()):
                    return await self._linked(scope, question, k, found, await names, await asked)
            except (TimeoutError, DeadlineExceeded):
                return _plain(text, found, k, f"{_PLAIN}: time was short")
            except (Unavailable, Upstream) as error:
                return _plain(text, found, k, f"{_PLAIN}: {error.message}")
        finally:
            names.cancel()
            asked.cancel()
            await asyncio.gather(names, asked, return_exceptions=True)

    def _budget(self) -> float:
        """Seconds that links may take from now on."""
        left = call.remaining()
        return self._link_seconds if left is None else max(0.0, min(self._link_seconds, left - _RESERVE))

    async def _ask(self, scope: Scope, text: str) -> tuple[dict[str, str], dict[str, Vector]]:
        """The model of each collection, and the question's vector by model."""
        models = await gather.models_of(self._passages, scope)
        vectors = await gather.embed(self._passages, models.values(), [text])
        return models, {model: by_text[text] for model, by_text in vectors.items()}

    async def _linked(
        self,
        scope: Scope,
        question: Question,
        k: int,
        found: Sequence[Found],
        names: Names,
        asked: tuple[dict[str, str], dict[str, Vector]],
    ) -> Answer:
        models, vectors = asked
        terms = sorted(question.terms)
        direct = {(one.point.collection, one.point.id) for one in found}
        named = await gather.points(self._passages, names.naming.keys() - direct)
        candidates = gather.candidates_of(found, named, names, models, vectors, terms)
        anchors = gather.anchors_of(candidates)
        bridges, mentions = await gather.bridges_from(self._store, scope, anchors, names)
        standing = {anchor: gather.anchor_texts(candidates[anchor], mentions[anchor], names) for anchor in anchors}
        texts = sorted({bridge.name for bridge in bridges}.union(*(standing[bridge.anchor] for bridge in bridges)))
        missing = {bridge.target for bridge in bridges} - candidates.keys()
        targets, embedded = await asyncio.gather(
            gather.points(self._passages, missing), gather.embed(self._passages, models.values(), texts)
        )
        for key, point in targets.items():
            candidates[key] = gather.candidate(point, vectors[models[point.collection]], 0.0, 0.0, terms)
        # The graph follows the collection: what it still links may be gone there.
        bridges = [bridge for bridge in bridges if bridge.target in candidates]

        def rank() -> list[Placed]:
            likenesses = gather.score_bridges(bridges, candidates, standing, embedded, models, vectors)
            return Ranking(candidates, likenesses, len(terms)).best(k)

        # Some tens of milliseconds of arithmetic: others are served meanwhile.
        placed = await asyncio.to_thread(rank)
        return Answer([_hit(question.text, one, candidates, names, direct) for one in placed], "")


def _plain(text: str, found: Sequence[Found], k: int, degraded: str) -> Answer:
    """The ranking of hybrid search. Its scores are made of ranks, so those of several collections compare."""
    best = sorted(found, key=lambda one: (-one.score, one.point.collection, one.point.id))[:k]
    return Answer(
        [Hit(one.point, one.score, [Step("question", text, ""), _passage(one.point)]) for one in best], degraded
    )


def _hit(text: str, placed: Placed, candidates: Mapping[Key, Candidate], names: Names, direct: set[Key]) -> Hit:
    point = candidates[placed.key].point
    path = [Step("question", text, "")]
    bridge: Bridge | None = placed.bridge
    if bridge is not None:
        path += [_passage(candidates[bridge.anchor].point), Step("name", bridge.text, bridge.name)]
    elif placed.key not in direct:
        _, key, writing = names.naming[placed.key].by
        path.append(Step("name", writing, key))
    return Hit(point, placed.score, [*path, _passage(point)])


def _passage(point: Point) -> Step:
    """A passage by the title of its document; without one, by how it begins."""
    words = " ".join((point.title or point.text).split())
    return Step("passage", words if len(words) <= _TITLE else words[: _TITLE - 1] + "…", point.id)
