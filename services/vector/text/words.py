"""The words by which text is found.

NFKC and case folding, so that full-width letters, ligatures and capitals make no difference. Scripts that are written
without spaces, and Korean, whose nouns carry particles, are cut into overlapping pairs of characters and into single
ones; a query asks for the pairs, or for the single character when it has just one. A Korean noun is then found
whatever particle follows it.
"""

import re
import unicodedata
from collections import Counter
from itertools import pairwise
from typing import Final

from services.vector.model import Words

_PAIRED: Final = (
    "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"  # Hangul
    "\u3041-\u309f\u30a0-\u30ff\u31f0-\u31ff"  # Hiragana, Katakana
    "\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Han
    "\U00020000-\U0003ffff"
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
)
# An apostrophe inside a word belongs to it (don't, l'eau); combining marks do as well (Devanagari vowels).
_TOKEN: Final = re.compile(
    rf"[{_PAIRED}]+|(?:(?![{_PAIRED}])[\w\u0300-\u036f\u0900-\u0dff])+(?:['’](?![{_PAIRED}])\w+)*"
)
_ASCII_TOKEN: Final = re.compile(r"\w+(?:'\w+)*", re.ASCII)
_IS_PAIRED: Final = re.compile(f"[{_PAIRED}]")
_MAX_WORD: Final = 64
_MAX_QUERY_WORDS: Final = 64


def of_passage(text: str) -> Words:
    """The words a passage is stored with. Its length counts a run of paired characters once, by its pairs."""
    counts: Counter[str] = Counter()
    length = 0
    for token in _tokens(text):
        if _IS_PAIRED.match(token):
            pairs = [a + b for a, b in pairwise(token)]
            counts.update(pairs)
            counts.update(token)
            length += max(1, len(pairs))
        else:
            counts[token] += 1
            length += 1
    # 16 bits hold a count; more often than that says nothing more.
    return Words({word: min(count, 32_767) for word, count in counts.items()}, length)


def of_query(text: str) -> list[str]:
    """The distinct words to look for, in order; at most 64."""
    found: dict[str, None] = {}
    for token in _tokens(text):
        if _IS_PAIRED.match(token) and len(token) > 1:
            found.update(dict.fromkeys(a + b for a, b in pairwise(token)))
        else:
            found[token] = None
        if len(found) >= _MAX_QUERY_WORDS:
            break
    return list(found)[:_MAX_QUERY_WORDS]


def _tokens(text: str) -> list[str]:
    if text.isascii():
        # The same by a shorter way: there is nothing to normalise, and nothing that is paired.
        return [word[:_MAX_WORD] for word in _ASCII_TOKEN.findall(text.lower())]
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return [match[0][:_MAX_WORD].replace("’", "'") if not _IS_PAIRED.match(match[0]) else match[0]
            for match in _TOKEN.finditer(folded)]  # fmt: skip
