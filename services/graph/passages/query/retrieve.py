"""The query: base scores, a walk, paths, a set; each with its time, and within a budget."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from services.graph.passages.index.arrays import Ints
from services.graph.passages.index.index import PassageIndex
from services.graph.passages.passage import Span, Vector
from services.graph.passages.query import base, choice, constants, paths, walk
from services.graph.passages.query.question import Question, understand
from services.graph.passages.query.scope import Scope
from services.graph.passages.query.ties import best_first

NO_TIME: Final = "time was short; passages are ranked by the question alone, without links"

_MILLISECONDS: Final = 1000.0


class Bridge(NamedTuple):
    """question → `anchor` → `phrase` → the passage."""

    anchor: str
    """Id of the passage before."""
    phrase: str
    """Normal form of what both mention; `evidence.occurrences` finds it in their texts."""
    anchor_sentence: Span | None
    """The sentence of the anchor that answers the question most."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage with what led to it."""

    id: str
    score: float
    """Higher is better; comparable within one answer only."""
    bridge: Bridge | None
    """None: the question led to it directly."""
    sentence: Span | None
    """The sentence that carried it: most like the question, or what is left of the question behind the bridge."""
    names: tuple[str, ...]
    """Phrases of the question that name it."""
    part: str
    """What placed it: `anchor`, `path`, `walk` or `question`."""
    scores: Mapping[str, float]
    """Parts of its score: semantic, lexical, named, walked; with a bridge, path."""


@dataclass(frozen=True, slots=True)
class Answer:
    hits: list[Hit]
    degraded: str
    """Empty, or why this is only the base ranking."""
    phrases: tuple[str, ...]
    """The question's phrases."""
    entities: tuple[tuple[str, float], ...]
    """Phrases the question leads to, its own included, best first, each with its share of the best; no more than were
    asked for."""
    paths: int
    """How many were weighed."""
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    """Time by stage: question, base, walk, paths, choice, evidence."""


class _Clock:
    """Time by stage, and whether any is left."""

    def __init__(self, deadline: float | None, now: Callable[[], float]) -> None:
        self._deadline = deadline
        self._now = now
        self._last = now()
        self.stages: dict[str, float] = {}

    def stage(self, name: str) -> bool:
        """Ends a stage; whether there is time for another."""
        now = self._now()
        self.stages[name] = (now - self._last) * _MILLISECONDS
        self._last = now
        return self._deadline is None or now < self._deadline


def retrieve(
    scope: Scope,
    text: str,
    vector: Vector,
    k: int,
    *,
    hops: int = 2,
    entities: int = 0,
    deadline: float | None = None,
    now: Callable[[], float] = time.monotonic,
) -> Answer:
    """At most `k` passages, best first.

    `vector`: of the question. `hops`: how many phrases may lie between a passage that the question finds by itself and
    one that is found; 0: none, the base ranking. `entities`: how many phrases to tell, at most. `deadline`: on the
    clock `now`, in seconds; once it has passed, no further stage begins, and the answer is the base ranking.
    """
    clock = _Clock(deadline, now)
    index = scope.index
    question = understand(scope, text, vector)
    clock.stage("question")
    scored = base.score(scope, question, k)
    if not clock.stage("base"):
        return _plain(scope, question, scored, k, clock, NO_TIME)
    if not hops:
        return _plain(scope, question, scored, k, clock, "")
    walked = walk.walk(scope, question, scored, hops)
    if not clock.stage("walk"):
        return _plain(scope, question, scored, k, clock, NO_TIME)
    found = paths.find(scope, question, scored, walked)
    if not clock.stage("paths"):
        return _plain(scope, question, scored, k, clock, NO_TIME)
    placed = choice.choose(index, scored, found, walked, k)
    clock.stage("choice")
    hits = _hits(scope, question, scored, found, walked, placed)
    clock.stage("evidence")
    led = _entities(index, walked, entities)
    return Answer(hits, "", _texts(index, question.phrases), led, len(found.score), clock.stages)


def _plain(scope: Scope, question: Question, scored: base.Base, k: int, clock: _Clock, degraded: str) -> Answer:
    placed = [choice.Placed(int(slot), -1, "question") for slot in scored.best[:k]]
    hits = _hits(scope, question, scored, None, walk.nobody(), placed)
    clock.stage("evidence")
    said = _shares(scope, question.phrases)
    return Answer(hits, degraded, _texts(scope.index, question.phrases), said, 0, clock.stages)


