"""Cuts a text into passages no longer than the model reads, with some overlap, by one of three modes."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, NamedTuple

from services.providers.embedding.model import Span, Tokenizer
from services.vector.model import Chunking
from services.vector.parsing.sections import Section

_HEADER_SHARE: Final = 4
"""Title and headings take at most this part (a quarter) of a model's window; what they leave is the passage's."""
_SPANS_AT_ONCE: Final = 256
_LONGEST_WORD: Final = 8
"""Tokens without white space between them that stay together in mode `tokens`."""


@dataclass(frozen=True, slots=True)
class Passage:
    """text[start:end] of the document, the headings above it, outermost first, its page (0: none), and its header."""

    start: int
    end: int
    heading_path: tuple[str, ...]
    page: int = 0
    header: str = ""
    """What is embedded above it: title and headings. Together they are never longer than the window."""
    before: str = ""
    """What is embedded between the two where neighbours are seen: the end of what stands before it, as far as the
    window has room."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What is not cut any further: a sentence, a line of code or of a table, a word."""

    start: int
    end: int
    tokens: int
    limit: int
    """Most tokens of a passage that begins with it: that depends on the headings above."""


class _Header(NamedTuple):
    text: str
    tokens: int


class Chunker:
    """Cuts texts for one model."""

    def __init__(self, tokenizer: Tokenizer, window: int, chunking: Chunking) -> None:
        """Passages of at most `chunking.tokens`, or what the window leaves beside their own title and headings. They
        begin with the last `chunking.overlap` tokens of the one before, as far as those are whole sentences or words.

        `window`: tokens of text that the model reads, special ones not counted.

        The modes: `structure` keeps to one heading and to whole sentences, `sentences` to whole sentences alone,
        `tokens` to words alone. No mode goes over the end of a page.
        """
        self._tokenizer = tokenizer
        self._mode = chunking.mode
        self._window = window
        self._header_limit = window // _HEADER_SHARE
        self._tokens = chunking.tokens
        self._overlap = chunking.overlap

    def pack(
        self, text: str, sections: Iterable[Section], title: str = "", *, apart: bool = False, neighbors: bool = False
    ) -> list[Passage]:
        """The passages of a text's sections, in order; none only when the text is nothing but white space.

        `apart`: whatever the mode, none reaches over two sections. `neighbors`: they see what stands before them.
        """
        passages: list[Passage] = []
        for together in self._together(sections, apart=apart):
            # Where each section begins, to know under which headings a passage does.
            starts = [one.spans[0][0] for one in together]
            headers = self._headers(title, [one.path for one in together])
            units = (
                unit
                for one, header in zip(together, headers, strict=True)
                for unit in self._units(text, one.spans, min(self._tokens, self._window - header.tokens))
            )
            for start, end in self._pack(units):
                place = bisect_right(starts, start) - 1
                section = together[place]
                passages.append(Passage(start, end, section.path, section.page, headers[place].text))
        return self._seeing(text, passages) if neighbors else passages

    def _seeing(self, text: str, passages: Sequence[Passage]) -> list[Passage]:
        """The passages, each with what stands before it."""
        seeing = list(passages[:1])
        for first in range(0, len(passages) - 1, _SPANS_AT_ONCE):
            pairs = list(pairwise(passages[first : first + _SPANS_AT_ONCE + 1]))
            # Where the one begins with the end of the other, that is not said twice.
            befores = [text[before.start : min(before.end, one.start)].rstrip() for before, one in pairs]
            own = self._tokenizer.spans([f"{one.header}\n{text[one.start : one.end]}" for _, one in pairs])
            counted = self._tokenizer.spans(befores)
            for (_, one), before, taken, spans in zip(pairs, befores, own, counted, strict=True):
                seeing.append(replace(one, before=_end(before, spans, self._window - len(taken))))
        return seeing

    def _together(self, sections: Iterable[Section], *, apart: bool) -> Iterator[list[Section]]:
        """Sections that a passage may reach over."""
        held: list[Section] = []
        for one in sections:
            if not one.spans:
                continue
            if held and (apart or self._mode == "structure" or held[-1].page != one.page):
                yield held
                held = []
            held.append(one)
        if held:
            yield held

    def _headers(self, title: str, paths: Sequence[tuple[str, ...]]) -> list[_Header]:
        """What is embedded above passages, so that they can be found by what they are about: title and headings.

        A first heading that is the title is not said twice. Cut to their share of the window. All at once, because a
        text may have a hundred thousand headings.
        """
        texts = [" – ".join(filter(None, (title, *(path[1:] if path[:1] == (title,) else path)))) for path in paths]
        headers = []
        for text, spans in zip(texts, self._tokenizer.spans(texts), strict=True):
            cut = len(spans)
            if cut > self._header_limit:
                cut = _between(spans, self._header_limit, 0)
                text = text[: spans[cut - 1][1]] if cut else ""
            headers.append(_Header(text, cut))
        return headers

    def _units(self, text: str, spans: Sequence[Span], limit: int) -> Iterator[Unit]:
        """What `spans` are packed from: themselves, where they exceed the limit parts of them; in mode `tokens` words.

        Not all at once: a text may have millions of tokens.
        """
        for first in range(0, len(spans), _SPANS_AT_ONCE):
            part = spans[first : first + _SPANS_AT_ONCE]
            counted = self._tokenizer.spans([text[start:end] for start, end in part])
            for (start, end), tokens in zip(part, counted, strict=True):
                if self._mode == "tokens" and tokens:
                    yield from self._recounted(text, list(_words(text, start, end, tokens, limit)))
                elif len(tokens) <= limit:
                    yield Unit(start, end, len(tokens), limit)
                else:
                    yield from self._halved(text, start, end, tokens, limit)

    def _halved(self, text: str, start: int, end: int, tokens: Sequence[Span], limit: int) -> list[Unit]:
        units: list[Unit] = []
        first = 0
        begin = start
        while first < len(tokens):
            cut = min(first + limit, len(tokens))
            if cut < len(tokens):
                # Back to a place between words, unless that is in the first half of what would fit.
                between = cut
                while between > first + limit // 2 and not text[start + tokens[between][0] - 1].isspace():
                    between -= 1
                cut = between if between > first + limit // 2 else _between(tokens, cut, first + 1)
            # What begins inside a word may have more tokens by itself than it had within the word.
            while (over := self._count(text, begin, start + tokens[cut - 1][1]) - limit) > 0 and cut > first + 1:
                cut = _between(tokens, max(first + 1, cut - over), first + 1)
            end_before = start + tokens[cut - 1][1] if cut < len(tokens) else end
            units.append(Unit(begin, end_before, max(cut - first, self._count(text, begin, end_before)), limit))
            if cut < len(tokens):
                begin = _resumed(text, end_before, start + tokens[cut][0])
            first = cut
        return units

    def _recounted(self, text: str, units: Sequence[Unit]) -> list[Unit]:
        """Those that begin inside a word with the tokens they have by themselves, if those are more."""
        inside = [one for one in units[1:] if not text[one.start - 1].isspace()]
        counted = self._tokenizer.spans([text[one.start : one.end] for one in inside])
        alone = {one.start: len(spans) for one, spans in zip(inside, counted, strict=True)}
        return [replace(one, tokens=max(one.tokens, alone.get(one.start, 0))) for one in units]

    def _count(self, text: str, start: int, end: int) -> int:
        return len(self._tokenizer.spans([text[start:end]])[0])

    def _pack(self, units: Iterable[Unit]) -> Iterator[Span]:
        """As many units a passage as fit; the next one begins with the last few of it."""
        held: list[Unit] = []
        size = 0
        for unit in units:
            if held and size + unit.tokens > held[0].limit:
                yield held[0].start, held[-1].end
                held = self._kept(held, unit)
                size = sum(one.tokens for one in held)
            held.append(unit)
            size += unit.tokens
        if held:
            yield held[0].start, held[-1].end

    def _kept(self, held: Sequence[Unit], coming: Unit) -> list[Unit]:
        kept: list[Unit] = []
        size = 0
        for unit in reversed(held[1:]):
            size += unit.tokens
            if size > min(self._overlap, unit.limit // 2, unit.limit - coming.tokens):
                break
            kept.insert(0, unit)
        return kept


def _end(text: str, tokens: Sequence[Span], room: int) -> str:
    """As much of a text's end as has room, from the beginning of a word."""
    first = len(tokens) - room
    if first <= 0:
        return text
    while first < len(tokens) and not text[tokens[first][0] - 1].isspace():
        first += 1
    return text[tokens[first][0] :] if first < len(tokens) else ""


def _words(text: str, start: int, end: int, tokens: Sequence[Span], limit: int) -> Iterator[Unit]:
    """Tokens that stand together without white space, in scripts without it a few at a time."""
    begin, count = start, 0
    for place, (first, _) in enumerate(tokens):
        fresh = text[start + first - 1].isspace() or (count >= _LONGEST_WORD and first >= tokens[place - 1][1])
        if place and fresh:
            end_before = start + tokens[place - 1][1]
            yield Unit(begin, end_before, count, limit)
            begin, count = _resumed(text, end_before, start + first), 0
        count += 1
    yield Unit(begin, end, count, limit)


def _between(tokens: Sequence[Span], cut: int, least: int) -> int:
    """`cut`, or the last place before it that is not inside a character: some, such as Hangul, are several tokens."""
    while cut > least and tokens[cut][0] < tokens[cut - 1][1]:
        cut -= 1
    return cut


def _resumed(text: str, end: int, next_token: int) -> int:
    """Where a part begins that follows one ending at `end`: with what the tokenizer passes over, such as control
    characters, but not with white space."""
    return next_token - len(text[end:next_token].lstrip())
