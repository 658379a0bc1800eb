"""Tokens and the normal form of a phrase: what makes two writings of a name the same name."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final, NamedTuple

# Letters that NFKD leaves whole although people write them both ways.
_FOLDED: Final = str.maketrans(
    {"ß": "ss", "ẞ": "SS", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "æ": "ae", "Æ": "AE"}
    | {"œ": "oe", "Œ": "OE", "ı": "i", "’": "'", "ʼ": "'"}
)


def _marks() -> str:
    """Every combining mark as the inside of a character class: `\\w` leaves them out, and words are made of them."""
    # Beyond the second plane there are variation selectors only, which no name depends on.
    points = [point for point in range(0x20000) if unicodedata.category(chr(point)).startswith("M")]
    ranges: list[list[int]] = []
    for point in points:
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return "".join(f"{re.escape(chr(first))}-{re.escape(chr(last))}" for first, last in ranges)


_LETTERS: Final = rf"(?:[^\W_]|[{_marks()}])+"
_TOKEN: Final = re.compile(rf"{_LETTERS}(?:['’ʼ]{_LETTERS})*")
_POSSESSIVE: Final = re.compile(r"['’ʼ]s$", re.IGNORECASE)


class Token(NamedTuple):
    """A word of a text: letters, digits and their marks, with inner apostrophes, without a possessive `'s`."""

    text: str
    start: int
    """Of its first character in the text, in code points."""
    end: int
    """Of the first character behind it; a possessive counts to what is behind."""


def tokens(text: str) -> Iterator[Token]:
    """The words of a text, in order."""
    for found in _TOKEN.finditer(text):
        word = found.group()
        if len(word) > 2 and _POSSESSIVE.search(word):
            word = word[:-2]
        yield Token(word, found.start(), found.start() + len(word))


def fold(text: str) -> str:
    """Lower case, without accents; scripts whose marks are letters of their own (Devanagari, Hangul) keep them."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_FOLDED))
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    return unicodedata.normalize("NFC", bare).lower()


def normal_form(phrase: str) -> str:
    """The words of a phrase, folded, one space between them; empty when it has no words."""
    return " ".join(fold(token.text) for token in tokens(phrase))
