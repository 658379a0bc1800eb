"""Tokens and the normal form of a phrase: what makes two writings of a name the same name."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

# Letters that NFKD leaves whole although people write them both ways.
_FOLDED: Final = str.maketrans(
    {"ß": "ss", "ẞ": "SS", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "æ": "ae", "Æ": "AE"}
    | {"œ": "oe", "Œ": "OE", "ı": "i", "’": "'", "ʼ": "'"}
)


# Beyond the second plane there are variation selectors only, which no name depends on.
_POINTS: Final = [chr(point) for point in range(0x20000)]


def _class(chars: Iterable[str]) -> str:
    """The inside of a character class."""
    ranges: list[list[int]] = []
    for point in map(ord, chars):
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return "".join(f"{re.escape(chr(first))}-{re.escape(chr(last))}" for first, last in ranges)


# Words are made of combining marks too, which `\w` leaves out.
_MARKS: Final = _class(char for char in _POINTS if unicodedata.category(char).startswith("M"))
# Accents of Latin, Greek and Cyrillic, and the points of Hebrew and Arabic. The marks of other classes (nukta, virama,
# kana's voicing, vowels and tones of Thai and Lao) make other letters.
_ACCENTS: Final = re.compile(
    f"[{_class(char for char in _POINTS if (kind := unicodedata.combining(char)) >= 200 or 10 <= kind <= 36)}]+"
)
_LETTERS: Final = rf"(?:[^\W_]|[{_MARKS}])+"
_TOKEN: Final = re.compile(rf"{_LETTERS}(?:['’ʼ]{_LETTERS})*")
_WORD: Final = re.compile(r"[^\W_]+")
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
    if text.isascii():
        return text.lower()
    # Lower case before and after: some letters gain an accent by it, some come apart into capitals.
    decomposed = unicodedata.normalize("NFKD", text.translate(_FOLDED).lower()).lower()
    return unicodedata.normalize("NFC", _ACCENTS.sub("", decomposed))


def normal_form(phrase: str) -> str:
    """The words of a phrase, folded, one space between them; empty when it has no words."""
    return " ".join(token.text for token in tokens(fold(phrase)))


def words(text: str) -> list[str]:
    """The folded words of a text without their apostrophes, for counting rather than for names; several times as fast
    as `tokens`."""
    return _WORD.findall(fold(text))
