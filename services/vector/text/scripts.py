"""Which scripts a text is written in, as far as a model for English has to know."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

_SAMPLE: Final = 20_000
_NOTABLE: Final = 0.2
_MOST: Final = 0.5

_RANGES: Final = {
    "Korean": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7ff",
    "Japanese": "\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9d",
    "Chinese": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "Cyrillic": "\u0400-\u052f",
    "Greek": "\u0370-\u03ff\u1f00-\u1fff",
    "Arabic": "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc",
    "Hebrew": "\u0590-\u05ff",
    "Indic": "\u0900-\u0dff",
    "Thai": "\u0e00-\u0e7f",
    "Georgian": "\u10a0-\u10ff",
    "Armenian": "\u0530-\u058f",
    "Ethiopic": "\u1200-\u139f",
}
_GROUPED: Final = re.compile("|".join(f"(?P<{name}>[{characters}]+)" for name, characters in _RANGES.items()))
_LETTERS: Final = re.compile(r"[^\W\d_]+")


def foreign(text: str) -> list[str]:
    """Names of the scripts other than Latin in which at least a fifth of the text's letters are written.

    Looks at the beginning of a long text. Japanese takes the Han characters that stand among its own with it.
    """
    sample = text[:_SAMPLE]
    letters = sum(len(match[0]) for match in _LETTERS.finditer(sample))
    counts: Counter[str] = Counter()
    for match in _GROUPED.finditer(sample):
        counts[match.lastgroup or ""] += len(match[0])
    if counts["Japanese"] * 4 >= counts["Chinese"]:
        counts["Japanese"] += counts.pop("Chinese", 0)
    return sorted(name for name, count in counts.items() if count and count >= _NOTABLE * letters)


def prevailing(words: Iterable[tuple[str, int]]) -> list[str]:
    """Names of the scripts other than Latin in which most of these words are written, each with its frequency."""
    whole, counts = 0, Counter[str]()
    for word, frequency in words:
        if not any(map(str.isalpha, word)):
            continue
        whole += frequency
        if found := _GROUPED.search(word):
            counts[found.lastgroup or ""] += frequency
    if sum(counts.values()) < _MOST * whole or not whole:
        return []
    return sorted(name for name, count in counts.items() if count >= _NOTABLE * whole)
