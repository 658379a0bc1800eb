"""How well passages, and paths of two passages, explain a question. Pure arithmetic on what was gathered.

The algorithm is described in docs/graph.md, with what each term is for. All terms are absolute, so that paths through
different names and plain passages compare.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from services.graph.extraction.text import words
from services.graph.retrieval.passages import Point, Vector

LEXICAL: Final = 0.25
NAMED: Final = 0.15
BRIDGE_IN: Final = 0.5
ANCHOR_OUT: Final = 0.5
RARE: Final = 0.1
NAMES_TARGET: Final = 0.1
COVERED: Final = 0.2
ANCHOR_COVERED: Final = 0.6
NULL_BRIDGE: Final = 0.12
SAME_ANCHOR: Final = 0.1

ANCHORS: Final = 8
"""Passages that paths begin at."""
_PATHS: Final = 150
"""Paths that are looked at again, by the others they compete with."""
_SET_ANCHORS: Final = 2
_SET_POOL: Final = 20
_SET_SIZE: Final = 6

Key = tuple[str, str]
"""Collection and id of a point."""


@dataclass(slots=True)
class Candidate:
    """A passage with how well it explains the question by itself."""

    point: Point
    vector: Vector | None
    """At length 1."""
    semantic: float
    """Likeness to the question."""
    lexical: float
    """BM25, as a share of the best passage's of its collection."""
    naming: float
    """The sum over the question's names that name this passage."""
    terms: int
    """Which of the question's terms are in its title or text, a bit each."""

    @property
    def key(self) -> Key:
        return self.point.collection, self.point.id

    @property
    def base(self) -> float:
        return self.semantic + LEXICAL * self.lexical + NAMED * self.naming


class Bridge(NamedTuple):
    """A way from an anchor to another passage by a name that both mention."""

    anchor: Key
    target: Key
    name: str
    """Key of the entity."""
    text: str
    """The name as the target writes it."""
    graph: str
    rarity: float
    weight: float
    """How far the name names the target."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A passage in the answer."""

    key: Key
    score: float
    bridge: Bridge | None
    """None: found by the question itself."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two passages that explain the question together: over a bridge, or without one."""

    anchor: Key
    target: Key
    score: float
    bridge: Bridge | None


def rarity(mentions: int, passages: int) -> float:
    """1 for a name that one passage mentions, falling to almost 0 for one that all mention."""
    passages = max(passages, mentions, 1)
    return math.log1p(passages / max(mentions, 1)) / math.log1p(passages)


