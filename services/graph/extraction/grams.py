"""Runs of words in text without capitals: what may be a name there, if other passages have it too.

Nothing in one passage says that "세종대왕" or, in a chat log, "new york" is a name. That a few passages share it and
most don't says so: whoever holds all passages decides (docs/retrieval.md); here are the candidates of one.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from services.graph.extraction.hangul import bare
from services.graph.extraction.runs import begins_sentence, capital
from services.graph.extraction.text import Token, fold, tokens
from services.graph.extraction.words import STOP_WORDS

MAX_WORDS: Final = 4
_HAN: Final = (2, 6)
_OTHER_UNSPACED: Final = (4, 10)
"""Characters of a candidate in scripts that are written without blanks."""
_LEAST_LETTERS: Final = 3
"""Of a single word in a script with case: shorter ones are words of every day."""
_CAPITALS: Final = 0.02
"""Share of words inside sentences with a capital, from which on the writer uses capitals."""
_BLANK: Final = re.compile(r"[\s'’-]+")
_UNSPACED: Final = re.compile(
    r"(?P<han>[\u3400-\u9fff\uf900-\ufaff々〆ヵヶ]+)|(?P<katakana>[\u30a1-\u30ff]+)|(?P<hiragana>[\u3040-\u309f]+)"
    r"|(?P<other>[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]+)"
)


def grams_of(text: str) -> list[str]:
    """Normal forms of the runs of one to four words (in scripts without blanks: of characters) of a text that tells
    names by nothing else, each once, sorted."""
    words = list(tokens(text))
    plain = not _uses_capitals(text, words)
    found: set[str] = set()
    for segment in _segments(text, words, plain):
        found.update(_of_words(segment))
    for word in words:
        found.update(unspaced_parts(word.text))
    return sorted(found)


def unspaced_parts(word: str) -> Iterator[str]:
    """The candidates inside a token of a script without blanks; katakana is written for whole words."""
    if word.isascii():
        return
    for run in _UNSPACED.finditer(word):
        part = fold(run.group())
        if run.lastgroup == "katakana" and len(part) > 1:
            yield part
        elif run.lastgroup in ("han", "other"):
            least, most = _HAN if run.lastgroup == "han" else _OTHER_UNSPACED
            for start in range(len(part) - least + 1):
                for end in range(start + least, min(start + most, len(part)) + 1):
                    yield part[start:end]


def is_unspaced(word: str) -> bool:
    """Whether a token holds text of a script without blanks."""
    return not word.isascii() and _UNSPACED.search(word) is not None


def _uses_capitals(text: str, words: Sequence[Token]) -> bool:
    cased = inside = 0
    for place, word in enumerate(words):
        first = word.text[0]
        if first.isupper() or first.islower() or first.istitle():
            cased += 1
            if capital(word) and fold(word.text) not in STOP_WORDS and not begins_sentence(text, words, place):
                inside += 1
    return inside > _CAPITALS * cased


def _segments(text: str, words: Sequence[Token], plain: bool) -> Iterator[list[str]]:
    """Stretches of words that may be candidates, with nothing but blanks between them."""
    segment: list[str] = []
    for place, word in enumerate(words):
        if segment and not _BLANK.fullmatch(text[words[place - 1].end : word.start]):
            yield segment
            segment = []
        if _may_be(word.text, plain):
            segment.append(word.text)
        elif segment:
            yield segment
            segment = []
    if segment:
        yield segment


def _may_be(word: str, plain: bool) -> bool:
    if is_unspaced(word):
        return False
    caseless = not (word[0].isupper() or word[0].islower() or word[0].istitle() or word[0].isdigit())
    return caseless or plain


def _of_words(segment: Sequence[str]) -> Iterator[str]:
    folded = [fold(word) for word in segment]
    for start, first in enumerate(folded):
        if first in STOP_WORDS or first.isdigit():
            continue
        for end in range(start + 1, min(start + MAX_WORDS, len(folded)) + 1):
            last = folded[end - 1]
            if last in STOP_WORDS or (end == start + 1 and last.isascii() and len(last) < _LEAST_LETTERS):
                continue
            yield " ".join(folded[start:end])
            stem = bare(last)
            if stem != last:
                yield " ".join([*folded[start : end - 1], stem])
