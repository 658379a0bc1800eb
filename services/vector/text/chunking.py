"""Cuts a text into passages: whole sentences under one heading, no longer than the model reads, with some overlap."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from services.providers.embedding.model import Span, Tokenizer
from services.runtime import sentences
from services.vector.model import Format
from services.vector.parsing.sections import Section
from services.vector.text import markdown

_HEADER_SHARE: Final = 4
"""Title and headings take at most this part (a quarter) of a model's window."""


@dataclass(frozen=True, slots=True)
class Passage:
    """text[start:end] of the document, the headings above it, outermost first, and its page (0: none)."""

    start: int
    end: int
    heading_path: tuple[str, ...]
    page: int = 0


@dataclass(frozen=True, slots=True)
class Unit:
    """What is not cut any further, if it fits: a sentence, or a line of code or of a table."""

    start: int
    end: int
    tokens: int


class Chunker:
    """Cuts texts for one model."""

    def __init__(self, tokenizer: Tokenizer, window: int, *, tokens: int, overlap: int) -> None:
        """Passages of at most `tokens`, or what the window leaves beside title and headings; `overlap` tokens of
        whole sentences at the end of a passage are said again at the start of the next one of the same section."""
        self._tokenizer = tokenizer
        self._header_limit = window // _HEADER_SHARE
        self._limit = min(tokens, window - self._header_limit)
        self._overlap = min(overlap, self._limit // 2)

    def cut(self, text: str, form: Format) -> list[Passage]:
        """The passages of a text, in order; none only when it is nothing but white space."""
        return self.pack(text, (Section(path, 0, spans) for path, spans in _sections(text, form)))

    def pack(self, text: str, sections: Iterable[Section]) -> list[Passage]:
        """The passages of a text's sections, in order; none reaches over the end of its section."""
        passages: list[Passage] = []
        for one in sections:
            units = self._units(text, one.spans)
            passages.extend(Passage(start, end, one.path, one.page) for start, end in self._pack(units))
        return passages

    def header(self, title: str, path: Sequence[str]) -> str:
        """What is embedded above a passage, so that it can be found by what it is about: title and headings.

        A first heading that is the title is not said twice. Cut to its share of the window.
        """
        parts = [title, *(path[1:] if path and path[0] == title else path)]
        text = " – ".join(part for part in parts if part)
        spans = self._tokenizer.spans([text])[0]
        return text if len(spans) <= self._header_limit else text[: spans[self._header_limit - 1][1]]

    def _units(self, text: str, spans: Sequence[Span]) -> list[Unit]:
        """`spans` with their lengths in tokens; those that exceed the limit are cut between words."""
        units: list[Unit] = []
        counted = self._tokenizer.spans([text[start:end] for start, end in spans])
        for (start, end), tokens in zip(spans, counted, strict=True):
            if len(tokens) <= self._limit:
                units.append(Unit(start, end, len(tokens)))
            else:
                units.extend(self._halved(text, start, end, tokens))
        return units

    def _halved(self, text: str, start: int, end: int, tokens: Sequence[Span]) -> list[Unit]:
        units: list[Unit] = []
        first = 0
        begin = start
        while len(tokens) - first > self._limit:
            last = first + self._limit
            # Back to a place between words, unless that is in the first half of what would fit.
            cut = last
            while cut > first + self._limit // 2 and not text[start + tokens[cut][0] - 1].isspace():
                cut -= 1
            if cut == first + self._limit // 2:
                cut = last
            units.append(Unit(begin, start + tokens[cut - 1][1], cut - first))
            begin = start + tokens[cut][0]
            first = cut
        units.append(Unit(begin, end, len(tokens) - first))
        return units

    def _pack(self, units: Sequence[Unit]) -> list[Span]:
        """As many units a passage as fit; the next one begins with the last few of it."""
        spans: list[Span] = []
        held: list[Unit] = []
        size = 0
        for unit in units:
            if held and size + unit.tokens > self._limit:
                spans.append((held[0].start, held[-1].end))
                held = self._kept(held, unit)
                size = sum(one.tokens for one in held)
            held.append(unit)
            size += unit.tokens
        if held:
            spans.append((held[0].start, held[-1].end))
        return spans

    def _kept(self, held: Sequence[Unit], coming: Unit) -> list[Unit]:
        kept: list[Unit] = []
        room = min(self._overlap, self._limit - coming.tokens)
        for unit in reversed(held[1:]):
            if unit.tokens > room:
                break
            kept.insert(0, unit)
            room -= unit.tokens
        return kept


def _sections(text: str, form: Format) -> list[tuple[tuple[str, ...], list[Span]]]:
    """The text's sections: the headings above, and the spans of sentences and lines, the headings' own lines first."""
    if form == "text":
        return [((), sentences.split(text))]
    found: list[tuple[tuple[str, ...], list[Span]]] = []
    path: list[tuple[int, str]] = []
    spans: list[Span] = []
    only_headings = True
    for block in markdown.blocks(text):
        if block.heading:
            # A heading right below another one goes with it: both lead the first passage of the inner section.
            if not only_headings and spans:
                found.append((tuple(title for _, title in path), spans))
                spans = []
                only_headings = True
            path = [(level, title) for level, title in path if level < block.heading]
            path.append((block.heading, block.title))
            spans.extend(markdown.lines(text, block.start, block.end))
        elif block.by_line:
            spans.extend(markdown.lines(text, block.start, block.end))
            only_headings = False
        else:
            spans.extend(sentences.split(text, block.start, block.end))
            only_headings = False
    if spans:
        found.append((tuple(title for _, title in path), spans))
    return found
