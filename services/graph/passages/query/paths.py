"""Paths of two passages over a phrase that both mention.

The second passage is asked with another question: the anchor taken out, the bridge put in. Everything about that vector
is linear, so that the products of its parts are computed once a passage and not once a path.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.graph.passages.index.arrays import Floats, Ints, ranges, unique
from services.graph.passages.index.halves import gather, products
from services.graph.passages.index.index import PassageIndex
from services.graph.passages.index.phrases import Edges
from services.graph.passages.query import constants
from services.graph.passages.query.base import Base, best_by_owner, best_of
from services.graph.passages.query.question import Question
from services.graph.passages.query.scope import Scope
from services.graph.passages.query.ties import best_first
from services.graph.passages.query.walk import Walked


@dataclass(frozen=True, slots=True)
class Paths:
    """Paths as arrays of equal length."""

    anchor: Ints
    """Slot of the first passage."""
    phrase: Ints
    target: Ints
    """Slot of the second passage."""
    score: Floats
    """X."""
    likeness: Floats
    """Of the target to the rewritten question."""
    sentence: Ints
    """Row of the target's best sentence; -1 where none was looked at."""

    def where(self, kept: NDArray[np.int64]) -> "Paths":
        return Paths(*(getattr(self, name)[kept] for name in Paths.__slots__))


@dataclass(frozen=True, slots=True)
class _Pairs:
    """All paths from the anchors, before they are scored."""

    anchor: Ints
    """Place among the anchors."""
    phrase: Ints
    """Place among the phrases."""
    link: Ints
    """The target's mention of the phrase."""
    target: Ints
    nested: Ints
    """How many of its two mentions are parts of longer names."""
    weight: Floats
    """How far the phrase names the target."""


def find(scope: Scope, question: Question, base: Base, walked: Walked) -> Paths:
    """The best paths that begin at the best passages, best first."""
    index = scope.index
    anchors = base.first(constants.ANCHORS)
    leaving = index.phrases.of_passages(anchors)
    leaving = leaving.where(scope.linked[leaving.slot])
    leaving = leaving.where(scope.bridges(leaving.phrase))
    standing = _standing(index, question, anchors, leaving)
    leaving = leaving.where(~np.isin(leaving.phrase, question.within))
    phrases, places = unique(leaving.phrase)
    pairs = _pairs(leaving, places, _arriving(scope, phrases, base), anchors)
    return _scored(scope, question, base, walked, anchors, standing, phrases, pairs)


def _standing(index: PassageIndex, question: Question, anchors: Ints, mentions: Edges) -> Floats:
    """What each anchor stands for in the question: the question's phrases it mentions; without any, its title; without
    that, all of it."""
    said = mentions.where(np.isin(mentions.phrase, question.phrases))
    vectors, there = index.phrase_vectors(said.phrase)
    sums = np.zeros((len(anchors), index.dimension), np.float32)
    np.add.at(sums, said.owner[there], vectors[there])
    counts = np.bincount(said.owner[there], minlength=len(anchors)).astype(np.float32)
    titles, titled = index.title_vectors(anchors)
    whole = np.where(titled[:, None], titles, gather(index.vectors, anchors))
    return np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], whole).astype(np.float32)


def _arriving(scope: Scope, phrases: Ints, base: Base) -> Edges:
    """Who mentions each phrase, the likeliest only where it is many; by phrase."""
    arriving = scope.index.phrases.of_phrases(phrases, scope.linked)
    order = np.argsort(arriving.owner, kind="stable")
    likely = base.semantic[arriving.slot]
    counts = np.bincount(arriving.owner, minlength=len(phrases))
    ends = np.cumsum(counts)
    kept = np.ones(len(order), np.bool_)
    for many in np.flatnonzero(counts > constants.FAN).tolist():
        part = slice(int(ends[many] - counts[many]), int(ends[many]))
        values = likely[order[part]]
        last = len(values) - constants.FAN
        kept[part] = values >= np.partition(values, last)[last] - constants.ROUNDING
    return arriving.where(order[kept])


