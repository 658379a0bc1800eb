"""A set of passages that explains the question together, rather than the best ones one by one."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from services.graph.passages.index.arrays import Floats, Ints
from services.graph.passages.index.index import PassageIndex
from services.graph.passages.query import constants
from services.graph.passages.query.base import Base, best_of, ranked
from services.graph.passages.query.paths import Paths, covers
from services.graph.passages.query.ties import first_best
from services.graph.passages.query.walk import Walked


class Placed(NamedTuple):
    """A passage in the answer."""

    slot: int
    path: int
    """Place among the paths of the one that led to it; -1: the question itself."""
    part: str
    """What put it where it is: anchor, path, walk, question."""


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Paths, then pairs without a bridge."""

    anchor: Ints
    target: Ints
    score: Floats
    path: Ints


def choose(index: PassageIndex, base: Base, paths: Paths, walked: Walked, k: int) -> list[Placed]:
    """At most `k` passages, best first."""
    if not len(base.best):
        return []
    anchors = _anchors(base)
    pairs = _pairs(base, paths, walked, anchors[0])
    chosen, first, mostly_plain = _set(base, pairs, anchors)
    # When both anchors are named in the question, they are what it asks about; else the best pair is.
    if first >= 0 and not all(base.naming[slot] for slot in anchors):
        pair = (int(pairs.anchor[first]), int(pairs.target[first]))
        chosen = {slot: chosen[slot] for slot in (*pair, *chosen)}
    by_path = {int(slot): place for place, slot in reversed(list(enumerate(paths.target)))}
    answer = {one.slot: _led(base, paths, one, by_path) for one in _called_first(base, chosen.values())}
    for slot, part in _tail(index, base, paths, walked, mostly_plain, k):
        if len(answer) >= k:
            break
        answer.setdefault(slot, Placed(slot, by_path.get(slot, -1), part))
    return list(answer.values())[:k]


def _called_first(base: Base, chosen: Iterable[Placed]) -> list[Placed]:
    """In their order, but of those that the plain question brought the ones first that it calls by name."""
    every = list(chosen)
    plain = iter(sorted((one for one in every if one.part == "question"), key=lambda one: not base.naming[one.slot]))
    return [next(plain) if one.part == "question" else one for one in every]


def _led(base: Base, paths: Paths, placed: Placed, by_path: Mapping[int, int]) -> Placed:
    """An anchor of the set with the path that leads to it from a better one, when the question does not name it."""
    path = by_path.get(placed.slot, -1)
    if placed.part != "anchor" or path < 0 or base.naming[placed.slot]:
        return placed
    better = base.score[paths.anchor[path]] > base.score[placed.slot] + constants.ROUNDING
    return placed._replace(path=path) if better else placed


def _anchors(base: Base) -> list[int]:
    pool = base.first(constants.POOL)
    anchors: list[int] = []
    covered = np.zeros(len(base.cover), np.float32)
    for _ in range(min(constants.SET_ANCHORS, len(pool))):
        gain = base.score[pool] + constants.ANCHOR_COVERED * _newly(base, covered, pool)
        gain[np.isin(pool, anchors)] = -np.inf
        anchors.append(int(pool[first_best(gain)]))
        covered = np.maximum(covered, base.cover[:, anchors[-1]])
    return anchors


def _pairs(base: Base, paths: Paths, walked: Walked, anchor: int) -> _Pairs:
    """Paths and null bridges: following a bridge must explain its target better than the plain question explains any
    passage."""
    pool = base.first(constants.POOL)
    pool = pool[pool != anchor]
    same = np.full(len(pool), anchor, np.int64)
    score = (
        base.score[anchor]
        + base.score[pool]
        + constants.COVERED * covers(base, same, pool)
        + constants.WALKED * walked.of(pool)
        - constants.NO_BRIDGE
    )
    return _Pairs(
        np.concatenate([paths.anchor, same]),
        np.concatenate([paths.target, pool]),
        np.concatenate([paths.score, score]).astype(np.float32),
        np.concatenate([np.arange(len(paths.score)), np.full(len(pool), -1)]),
    )


def _set(base: Base, pairs: _Pairs, anchors: list[int]) -> tuple[dict[int, Placed], int, bool]:
    """The set in the order it was chosen in, the first pair of it, and whether more of it came without a bridge than
    over one, at either end."""
    chosen = {slot: Placed(slot, -1, "anchor") for slot in anchors}
    covered = base.cover[:, anchors].max(axis=1) if len(base.cover) else np.zeros(0, np.float32)
    open_ = np.ones(len(pairs.score), np.bool_)
    both = np.maximum(base.cover[:, pairs.anchor], base.cover[:, pairs.target])
    first, plain, bridged = -1, 0, 0
    while len(chosen) < constants.SET and open_.any():
        known = np.array(list(chosen), np.int64)
        new = np.maximum(both - covered[:, None], 0).sum(axis=0)
        value = pairs.score + constants.COVERED * new + constants.ANCHOR_AGAIN * np.isin(pairs.anchor, known)
        best = first_best(np.where(open_, value, -np.inf))
        first = best if first < 0 else first
        anchor, target = int(pairs.anchor[best]), int(pairs.target[best])
        before = len(chosen)
        path = int(pairs.path[best])
        chosen.setdefault(anchor, Placed(anchor, -1, "anchor"))
        chosen.setdefault(target, Placed(target, path, "path" if path >= 0 else "question"))
        plain += len(chosen) - before if path < 0 else 0
        bridged += len(chosen) - before if path >= 0 else 0
        covered = np.maximum(covered, both[:, best])
        open_ &= ~((pairs.anchor == anchor) & (pairs.target == target))
        open_ &= ~(np.isin(pairs.anchor, [*chosen]) & np.isin(pairs.target, [*chosen]))
    return chosen, first, plain > bridged


def _newly(base: Base, covered: Floats, slots: Ints) -> Floats:
    new: Floats = np.maximum(base.cover[:, slots] - covered[:, None], 0).sum(axis=0, dtype=np.float32)
    return new


def _tail(
    index: PassageIndex, base: Base, paths: Paths, walked: Walked, plainly: bool, k: int
) -> Iterator[tuple[int, str]]:
    """Everybody else, best first."""
    slots = np.union1d(walked.slots, base.best) if plainly else walked.slots
    scores = walked.of(slots)
    scores = scores + base.score[slots] if plainly else np.where(base.score[slots] > -np.inf, scores, -np.inf)
    best = best_of(scores.astype(np.float32), k + constants.MARGIN)
    for place in ranked(index, scores[best], slots[best]):
        yield int(slots[best[place]]), "walk"
    yield from ((int(slot), "path") for slot in paths.target)
    yield from ((int(slot), "question") for slot in base.best)
