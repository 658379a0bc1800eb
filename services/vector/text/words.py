"""The words by which text is found.

NFKC and case folding, so that full-width letters, ligatures and capitals make no difference. Scripts that are written
without spaces, and Korean, whose nouns carry particles, are cut into overlapping pairs of characters and into single
ones; a query asks for the pairs, or for the single character when it has just one. A Korean noun is then found
whatever particle follows it.

In a collection that names a language, a word of another script is found by its stem, which carries a mark, so that it
is no other word. The word as it stands is kept beside it, because a beginning of words (`prefix`) means what was
written. For phrases the terms are kept in their order as well: words or stems, and single characters of paired scripts.
"""

import re
import unicodedata
from collections import Counter
from itertools import pairwise
from typing import Final

from services.vector.model import Words
from services.vector.text.stemming import stemmer

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
_ASCII_FOLDED: Final = {code: chr(code).lower() if re.match(r"\w", chr(code), re.ASCII) else " " for code in range(128)}
"""Small letters for capitals, and spaces for what stands in no word (an apostrophe may)."""
_IS_PAIRED: Final = re.compile(f"[{_PAIRED}]")
_MAX_WORD: Final = 64
_MOST_COUNTED: Final = 32_767
MAX_QUERY_WORDS: Final = 64
STEM: Final = "~"
"""The mark of a stem; no word begins with it."""
_NONE: Final = Words({}, 0)


def of_passage(text: str, language: str = "") -> Words:
    """The words a passage is stored with. Its length counts a run of paired characters once, by its pairs."""
    if not text:
        return _NONE
    stem = stemmer(language).stem if language else None
    stems: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    order: list[str] = []
    length = 0
    if text.isascii() and not language:
        # Most texts: nothing in them is paired or stemmed, so all of them can be counted at once.
        order = tokens(text)
        return Words(_bounded(Counter(order)), len(order), tuple(order))
    for token in tokens(text):
        if _IS_PAIRED.match(token):
            pairs = [a + b for a, b in pairwise(token)]
            counts.update(pairs)
            counts.update(token)
            order.extend(token)
            length += max(1, len(pairs))
            continue
        counts[token] += 1
        length += 1
        if stem is None:
            order.append(token)
        else:
            order.append(term := STEM + stem(token))
            stems[term] += 1
    # Stems first: they are what questions ask for.
    return Words({**_bounded(stems), **_bounded(counts)}, length, tuple(order))


def beside(own: Words, before: str, language: str = "") -> Words:
    """The words of a passage that sees what stands before it: those of that, and its own twice. Phrases are its own."""
    seen = of_passage(before, language)
    counts = Counter({word: 2 * count for word, count in own.counts.items()})
    counts.update(seen.counts)
    return Words(_bounded(counts), 2 * own.length + seen.length, own.order)


def of_query(text: str, language: str = "") -> list[str]:
    """The distinct words to look for, in order; at most 64."""
    found: dict[str, None] = {}
    for token in tokens(text):
        if paired(token) and len(token) > 1:
            found.update(dict.fromkeys(a + b for a, b in pairwise(token)))
        else:
            found[_term(token, language)] = None
        if len(found) >= MAX_QUERY_WORDS:
            break
    return list(found)[:MAX_QUERY_WORDS]


def in_order(text: str, language: str = "") -> list[str]:
    """The terms of a phrase, as `of_passage` keeps them in order."""
    found: list[str] = []
    for token in tokens(text):
        if paired(token):
            found.extend(token)
        else:
            found.append(_term(token, language))
    return found


def paired(token: str) -> bool:
    """Whether a token is a run of characters that are cut into pairs."""
    return _IS_PAIRED.match(token) is not None


def tokens(text: str) -> list[str]:
    """The words of a text, folded; a run of paired characters is one."""
    if text.isascii():
        # The same by a shorter way: there is nothing to normalise, and nothing that is paired.
        found = text.translate(_ASCII_FOLDED).split() if "'" not in text else _ASCII_TOKEN.findall(text.lower())
        return [word[:_MAX_WORD] for word in found] if found and max(map(len, found)) > _MAX_WORD else found
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return [match[0][:_MAX_WORD].replace("’", "'") if not paired(match[0]) else match[0]
            for match in _TOKEN.finditer(folded)]  # fmt: skip


def _bounded(counts: Counter[str]) -> dict[str, int]:
    """16 bits hold a count; more often than that says nothing more."""
    if not counts or max(counts.values()) <= _MOST_COUNTED:
        return counts
    return {word: count if count < _MOST_COUNTED else _MOST_COUNTED for word, count in counts.items()}


def _term(token: str, language: str) -> str:
    return STEM + stemmer(language).stem(token) if language and not paired(token) else token