def _pairs(leaving: Edges, places: Ints, arriving: Edges, anchors: Ints) -> _Pairs:
    counts = np.bincount(arriving.owner, minlength=int(places.max()) + 1 if len(places) else 0)
    starts = np.cumsum(counts) - counts
    there = ranges(starts[places], counts[places])
    here = np.repeat(np.arange(len(places)), counts[places])
    other = arriving.slot[there] != anchors[leaving.owner[here]]
    # A passage's own name leads to those that speak of it, not to its namesakes.
    other &= ~((leaving.weight[here] > 0) & (arriving.weight[there] > 0))
    there, here = there[other], here[other]
    return _Pairs(
        leaving.owner[here],
        places[here],
        arriving.link[there],
        arriving.slot[there],
        leaving.nested[here].astype(np.int64) + arriving.nested[there],
        arriving.weight[there],
    )


def _scored(
    scope: Scope,
    question: Question,
    base: Base,
    walked: Walked,
    anchors: Ints,
    standing: Floats,
    phrases: Ints,
    pairs: _Pairs,
) -> Paths:
    index = scope.index
    bridges, bridged = index.phrase_vectors(phrases)
    v0 = question.vector
    put, out = np.float32(constants.BRIDGE_IN), np.float32(constants.ANCHOR_OUT)
    squared = (
        np.float32(1)
        + put**2 * bridged[pairs.phrase]
        + out**2 * np.einsum("ij,ij->i", standing, standing)[pairs.anchor]
        + 2 * put * (bridges @ v0)[pairs.phrase]
        - 2 * out * (standing @ v0)[pairs.anchor]
        - 2 * put * out * (standing @ bridges.T)[pairs.anchor, pairs.phrase]
    )
    length = np.sqrt(np.maximum(squared, np.float32(1e-6)))
    targets, places = unique(pairs.target)
    less = products(index.vectors, standing, targets)[places, pairs.anchor]
    more = np.nan_to_num(index.likenesses(pairs.link, pairs.target, phrases[pairs.phrase]))
    passage = (base.passage[pairs.target] + put * more - out * less) / length
    covered = covers(base, anchors[pairs.anchor], pairs.target)
    rest = (
        base.score[anchors[pairs.anchor]]
        + constants.RARE * scope.rarity(phrases)[pairs.phrase]
        - constants.NESTED * pairs.nested
        + constants.TARGET_NAMED * pairs.weight
        + constants.COVERED * covered
        + constants.WALKED * walked.of(pairs.target)
    )
    looked = best_of((rest + passage).astype(np.float32), constants.PATH_SENTENCES)
    vectors = v0 + put * bridges[pairs.phrase[looked]] - out * standing[pairs.anchor[looked]]
    vectors /= length[looked, None]
    likeness, sentence = _closest(index, pairs.target[looked], vectors, passage[looked].astype(np.float32))
    found = Paths(
        anchors[pairs.anchor[looked]],
        phrases[pairs.phrase[looked]],
        pairs.target[looked],
        (rest[looked] + likeness).astype(np.float32),
        likeness,
        sentence,
    )
    found = found.where(best_of(found.score, constants.PATHS))
    return found.where(_order(index, found)[: constants.PATHS])


def _closest(index: PassageIndex, slots: Ints, vectors: Floats, passage: Floats) -> tuple[Floats, Ints]:
    """How like each passage is to its vector, with half a say of its best sentence; and which that is."""
    rows, owners = index.sentences(slots)
    values = index.sentence_products(rows, vectors, owners)
    best = best_by_owner(values, owners, passage)
    sentence = np.full(len(slots), -1, np.int64)
    hit = np.flatnonzero(values >= best[owners] - constants.ROUNDING)[::-1]
    sentence[owners[hit]] = rows[hit]
    return (0.5 * passage + 0.5 * best).astype(np.float32), sentence


def covers(base: Base, first: Ints, second: Ints) -> Floats:
    """The share of the question's idf that two passages cover together."""
    if not len(base.cover):
        return np.zeros(len(first), np.float32)
    both = np.maximum(base.cover.take(first, axis=1), base.cover.take(second, axis=1))
    together: Floats = both.sum(axis=0, dtype=np.float32)
    return together


def _order(index: PassageIndex, paths: Paths) -> Ints:
    """Best first; what is equal by ids and phrase."""

    def key(place: int) -> tuple[str, str, str]:
        return (
            index.id(int(paths.anchor[place])),
            index.id(int(paths.target[place])),
            index.phrases.text(int(paths.phrase[place])),
        )

    return best_first(paths.score, key)
