"""Everything a passage mentions that may link it to another, names and parts of names.

The extraction that docs/retrieval.md describes, one passage at a time. `names.names_of` is the part of it that people
want to see in a graph; here are the nested parts of names, dates and years as well.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from services.graph.extraction.names import HEADING_WEIGHT, is_name, quoted_spans, title_names
from services.graph.extraction.runs import capital, runs
from services.graph.extraction.text import Token, fold, normal_form, tokens
from services.graph.extraction.words import STOP_WORDS

NESTED_TOKENS: Final = 6
"""Most words of a part of a name that counts by itself."""

_MONTHS: Final = (
    "january|february|march|april|may|june|july|august|september|october|november|december"
    "|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec"
)
_DATE: Final = re.compile(
    rf"\b(?:\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?(?:{_MONTHS})\b\.?(?:,?\s+\d{{4}}\b)?"
    rf"|(?:{_MONTHS})\b\.?\s+\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s+\d{{4}}\b)?"
    rf"|(?:{_MONTHS})\b\.?,?\s+\d{{4}}\b|\d{{4}}-\d{{2}}-\d{{2}}\b|(?:1\d|20)\d\d(?:s\b|\b))",
    re.IGNORECASE,
)


class Mention(NamedTuple):
    """That a passage mentions a phrase."""

    key: str
    """Normal form of the phrase."""
    text: str
    """As it is written, blanks made one."""
    weight: float
    """How far it names the passage itself, 0 to 1: 1 for the title, 0 for what stands in the text."""
    nested: bool
    """Whether it occurs only as a part of a longer name."""
    given: bool = False
    """Whether somebody said so; then it is a name, however it is written."""


def mentions_of(text: str, title: str = "", heading_path: Sequence[str] = ()) -> list[Mention]:
    """Every phrase of a passage once, sorted by key; of several mentions the one that names the passage most, then a
    whole name before a part of one, then the first."""
    found: dict[str, Mention] = {}
    for written, weight, nested in _candidates(text, title, heading_path):
        key = normal_form(written)
        known = found.get(key)
        if known is not None and (known.weight, not known.nested) >= (weight, not nested):
            continue
        # A year is a phrase as well; what else has digits only says nothing.
        if is_name(key, weight) or _DATE.fullmatch(key):
            found[key] = Mention(key, " ".join(written.split()), weight, nested)
    return [found[key] for key in sorted(found)]


def _candidates(text: str, title: str, heading_path: Sequence[str]) -> Iterator[tuple[str, float, bool]]:
    for name, weight in title_names(title):
        if name:
            yield name, weight, False
    words = list(tokens(title))
    yield from ((part, 0.0, True) for part in _parts(title, words, range(len(words))))
    if heading_path:
        yield heading_path[-1].strip(), HEADING_WEIGHT, False
    for start, end in quoted_spans(text):
        yield text[start:end], 0.0, False
    for date in _DATE.finditer(text):
        yield date.group(), 0.0, False
    words = list(tokens(text))
    for run in runs(text, words):
        yield text[words[run.start].start : words[run.stop - 1].end], 0.0, False
        yield from ((part, 0.0, True) for part in _parts(text, words, run))


def _parts(text: str, words: Sequence[Token], run: range) -> Iterator[str]:
    """Parts of a run that begin and end with a capital or a number, and with no stop word."""
    ends = [place for place in run if _may_end(words[place])]
    for first in ends:
        for last in ends:
            if first <= last < first + NESTED_TOKENS and (first, last) != (run.start, run.stop - 1):
                yield text[words[first].start : words[last].end]


def _may_end(word: Token) -> bool:
    return (capital(word) or word.text[0].isdigit()) and fold(word.text) not in STOP_WORDS
