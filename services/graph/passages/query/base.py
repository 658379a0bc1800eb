"""How well each passage answers the question by itself."""

from dataclasses import dataclass

import numpy as np

from services.graph.passages.index.arrays import Bools, Floats, Ints
from services.graph.passages.index.index import PassageIndex
from services.graph.passages.query import constants
from services.graph.passages.query.question import Question
from services.graph.passages.query.scope import Scope
from services.graph.passages.query.ties import best_first


@dataclass(frozen=True, slots=True)
class Base:
    """Scores of every slot; those of passages that may not be found are -inf."""

    passage: Floats
    """Product of the passage's vector with the question's."""
    semantic: Floats
    """Half of that, half of the best sentence."""
    lexical: Floats
    named: Floats
    score: Floats
    """s1, the sum."""
    cover: Floats
    """terms × slots: how far each passage has each of the question's terms, 0 to 1, times the term's share of idf."""
    best: Ints
    """Slots by score, as many as an answer may need."""
    naming: Bools
    """Whether a phrase of the question names the passage."""
    called: Ints
    """The best slots of those it names."""

    def first(self, count: int) -> Ints:
        """The `count` best slots, and those that the question calls by name."""
        best = self.best[:count]
        return np.concatenate([best, self.called[~np.isin(self.called, best)]])


def score(scope: Scope, question: Question, k: int) -> Base:
    """`k`: how many are asked for."""
    index, may = scope.index, scope.found
    passage = index.first_pass(question.vector)
    cover, lexical = _lexical(scope, question)
    named, naming = _named(scope, question)
    plain = constants.LEXICAL * lexical + named
    score = np.where(may, passage + plain, -np.inf).astype(np.float32)
    semantic = passage.copy()
    looked = best_of(score, constants.SENTENCES)
    semantic[looked] = 0.5 * passage[looked] + 0.5 * best_sentence(index, looked, question.vector, passage[looked])
    score[looked] = semantic[looked] + plain[looked]
    # What has no sentences looked at comes behind what has: those are the worse ones by all else.
    rest = np.ones(len(score), np.bool_)
    rest[looked] = False
    floor = float(score[looked].min()) if len(looked) else 0.0
    score[rest] = np.minimum(score[rest], floor)
    semantic = np.where(may, semantic, -np.inf).astype(np.float32)
    best = _best(index, score, max(k, constants.POOL) + constants.MARGIN)
    called = _best(index, np.where(naming, score, -np.inf), constants.CALLED)[: constants.CALLED]
    return Base(passage, semantic, lexical, named, score, cover, best, naming, called)


def best_of(scores: Floats, count: int) -> Ints:
    """The slots of the best scores, in no order; none that is -inf."""
    if len(scores) > count:
        last = len(scores) - count
        # All that are equal to the last one, so that it does not depend on the order of slots which of them is in.
        chosen = np.flatnonzero(scores >= np.partition(scores, last)[last] - constants.ROUNDING)
    else:
        chosen = np.arange(len(scores))
    return np.asarray(chosen[scores[chosen] > -np.inf], np.int64)


def _best(index: PassageIndex, scores: Floats, count: int) -> Ints:
    """The slots of the best scores, best first, and what is equal to the last of them."""
    best = best_of(scores, count)
    return best[ranked(index, scores[best], best)]


def ranked(index: PassageIndex, scores: Floats, slots: Ints) -> Ints:
    """Places of `slots` by falling score; what is equal by id."""
    return best_first(scores, lambda place: index.id(int(slots[place])))


def best_sentence(index: PassageIndex, slots: Ints, vector: Floats, default: Floats) -> Floats:
    """The best product of a sentence of each passage with a vector; `default` for passages without sentences."""
    rows, owners = index.sentences(slots)
    return best_by_owner(index.sentence_products(rows, vector), owners, default)


def best_by_owner(values: Floats, owners: Ints, default: Floats) -> Floats:
    """The largest value of each owner; `owners` rises."""
    best = default.copy()
    if len(owners):
        starts = np.flatnonzero(np.concatenate([[True], owners[1:] != owners[:-1]]))
        best[owners[starts]] = np.maximum.reduceat(values, starts)
    return best


def _lexical(scope: Scope, question: Question) -> tuple[Floats, Floats]:
    """BM25 over different terms, with each term's part."""
    cover = np.zeros((len(question.terms), len(scope.found)), np.float32)
    lexical = np.zeros(len(scope.found), np.float32)
    if len(question.terms):
        slots, owners, counts = scope.index.lexicon.postings(question.terms, scope.found)
        lengths = scope.searched.lengths(slots)
        norm = constants.K1 * (1 - constants.B + constants.B * lengths)
        saturated = counts * (constants.K1 + 1) / (counts + norm)
        share = (question.idf / question.weight)[owners]
        lexical += np.bincount(slots, saturated * share, minlength=len(lexical)).astype(np.float32)
        # By one number each rather than two: a third of the time, where words are common.
        cover.reshape(-1)[owners * len(lexical) + slots] = np.minimum(saturated, 1) * share
    return cover, lexical


def _named(scope: Scope, question: Question) -> tuple[Floats, Bools]:
    named = np.zeros(len(scope.found), np.float32)
    mentions = scope.index.phrases.of_phrases(question.phrases, scope.linked)
    mentions = mentions.where(mentions.weight > 0)
    value = constants.NAMED * mentions.weight * scope.rarity(mentions.phrase)
    np.add.at(named, mentions.slot, value)
    return named, named > 0
