"""Names that stand in one sentence: what relations are derived from."""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from services.graph.extraction.names import is_name, name_spans
from services.graph.extraction.text import fold, normal_form
from services.graph.extraction.words import ABBREVIATIONS

MAX_TOGETHER: Final = 8
"""Names of one sentence that belong together; a list of fifty people says little of any two of them, and would make
1,225 pairs."""
MAX_CHARACTERS: Final = 1000
"""Of a sentence that is kept; a longer one is cut, and ends in an ellipsis."""

_END: Final = re.compile(
    r"""(?P<mark>[.!?…]++)["'”’»)\]]*+(?=\s)     # Latin, Cyrillic, Greek, Korean, …
      | [。！？｡]++[」』”’）】]*+                # Chinese, Japanese
      | [।॥۔؟]++(?=\s)                          # Devanagari, Urdu, Arabic
      | \n[ \t]*+\n\s*+ | \n(?=[ \t]*+[-*•–][ \t])  # an empty line, an item of a list
    """,
    re.VERBOSE,
)
_LAST_WORD: Final = re.compile(r"[^\W_]+$")
_SMALL: Final = re.compile(r"\s+[^\W\d_]")


class Sentence(NamedTuple):
    """A sentence with two names and more."""

    text: str
    """One blank for any white space."""
    names: Sequence[Sequence[str]]
    """Normal forms of its names, in the order of the text; those in one list are readings of the same words."""


def sentences_of(text: str) -> list[Sentence]:
    """The sentences of a text that name two things and more, in order."""
    found: list[Sentence] = []
    spans = sorted(span for together in name_spans(text) for span in together)
    place = 0
    for start, end in _sentences(text):
        names: list[list[str]] = []
        seen: set[str] = set()
        covered = start
        while place < len(spans) and spans[place][0] < end:
            begin, stop = spans[place]
            place += 1
            key = normal_form(text[begin:stop])
            if key in seen or not is_name(key, 0.0):
                continue
            if names and begin < covered:
                names[-1].append(key)
            elif len(names) < MAX_TOGETHER:
                names.append([key])
            else:
                break
            seen.add(key)
            covered = max(covered, stop)
        while place < len(spans) and spans[place][0] < end:
            place += 1
        if len(names) > 1:
            found.append(Sentence(_shortened(" ".join(text[start:end].split())), names))
    return found


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    begin = 0
    for mark in _END.finditer(text):
        if mark["mark"] is None or _ends(text, mark):
            yield begin, mark.end()
            begin = mark.end()
    yield begin, len(text)


def _ends(text: str, mark: "re.Match[str]") -> bool:
    """Whether a full stop ends a sentence: not behind an initial or an abbreviation, nor before a small letter."""
    following = _SMALL.match(text, mark.end())
    if following is not None and following[0][-1].islower():
        return False
    word = _LAST_WORD.search(text, max(0, mark.start() - 24), mark.start())
    if mark["mark"] != "." or word is None:
        return True
    return not (len(word[0]) == 1 and word[0].isalpha()) and fold(word[0]) not in ABBREVIATIONS


def _shortened(sentence: str) -> str:
    return sentence if len(sentence) <= MAX_CHARACTERS else sentence[: MAX_CHARACTERS - 1] + "…"
