"""Runs of capitalised words: what names look like in scripts that have capitals."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from services.graph.extraction.text import Token, fold
from services.graph.extraction.words import ABBREVIATIONS, CONNECTORS, STOP_WORDS

_MAX_RUN_TOKENS: Final = 12
_MAX_CONNECTORS: Final = 2
# What may stand between two words of one name: blanks, or a hyphen, an ampersand, an apostrophe between them.
_INSIDE: Final = re.compile(r"[ \t\u00a0]+|[ \t\u00a0]*[-–&][ \t\u00a0]*|['’]")
_LINE_BREAK: Final = re.compile(r"[ \t\u00a0]*\r?\n[ \t\u00a0]*")
# A shorter line is taken for a heading or a list item, which ends where the line ends.
_WRAPPED_LINE: Final = 40
_SENTENCE_END: Final = re.compile(r"[.!?:;…。！？][\"'”’»)\]]*\s*$|\n[\s*#>•|–-]*$")


def runs(text: str, words: Sequence[Token]) -> Iterator[range]:
    """Places among `words`, the tokens of `text`, of the runs of capitalised words.

    At most two connectors (of, von, …) stand between two capitalised words; initials and numbers behind the first word
    belong to the run; stop words at its beginning do not.
    """
    position = 0
    while position < len(words):
        if not (capital(words[position]) or words[position].text[0].isdigit()):
            position += 1
            continue
        end = _run_end(text, words, position)
        first = position
        while first < end and fold(words[first].text) in STOP_WORDS:
            first += 1
        # What follows a stop word may be a connector: "The of …".
        while first < end and not (capital(words[first]) or words[first].text[0].isdigit()):
            first += 1
        if any(capital(words[place]) for place in range(first, end)):
            yield range(first, end)
        position = end


def capital(word: Token) -> bool:
    """Whether a word begins with a capital letter."""
    first = word.text[0]
    return first.isupper() or first.istitle()


def begins_sentence(text: str, words: Sequence[Token], position: int) -> bool:
    """Whether the capital of words[position] may be its sentence's."""
    if position == 0:
        return True
    return bool(_SENTENCE_END.search(text[words[position - 1].end : words[position].start]))


def _run_end(text: str, words: Sequence[Token], first: int) -> int:
    """One past the last word of the run that begins at `first`."""
    end = first + 1
    ahead = end
    connectors = 0
    while ahead < len(words) and ahead - first < _MAX_RUN_TOKENS and _joined(text, words[ahead - 1], words[ahead]):
        word = words[ahead]
        if capital(word) or (word.text[0].isdigit() and not connectors):
            end, connectors = ahead + 1, 0
        elif word.text in CONNECTORS and connectors < _MAX_CONNECTORS:
            connectors += 1
        else:
            break
        ahead += 1
    return end


def _joined(text: str, left: Token, right: Token) -> bool:
    """Whether two neighbouring words may belong to one name."""
    between = text[left.end : right.start]
    if between[:2].lower() in ("'s", "’s"):
        return False
    if between.startswith(".") and (len(left.text) == 1 or fold(left.text) in ABBREVIATIONS):
        between = between[1:]
        if not between:
            return True
    if _INSIDE.fullmatch(between):
        return True
    return bool(_LINE_BREAK.fullmatch(between)) and left.end - (text.rfind("\n", 0, left.end) + 1) >= _WRAPPED_LINE
