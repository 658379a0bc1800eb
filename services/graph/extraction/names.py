"""The names a passage mentions, by the way they are written.

Three sources, after the first steps of the algorithm that docs/graph.md describes: the title of the passage's document
(whole, without what is in brackets, before its first comma) and the heading above it; runs of capitalised words,
joined by connectors; quoted spans. Scripts without capitals are served by titles, headings and quoted spans.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from services.graph.extraction.runs import begins_sentence, capital, runs
from services.graph.extraction.text import Token, normal_form, tokens
from services.graph.extraction.words import STOP_WORDS

MAX_NAME_CHARACTERS: Final = 200
_QUOTED: Final = re.compile(
    r"“([^“”\n]{2,80})”|„([^„“”\n]{2,80})[“”]|«\s?([^«»\n]{2,80}?)\s?»|\"([^\"\n]{2,80})\""
    # ``so'' is written in text that was cut into tokens before.
    r"|``\s?([^`'\n]{3,80}?)\s?''|「([^「」\n]{2,80})」|『([^『』\n]{2,80})』|《([^《》\n]{2,80})》|〈([^〈〉\n]{2,80})〉"
)
_SHORT_IN: Final = '“„«"'
"""Quotation marks in which a name of two characters has no case."""
_BRACKETS: Final = re.compile(r"\s*[(（][^()（）]*[)）]")
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
        if not is_name(key, weight):
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
    bare = without_brackets(title)
    if bare != title:
        yield bare, SHORT_TITLE_WEIGHT
    head, comma, _ = bare.partition(",")
    if comma:
        yield head.strip(), TITLE_HEAD_WEIGHT


def without_brackets(title: str) -> str:
    """A title as people say it."""
    return _BRACKETS.sub("", title).strip()


def _candidates(text: str, title: str, heading_path: Sequence[str]) -> Iterator[tuple[str, float]]:
    yield from title_names(title)
    if heading_path:
        yield heading_path[-1].strip(), HEADING_WEIGHT
    for spans in name_spans(text):
        for start, end in spans:
            yield text[start:end], 0.0


def name_spans(text: str) -> Iterator[list[tuple[int, int]]]:
    """Where names stand in a text: first character, one past the last. Spans that are yielded together are readings of
    the same words; not all of them need be names (`is_name`)."""
    for span in quoted_spans(text):
        yield [span]
    words = list(tokens(text))
    lower = {word.text for word in words if word.text.islower()}
    for run in runs(text, words):
        yield [(words[name.start].start, words[name.stop - 1].end) for name in _of_run(text, words, run, lower)]


def _of_run(text: str, words: Sequence[Token], run: range, lower: set[str]) -> Iterator[range]:
    """The names in a run of capitalised words: the run itself, from its first word that is no number."""
    sentence_start = begins_sentence(text, words, run.start)
    while words[run.start].text.isdigit():
        run = run[1:]
        sentence_start = False
    if len(run) == 1 and sentence_start and words[run.start].text.lower() in lower:
        # "Music is …" in a passage that also writes "music": the capital is the sentence's, not the word's.
        return
    yield run
    if len(run) > 2 and sentence_start and len(words[run.start].text) > 1 and capital(words[run.start + 1]):
        # The first word may have its capital from the sentence only; no list of words knows all languages.
        yield run[1:]


def quoted_spans(text: str) -> Iterator[tuple[int, int]]:
    """What stands between quotation marks and may be a name: first character, one past the last."""
    for found in _QUOTED.finditer(text):
        start, end = next(span for span in found.regs[1:] if span != (-1, -1))
        if end - start < 3 and found[0][0] in _SHORT_IN and (text[start].islower() or text[start].isupper()):
            # "No" and "ok" are said, not named; “서울” is a name.
            continue
        while start < end and text[start].isspace():
            start += 1
        while end > start and (text[end - 1].isspace() or text[end - 1] in ".,;:!?"):
            end -= 1
        if start < end:
            yield start, end


def is_name(key: str, weight: float) -> bool:
    """Whether a normal form may name anything."""
    if len(key) < 2 or len(key) > MAX_NAME_CHARACTERS:
        return False
    if key.replace(" ", "").isdigit():
        return False
    # A title may be "The The" or "It"; inside a text such words are just words.
    return weight > 0 or not all(word in STOP_WORDS for word in key.split(" "))
