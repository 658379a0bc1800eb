"""Builds the flat text and its structure, and holds it to the limits while it grows."""

import re
from typing import Final

from services.vector.parsing.model import Block, Format, Heading, Kind, Limits, Parsed, ParseFailed, Reason, Warning

_LONGEST_TITLE: Final = 512
_DEEPEST_HEADING: Final = 9
_SEPARATOR: Final = "\n\n"
_NEWLINE: Final = re.compile(r"\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")
# Control characters, lone surrogates, and code points that are none: PostgreSQL refuses the first (NUL), UTF-8 the
# second, and none of them means anything to a reader.
_DROPPED: Final = re.compile(r"[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_MANY_SPACES: Final = re.compile(r"[^\S\n]+")


def clean(text: str) -> str:
    """`text` as it may stand in the flat text."""
    text = _NEWLINE.sub("\n", text)
    return _SURROGATE.sub("\ufffd", _DROPPED.sub("", text))


def squeeze(text: str) -> str:
    """On one line, with single spaces."""
    return " ".join(text.split())


class Builder:
    """Takes a file's pieces in reading order. Every method raises ParseFailed (TOO_LARGE) beyond the limits."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.title = ""
        self.page = 0
        """Of what is added from now on."""
        self.pages = 0
        self._parts: list[str] = []
        self._length = 0
        self._blocks: list[Block] = []
        self._headings: list[Heading] = []
        self._open: list[tuple[int, int]] = []
        """Level and index of the headings that what comes next stands under."""
        self._warnings: dict[str, Warning] = {}

    def warn(self, code: str, message: str) -> None:
        """Each code once; the first message counts."""
        self._warnings.setdefault(code, Warning(code, message))

    def name(self, title: str) -> None:
        """The title by the file's properties; the first one that holds anything counts."""
        if not self.title:
            self.title = squeeze(clean(title))[:_LONGEST_TITLE]

    def heading(self, level: int, text: str) -> None:
        """A heading with its text; what follows stands under it until one of the same or a lower level comes."""
        title = squeeze(clean(text))
        if title:
            self.enter(level, title)
            self._add("heading", title)

    def enter(self, level: int, title: str) -> None:
        """Like `heading`, with a title that does not stand in the text."""
        self.leave(level)
        title = squeeze(clean(title))[:_LONGEST_TITLE]
        if len(self._headings) >= self.limits.blocks:
            raise self._too_many()
        if len(self._open) >= _DEEPEST_HEADING:
            self._open.pop()
        self._headings.append(Heading(self._open[-1][1] if self._open else -1, title))
        self._open.append((level, len(self._headings) - 1))

    def leave(self, level: int = 0) -> None:
        """Ends the sections of `level` and deeper."""
        while self._open and self._open[-1][0] >= level:
            self._open.pop()

    def add(self, text: str, kind: Kind = "paragraph") -> None:
        """A block; white space around it is dropped, inner line ends stay. Nothing but white space adds nothing."""
        text = clean(text).strip("\n") if kind == "code" else clean(text).strip()
        if text and not text.isspace():
            self._add(kind, text)

    def prose(self, text: str, kind: Kind = "paragraph") -> None:
        """A block in which only line ends and single spaces mean anything."""
        lines = (line.strip() for line in _MANY_SPACES.sub(" ", clean(text)).split("\n"))
        self.add("\n".join(line for line in lines if line), kind)

    def whole(self, text: str) -> str:
        """Takes a text that is its own flat text, for `mark`; returns it cleaned. Nothing else may be added."""
        return self.exactly(clean(text))

    def exactly(self, text: str) -> str:
        """The same without cleaning, for a text that is not read from a file."""
        self._count(len(text))
        self._parts.append(text)
        return text

    def mark(self, start: int, end: int, kind: Kind, *, level: int = 0, title: str = "") -> None:
        """A block of the text given to `whole`; a heading has a level and a title."""
        if kind == "heading":
            self.enter(level, title)
        self._place(kind, start, end)

    def finish(self, form: Format) -> Parsed:
        """Raises ParseFailed (EMPTY)."""
        if not self._blocks:
            raise ParseFailed(Reason.EMPTY, f"The file is {form} and holds no text.")
        first = next((heading.title for heading in self._headings if heading.title), "")
        return Parsed(
            format=form,
            title=self.title or first,
            text="".join(self._parts),
            blocks=tuple(self._blocks),
            headings=tuple(self._headings),
            pages=self.pages,
            warnings=tuple(self._warnings.values()),
        )

    def _add(self, kind: Kind, text: str) -> None:
        if self._parts:
            self._count(len(_SEPARATOR))
            self._parts.append(_SEPARATOR)
        start = self._length
        self._count(len(text))
        self._parts.append(text)
        self._place(kind, start, self._length)

    def _place(self, kind: Kind, start: int, end: int) -> None:
        if len(self._blocks) >= self.limits.blocks:
            raise self._too_many()
        self._blocks.append(Block(start, end, kind, self._open[-1][1] if self._open else -1, self.page))

    def _count(self, more: int) -> None:
        self._length += more
        if self._length > self.limits.text_chars:
            raise ParseFailed(
                Reason.TOO_LARGE, f"Its text has more than {self.limits.text_chars:,} characters. Split the file."
            )

    def _too_many(self) -> ParseFailed:
        return ParseFailed(
            Reason.TOO_LARGE, f"Its text has more than {self.limits.blocks:,} paragraphs, rows or headings. Split it."
        )
