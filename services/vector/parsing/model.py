"""What parsing takes and gives: limits, the parsed text with its structure, and the reasons why there is none."""

import enum
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

Format = Literal["text", "markdown", "html", "pdf", "docx", "pptx", "xlsx", "csv", "json", "epub", "email"]
"""`csv` has any separator; `json` is one value, or one a line."""

Kind = Literal["paragraph", "heading", "item", "table", "record", "code"]
"""A table, a record and code are made of lines, the others of sentences."""

BY_LINE: Final[frozenset[Kind]] = frozenset({"table", "record", "code"})


class Reason(enum.StrEnum):
    """Why a file has no parsed text."""

    FORMAT_UNKNOWN = "FORMAT_UNKNOWN"
    ENCRYPTED = "ENCRYPTED"
    TOO_LARGE = "TOO_LARGE"
    TOO_DEEP = "TOO_DEEP"
    TOO_SLOW = "TOO_SLOW"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    MALFORMED = "MALFORMED"
    EMPTY = "EMPTY"
    CRASHED = "CRASHED"
    """The parser's process died at this file, or answered nonsense."""


class ParseFailed(Exception):
    """This file can't be parsed, and would not be the next time either. `message` says what to do, and quotes none of
    the file's content."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


def too_large(limits: "Limits") -> ParseFailed:
    """Of a file that has more bytes than it may."""
    return ParseFailed(Reason.TOO_LARGE, f"The file has more than {limits.input_bytes:,} bytes. Split it.")


def out_of_memory(limits: "Limits") -> ParseFailed:
    """Of a file that takes more memory than it may."""
    return ParseFailed(
        Reason.OUT_OF_MEMORY, f"Parsing it takes more than {limits.memory_bytes:,} bytes of memory. Split the file."
    )


class ParserUnavailable(Exception):
    """No process could be started that parses: a fault of the installation or of the machine, not of the file."""


Positive = Annotated[int, Meta(ge=1)]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one file may take. Exceeding any of them is a ParseFailed, never a shorter text."""

    input_bytes: Positive = 100 * 1024 * 1024
    seconds: Annotated[float, Meta(gt=0)] = 60.0
    memory_bytes: Positive = 768 * 1024 * 1024
    """On top of what an idle worker has (about 50 MB); it includes the file itself."""
    text_chars: Positive = 16 * 1024 * 1024
    """Unicode code points of the flat text."""
    blocks: Positive = 200_000
    pages: Positive = 10_000
    depth: Positive = 512
    """Of nested elements (XML; HTML eight times as deep), values (JSON), or parts (e-mail)."""
    archive_entries: Positive = 10_000
    unpacked_bytes: Positive = 512 * 1024 * 1024
    """Of all parts of an archive that are read, together. Parts that are not read (images) count nothing."""
    unpacked_ratio: Positive = 250
    """Unpacked : packed, for a part of more than 16 MiB."""


class Heading(msgspec.Struct, frozen=True, array_like=True):
    """A heading in the tree of headings."""

    parent: int
    """Index of the heading around it in `Parsed.headings`, smaller than its own; −1: none."""
    title: str
    """Without marks, at most 512 code points."""


class Block(msgspec.Struct, frozen=True, array_like=True):
    """`text[start:end]`: a paragraph, a heading, a list's item, a table, a record, code.

    Blocks come in the order of the text and don't overlap; between them is nothing but white space.
    """

    start: int
    """First code point."""
    end: int
    """One past the last code point."""
    kind: Kind
    heading: int
    """Index in `Parsed.headings` of the innermost heading it stands under (for a heading: of itself); −1: none."""
    page: int
    """From 1: the page of a PDF, the slide of a presentation, the sheet of a workbook; 0: the format has none."""


class Warning(msgspec.Struct, frozen=True, array_like=True):
    """What the file's owner should know although it was parsed."""

    code: str
    """NAME_DISAGREES, ENCODING_GUESSED, UNDECODABLE, PAGES_WITHOUT_TEXT, ATTACHMENTS_SKIPPED, PARTS_UNREADABLE."""
    message: str


class Parsed(msgspec.Struct, frozen=True):
    """A file's text and structure."""

    format: Format
    title: str
    """From the file's properties, else its first heading; at most 512 code points. Empty: it has none."""
    text: str
    """Flat: blocks with white space between them. Lines end in `\\n`; no other control characters than that and `\\t`,
    no lone surrogates."""
    blocks: tuple[Block, ...]
    headings: tuple[Heading, ...]
    pages: int
    """How many the file has; 0: the format has none."""
    warnings: tuple[Warning, ...]

    def path(self, block: Block) -> tuple[str, ...]:
        """The headings a block stands under, outermost first."""
        titles: list[str] = []
        place = block.heading
        while place >= 0:
            heading = self.headings[place]
            titles.append(heading.title)
            place = heading.parent
        return tuple(reversed(titles))
