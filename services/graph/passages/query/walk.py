"""Personalised PageRank over passages and phrases, on as much of the graph as walkers reach."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.graph.passages.index.arrays import Floats, Ints, unique
from services.graph.passages.index.phrases import Edges
from services.graph.passages.query import constants
from services.graph.passages.query.base import Base
from services.graph.passages.query.question import Question
from services.graph.passages.query.scope import Scope


@dataclass(frozen=True, slots=True)
class Walked:
    """Where walkers are found that begin at the question and its best passages."""

    slots: Ints
    """By rising slot."""
    share: Floats
    """Of the most visited passage, 0 to 1, of each of `slots`."""
    phrases: Ints
    phrase_share: Floats
    """Of the most visited phrase, 0 to 1, of each of `phrases`."""

    def of(self, slots: Ints) -> Floats:
        """The share of some passages; 0 where nobody came."""
        if not len(self.slots):
            return np.zeros(len(slots), np.float32)
        places = np.minimum(np.searchsorted(self.slots, slots), len(self.slots) - 1)
        return np.where(self.slots[places] == slots, self.share[places], 0).astype(np.float32)


def nobody() -> Walked:
    """Before anybody walked."""
    return Walked(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64), np.empty(0, np.float32))


def walk(scope: Scope, question: Question, base: Base, hops: int) -> Walked:
    """Half of the walkers begin at the best passages, half at the question's phrases. They stay within `hops` phrases
    of where they began; after two nearly all of them have been seen."""
    seeds = base.best[: constants.SEEDS]
    seeds = seeds[base.score[seeds] > 0]
    phrases = question.phrases
    if not len(seeds) and not len(phrases):
        return nobody()
    scores = base.score[seeds].astype(np.float64)
    start = (scores / scores.max(initial=0)) ** 2
    half = 0.5 if len(phrases) else 1.0
    start *= half / (start.sum() or 1)
    rarity = scope.rarity(phrases).astype(np.float64)
    said = 0.5 * rarity / (rarity.sum() or 1)
    return _iterate(scope, hops, seeds, start, phrases, said)


Mass = NDArray[np.float64]


def _iterate(scope: Scope, hops: int, seeds: Ints, start: Mass, phrases: Ints, said: Mass) -> Walked:
    slots, mass = seeds, start
    for _ in range(hops):
        out = _leaving(scope, slots)
        ends, places = unique(np.concatenate([out.edges.phrase, phrases]))
        flow = constants.DAMPING * mass[out.edges.owner] * out.share
        at = np.bincount(places, np.concatenate([flow, said]), minlength=len(ends))
        enough = (at > constants.FAINT) & (at > constants.THIN * scope.mentions(ends))
        ends, at = ends[enough], at[enough]
        back = _returning(scope, ends)
        flow = constants.DAMPING * at[back.edges.owner] * back.share
        # As long as all slots: quicker than sorting those there are.
        arrived = np.bincount(back.edges.slot, flow, minlength=len(scope.found)).astype(np.float64)
        arrived[seeds] += start
        slots = np.flatnonzero(arrived)
        mass = arrived[slots]
    return _settled(scope, slots, mass, ends, back, (seeds, start), (phrases, said))


def _settled(
    scope: Scope,
    slots: Ints,
    mass: Mass,
    ends: Ints,
    back: "_Out",
    first: tuple[Ints, Mass],
    said: tuple[Ints, Mass],
) -> Walked:
    """Goes on inside the part of the graph that was found."""
    active = np.flatnonzero(mass > constants.FAINT)
    out = _leaving(scope, slots[active])
    places = np.minimum(np.searchsorted(ends, out.edges.phrase), max(len(ends) - 1, 0))
    inside = np.flatnonzero(ends[places] == out.edges.phrase) if len(ends) else np.empty(0, np.int64)
    leaving, arriving = active[out.edges.owner[inside]], places[inside]
    out_share, back_share = out.share[inside], back.share
    home = np.zeros(int(slots.max(initial=-1)) + 1, np.int64)
    home[slots] = np.arange(len(slots))
    homes = home[back.edges.slot]
    reset = np.zeros(len(slots))
    reset[np.searchsorted(slots, first[0])] = first[1]
    spoken = np.zeros(len(ends))
    there = np.isin(said[0], ends)
    spoken[np.searchsorted(ends, said[0][there])] = said[1][there]
    at = spoken
    for _ in range(constants.STEPS):
        at = spoken + constants.DAMPING * np.bincount(arriving, mass[leaving] * out_share, minlength=len(ends))
        mass = reset + constants.DAMPING * np.bincount(homes, at[back.edges.owner] * back_share, minlength=len(slots))
    return Walked(slots, _scaled(mass), ends, _scaled(at))


def _scaled(mass: Mass) -> Floats:
    """As shares of the largest."""
    top = float(mass.max()) if len(mass) else 0.0
    return (mass / (top or 1.0)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Out:
    edges: Edges
    share: Mass
    """Of its owner's walkers that take each edge."""


def _leaving(scope: Scope, slots: Ints) -> _Out:
    edges = scope.index.phrases.of_passages(slots)
    edges = edges.where(scope.linked[edges.slot])
    edges = edges.where(scope.bridges(edges.phrase))
    return _shared(scope, edges, len(slots))


def _returning(scope: Scope, phrases: Ints) -> _Out:
    return _shared(scope, scope.index.phrases.of_phrases(phrases, scope.linked), len(phrases))


def _shared(scope: Scope, edges: Edges, owners: int) -> _Out:
    rarity = scope.rarity(edges.phrase).astype(np.float64)
    weight = rarity * np.where(edges.nested, 0.5, 1) * (1 + edges.weight)
    total = np.bincount(edges.owner, weight, minlength=owners)
    return _Out(edges, weight / total[edges.owner])
