"""The names a passage mentions, by the way they are written.

Three sources, after the first steps of the algorithm that docs/graph.md describes: the title of the passage's document
(whole, without what is in brackets, before its first comma) and the heading above it; runs of capitalised words,
joined by connectors; quoted spans. Scripts without capitals are served by titles, headings and quoted spans.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from services.graph.extraction.text import Token, fold, normal_form, tokens
from services.graph.extraction.words import ABBREVIATIONS, CONNECTORS, STOP_WORDS

MAX_NAME_CHARACTERS: Final = 200
_MAX_RUN_TOKENS: Final = 12
_MAX_CONNECTORS: Final = 2
_QUOTED: Final = re.compile(
    r"“([^“”\n]{3,80})”|„([^„“”\n]{3,80})[“”]|«\s?([^«»\n]{3,80}?)\s?»|\"([^\"\n]{3,80})\""
    r"|「([^「」\n]{2,80})」|『([^『』\n]{2,80})』|《([^《》\n]{2,80})》|〈([^〈〉\n]{2,80})〉"
)
_BRACKETS: Final = re.compile(r"\s*[(（][^()（）]*[)）]")
# What may stand between two words of one name: blanks, or a hyphen, an ampersand, an apostrophe, a slash between them.
_INSIDE: Final = re.compile(r"[ \t\u00a0]+|[ \t\u00a0]*[-–&][ \t\u00a0]*|['’]")
_LINE_BREAK: Final = re.compile(r"[ \t\u00a0]*\r?\n[ \t\u00a0]*")
# A shorter line is taken for a heading or a list item, which ends where the line ends.
_WRAPPED_LINE: Final = 40
_SENTENCE_END: Final = re.compile(r"[.!?:;…。！？][\"'”’»)\]]*\s*$|\n[\s*#>•|–-]*$")

_SENTENCE_ENDS: Final = (".", "!", "?", "…", "。", "！", "？")
_MAX_TITLE_WORDS: Final = 6

TITLE_WEIGHT: Final = 1.0
SHORT_TITLE_WEIGHT: Final = 0.9
TITLE_HEAD_WEIGHT: Final = 0.6
HEADING_WEIGHT: Final = 0.6


class Name(NamedTuple):
    """A name that a passage mentions."""

    key: str
    """Its normal form."""
    text: str
    """As it is written."""
    weight: float
    """How far it names the passage itself, 0 to 1: 1 for the title, 0 for a name inside the text."""


def names_of(text: str, title: str = "", heading_path: Sequence[str] = ()) -> list[Name]:
    """Every name of a passage once, sorted by key; of several writings the one that names the passage most, then the
    first."""
    found: dict[str, Name] = {}
    for name, weight in _candidates(text, title, heading_path):
        key = normal_form(name)
        if not _is_name(key, weight):
            continue
        known = found.get(key)
        if known is None or weight > known.weight:
            found[key] = Name(key, " ".join(name.split()), weight)
    return [found[key] for key in sorted(found)]


def title_names(title: str) -> Iterator[tuple[str, float]]:
    """The forms of a title, with how far each of them names what bears the title.

    A sentence in the title's place, such as a text's first words where nobody gave a title, names nothing.
    """
    title = title.strip()
    if title.endswith(_SENTENCE_ENDS) and sum(1 for _ in tokens(title)) > _MAX_TITLE_WORDS:
        return
    yield title, TITLE_WEIGHT
    bare = _BRACKETS.sub("", title).strip()
    if bare != title:
        yield bare, SHORT_TITLE_WEIGHT
    head, comma, _ = bare.partition(",")
    if comma:
        yield head.strip(), TITLE_HEAD_WEIGHT


def _candidates(text: str, title: str, heading_path: Sequence[str]) -> Iterator[tuple[str, float]]:
    yield from title_names(title)
    if heading_path:
        yield heading_path[-1].strip(), HEADING_WEIGHT
    for found in _QUOTED.finditer(text):
        span = next(group for group in found.groups() if group is not None)
        yield span.strip().rstrip(".,;:!?"), 0.0
    for run in _runs(text):
        yield run, 0.0


def _is_name(key: str, weight: float) -> bool:
    if len(key) < 2 or len(key) > MAX_NAME_CHARACTERS:
        return False
    if key.replace(" ", "").isdigit():
        return False
    # A title may be "The The" or "It"; inside a text such words are just words.
    return weight > 0 or not all(word in STOP_WORDS for word in key.split(" "))


def _runs(text: str) -> Iterator[str]:
    """Runs of capitalised words, as written."""
    words = list(tokens(text))
    lower = {word.text for word in words if word.text.islower()}
    position = 0
    while position < len(words):
        if not _capital(words[position]):
            position += 1
            continue
        end = _run_end(text, words, position)
        run = words[position:end]
        yield from _name_of_run(text, run, lower, _begins_sentence(text, words, position))
        position = end


def _run_end(text: str, words: Sequence[Token], first: int) -> int:
    """One past the last word of the run that begins at `first`."""
    end = first + 1
    ahead = end
    connectors = 0
    while ahead < len(words) and ahead - first < _MAX_RUN_TOKENS and _joined(text, words[ahead - 1], words[ahead]):
        word = words[ahead]
        if _capital(word) or (word.text.isdigit() and not connectors):
            end, connectors = ahead + 1, 0
        elif word.text in CONNECTORS and connectors < _MAX_CONNECTORS:
            connectors += 1
        else:
            break
        ahead += 1
    return end


def _name_of_run(text: str, run: Sequence[Token], lower: set[str], sentence_start: bool) -> Iterator[str]:
    dropped = 0
    while dropped < len(run) and (fold(run[dropped].text) in STOP_WORDS or run[dropped].text.isdigit()):
        dropped += 1
    left = run[dropped:]
    if not left:
        return
    if len(left) == 1 and sentence_start and not dropped and left[0].text.lower() in lower:
        # "Music is …" in a passage that also writes "music": the capital is the sentence's, not the word's.
        return
    yield text[left[0].start : left[-1].end]
    if sentence_start and not dropped and len(left) > 2 and len(left[0].text) > 1 and _capital(left[1]):
        # The first word may have its capital from the sentence only; no list of words knows all languages.
        yield text[left[1].start : left[-1].end]


def _capital(word: Token) -> bool:
    first = word.text[0]
    return first.isupper() or first.istitle()


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


def _begins_sentence(text: str, words: Sequence[Token], position: int) -> bool:
    if position == 0:
        return True
    return bool(_SENTENCE_END.search(text[words[position - 1].end : words[position].start]))