def most_mentions(passages: int) -> int:
    """A name that more passages mention than this links nothing: it says too little about any of them."""
    return max(10, passages // 20)


def normalised(vector: Vector) -> Vector:
    """The vector at length 1; a zero vector stays."""
    length = float(np.linalg.norm(vector))
    return vector if length == 0 else (vector / np.float32(length)).astype(np.float32)


def terms_in(point: Point, terms: Sequence[str]) -> int:
    """Which of the terms stand in a passage's title or text, a bit each."""
    there = set(words(f"{point.title}\n{point.text}"))
    return sum(1 << position for position, term in enumerate(terms) if term in there)


def rewritten(question: Vector, bridge: Vector | None, anchor: Vector | None) -> Vector:
    """The question with the anchor taken out and the bridge put in: what is left to be found at the second hop."""
    vector = question
    if bridge is not None:
        vector = vector + np.float32(BRIDGE_IN) * bridge
    if anchor is not None:
        vector = vector - np.float32(ANCHOR_OUT) * anchor
    return normalised(vector.astype(np.float32))


def likeness(left: Vector, right: Vector | None) -> float:
    """Cosine of two normalised vectors; 0 when they do not compare."""
    return 0.0 if right is None or left.shape != right.shape else float(left @ right)


class Ranking:
    """Chooses and orders the passages of an answer."""

    def __init__(
        self, candidates: Mapping[Key, Candidate], likenesses: Sequence[tuple[Bridge, float]], terms: int
    ) -> None:
        """`likenesses`: each bridge with the likeness of its target to the rewritten question. `terms`: how many the
        question has."""
        self._candidates = candidates
        self._terms = terms
        self._by_base = sorted(candidates, key=lambda key: (-candidates[key].base, key))
        self._paths = [
            _Pair(bridge.anchor, bridge.target, self._path_score(bridge, value), bridge) for bridge, value in likenesses
        ]
        self._paths.sort(key=lambda path: (-path.score, path.anchor, path.target))
        del self._paths[_PATHS:]

    def best(self, k: int) -> list[Placed]:
        """At most `k` passages: a set that explains the question together, then the others by their own worth."""
        if not self._by_base:
            return []
        anchors = self._anchors()
        nulls = [
            _Pair(anchors[0], key, self._null_score(anchors[0], key), None)
            for key in self._by_base[:_SET_POOL]
            if key != anchors[0]
        ]
        chosen = self._set(anchors, [*self._paths, *nulls])
        worth = self._worth(anchors[0])
        rest = sorted(worth.keys() - chosen.keys(), key=lambda key: (-worth[key][0], key))
        placed: list[Placed] = []
        lowest = math.inf
        for key in [*chosen, *rest][:k]:
            # The set comes first whatever its members are worth alone; scores still fall from first to last.
            lowest = min(lowest, worth[key][0])
            placed.append(Placed(key, lowest, chosen[key] if key in chosen else worth[key][1]))
        return placed

    def _path_score(self, bridge: Bridge, value: float) -> float:
        return (
            self._candidates[bridge.anchor].base
            + value
            + RARE * bridge.rarity
            + NAMES_TARGET * bridge.weight
            + COVERED * self._covered(bridge.anchor, bridge.target)
        )

    def _null_score(self, anchor: Key, key: Key) -> float:
        """A pair without a bridge. Following one must explain its target better than the plain question does."""
        base = self._candidates[anchor].base + self._candidates[key].base
        return base + COVERED * self._covered(anchor, key) - NULL_BRIDGE

    def _covered(self, *keys: Key) -> float:
        """The share of the question's terms that these passages have together."""
        if not self._terms:
            return 0.0
        together = 0
        for key in keys:
            together |= self._candidates[key].terms
        return together.bit_count() / self._terms

    def _anchors(self) -> list[Key]:
        pool = self._by_base[:_SET_POOL]
        anchors: list[Key] = []
        while pool and len(anchors) < _SET_ANCHORS:
            before = self._covered(*anchors) if anchors else 0.0
            best = max(
                pool,
                key=lambda key: self._candidates[key].base + ANCHOR_COVERED * (self._covered(*anchors, key) - before),
            )
            anchors.append(best)
            pool = [key for key in pool if key != best]
        return anchors

    def _set(self, anchors: Sequence[Key], pairs: Sequence[_Pair]) -> dict[Key, Bridge | None]:
        """The passages that explain the question together, in the order of the answer, each with its bridge."""
        chosen: dict[Key, Bridge | None] = dict.fromkeys(anchors)
        first: _Pair | None = None
        left = list(pairs)
        while left and len(chosen) < _SET_SIZE:
            before = self._covered(*chosen)
            pair = max(left, key=lambda pair: self._gain(pair, chosen, before))
            left = [one for one in left if one.target != pair.target or one.anchor != pair.anchor]
            first = first or pair
            chosen.setdefault(pair.anchor, None)
            if pair.target not in chosen:
                chosen[pair.target] = pair.bridge
        if first is None or all(self._candidates[key].naming > 0 for key in anchors):
            return chosen
        order = [first.anchor, first.target, *chosen]
        return {key: chosen[key] for key in order}

    def _gain(self, pair: _Pair, chosen: Mapping[Key, object], before: float) -> float:
        more = self._covered(*chosen, pair.target) - before
        return pair.score + COVERED * more + (SAME_ANCHOR if pair.anchor in chosen else 0.0)

    def _worth(self, anchor: Key) -> dict[Key, tuple[float, Bridge | None]]:
        """What each passage adds to an anchor, directly or over its best bridge."""
        worth: dict[Key, tuple[float, Bridge | None]] = {
            key: (self._null_score(anchor, key) - self._candidates[anchor].base, None) for key in self._candidates
        }
        for pair in self._paths:
            value = pair.score - self._candidates[pair.anchor].base
            if value > worth[pair.target][0]:
                worth[pair.target] = (value, pair.bridge)
        return worth
