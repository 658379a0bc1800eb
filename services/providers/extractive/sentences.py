"""Which sentences of some passages fit a question best.

Terms are weighed by BM25's formula (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond",
2009) with sentences as the documents, so a word that stands in every sentence counts for little. Sentences of passages
that retrieval ranked higher gain a share on top. Deterministic: equal input, equal answer.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.providers.chat_model import Source

K1: Final = 1.2
B: Final = 0.75
RANK_SHARE: Final = 0.6
"""How much the best-ranked passage adds to a sentence's score, as a share of it; the others less, by rank."""
MIN_SHARE_OF_BEST: Final = 0.35
"""Sentences below this share of the best one's score are left out: they would only dilute the answer."""
MAX_OVERLAP: Final = 0.7
"""Share of common terms above which two sentences say the same."""
MAX_CHARS: Final = 400

# A sentence ends at punctuation before white space, or at an empty line. The look-behind keeps "Dr. Ada" and "J. Watt"
# together: a single capital, or a title, before the dot ends none.
_END: Final = re.compile(
    r"(?<=[.!?。！？])(?<!\b[A-Z]\.)(?<!\b[DMS]r\.)(?<!\bMrs\.)(?<!\be\.g\.)(?<!\bi\.e\.)\s+|\n\s*\n"
)
# Scripts without spaces between words count by the character.
_UNSPACED: Final = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_MARKUP: Final = re.compile(r"^(?:#{1,6}\s+|[-*+]\s+|>\s?|\d+[.)]\s+)|[*`]{1,3}|\s*\|\s*$", re.MULTILINE)
_COMMON_WORDS: Final = """
a an and are as at be been but by can could did do does for from had has have how i if in into is it its me my of on or
our shall should so some than that the their them then there these they this to was we were what when where which who
whom whose why will with would you your
"""
_COMMON: Final = frozenset(_COMMON_WORDS.split())


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence with the number of its source, its place in it, and how well it fits (higher is better)."""

    number: int
    position: int
    text: str
    score: float
    terms: frozenset[str]


def best_sentences(question: str, sources: Sequence[Source], limit: int) -> list[Sentence]:
    """At most `limit` sentences, in the order of sources and places. When no word of the question occurs anywhere, the
    opening sentences of the first sources: retrieval found them by meaning."""
    candidates = [
        (rank, source.number, position, text, _terms(text))
        for rank, source in enumerate(sources)
        for position, text in enumerate(sentences(source.text))
    ]
    wanted = frozenset(_terms(question)) or frozenset(_words(question))
    frequency = Counter(term for *_, terms in candidates for term in set(terms) & wanted)
    average = sum(len(terms) for *_, terms in candidates) / max(1, len(candidates))
    scored = [
        Sentence(
            number,
            position,
            text,
            _bm25(terms, wanted, frequency, len(candidates), average) * (1 + RANK_SHARE / (rank + 1)),
            frozenset(terms),
        )
        for rank, number, position, text, terms in candidates
    ]
    if not any(sentence.score > 0 for sentence in scored):
        chosen = [sentence for sentence in scored if sentence.position == 0][:limit]
    else:
        chosen = _choose(scored, limit)
    return sorted(chosen, key=lambda sentence: (sentence.number, sentence.position))


def sentences(text: str) -> list[str]:
    """The sentences of a passage, Markdown's marks removed; what is longer than MAX_CHARS ends in an ellipsis."""
    found = []
    for part in _END.split(text):
        line = " ".join(_MARKUP.sub("", part).split())
        if len(line) > 1:
            found.append(line if len(line) <= MAX_CHARS else line[: MAX_CHARS - 1].rsplit(" ", 1)[0] + "…")
    return found


def _choose(scored: Sequence[Sentence], limit: int) -> list[Sentence]:
    ranked = sorted(scored, key=lambda sentence: (-sentence.score, sentence.number, sentence.position))
    floor = ranked[0].score * MIN_SHARE_OF_BEST
    chosen: list[Sentence] = []
    for sentence in ranked:
        if len(chosen) == limit or sentence.score < floor:
            break
        if all(_overlap(sentence.terms, other.terms) <= MAX_OVERLAP for other in chosen):
            chosen.append(sentence)
    return chosen


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / max(1, min(len(one), len(other)))


def _bm25(terms: Sequence[str], wanted: frozenset[str], frequency: Counter[str], total: int, average: float) -> float:
    counts = Counter(term for term in terms if term in wanted)
    length = K1 * (1 - B + B * len(terms) / max(1.0, average))
    return sum(
        math.log(1 + (total - frequency[term] + 0.5) / (frequency[term] + 0.5)) * count * (K1 + 1) / (count + length)
        for term, count in counts.items()
    )


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _terms(text: str) -> list[str]:
    """The words that carry meaning, cut to a stem that brings `cached`, `caches` and `caching` together."""
    return [_stem(word) for word in _words(text) if word not in _COMMON]


def _stem(word: str) -> str:
    for ending in ("ings", "ing", "edly", "ed", "ies", "es", "s", "ly", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