def _hits(
    scope: Scope,
    question: Question,
    scored: base.Base,
    found: paths.Paths | None,
    walked: walk.Walked,
    placed: list[choice.Placed],
) -> list[Hit]:
    index = scope.index
    slots = np.array([one.slot for one in placed], np.int64)
    bridged = [(found, one.path) if found is not None and one.path >= 0 else None for one in placed]
    anchors = np.array([int(one[0].anchor[one[1]]) for one in bridged if one is not None], np.int64)
    spans = _best_sentences(index, question, np.unique(np.concatenate([slots, anchors])))
    names = _names(scope, question, slots)
    shares = walked.of(slots)
    lowest = np.inf
    hits: list[Hit] = []
    for place, (one, bridge) in enumerate(zip(placed, bridged, strict=True)):
        parts = {
            "semantic": float(scored.semantic[one.slot]),
            "lexical": constants.LEXICAL * float(scored.lexical[one.slot]),
            "named": float(scored.named[one.slot]),
            "walked": constants.WALKED * float(shares[place]),
        }
        worth, sentence, over = float(scored.score[one.slot]), spans.get(one.slot), None
        if bridge is not None:
            all_paths, path = bridge
            anchor = int(all_paths.anchor[path])
            parts["path"] = float(all_paths.score[path])
            worth = max(worth, parts["path"] - float(scored.score[anchor]))
            over = Bridge(index.id(anchor), index.phrases.text(int(all_paths.phrase[path])), spans.get(anchor))
            row = int(all_paths.sentence[path])
            sentence = index.span(row) if row >= 0 else sentence
        # A set comes first as a whole, whatever its members are worth alone; scores still fall.
        lowest = min(lowest, worth)
        hits.append(Hit(index.id(one.slot), lowest, over, sentence, names.get(one.slot, ()), one.part, parts))
    return hits


def _best_sentences(index: PassageIndex, question: Question, slots: Ints) -> dict[int, Span]:
    """Of each passage the sentence that is most like the question."""
    rows, owners = index.sentences(slots)
    values = index.sentence_products(rows, question.vector)
    best: dict[int, tuple[float, int]] = {}
    for value, owner, row in zip(values.tolist(), owners.tolist(), rows.tolist(), strict=True):
        slot = int(slots[owner])
        if slot not in best or value > best[slot][0] + constants.ROUNDING:
            best[slot] = (value, row)
    return {slot: index.span(row) for slot, (_, row) in best.items()}


def _names(scope: Scope, question: Question, slots: Ints) -> dict[int, tuple[str, ...]]:
    index = scope.index
    mentions = index.phrases.of_passages(slots)
    mentions = mentions.where(scope.linked[mentions.slot])
    mentions = mentions.where((mentions.weight > 0) & np.isin(mentions.phrase, question.phrases))
    names: dict[int, tuple[str, ...]] = {}
    for slot, phrase in sorted(zip(mentions.slot.tolist(), mentions.phrase.tolist(), strict=True)):
        names[slot] = (*names.get(slot, ()), index.phrases.text(phrase))
    return names


def _entities(index: PassageIndex, walked: walk.Walked, k: int) -> tuple[tuple[str, float], ...]:
    if not k:
        return ()
    best = base.best_of(walked.phrase_share, k)
    texts = [index.phrases.text(phrase) for phrase in walked.phrases[best].tolist()]
    shares = walked.phrase_share[best]
    order = best_first(shares, lambda place: texts[place])[:k]
    return tuple((texts[place], float(shares[place])) for place in order.tolist())


def _shares(scope: Scope, phrases: Ints) -> tuple[tuple[str, float], ...]:
    """Phrases by how rare they are: what is known of entities where nobody walked."""
    rare = scope.rarity(phrases)
    texts = [scope.index.phrases.text(phrase) for phrase in phrases.tolist()]
    order = best_first(rare, lambda place: texts[place])
    return tuple((texts[place], float(rare[place] / rare.max())) for place in order.tolist())


def _texts(index: PassageIndex, phrases: Ints) -> tuple[str, ...]:
    return tuple(sorted(index.phrases.text(int(phrase)) for phrase in phrases))
