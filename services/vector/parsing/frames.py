"""What goes through the pipes between a pool and its workers: frames of a length and MessagePack, never pickles."""

from typing import Final

import msgspec

from services.vector.parsing.model import Limits, Parsed, Reason

LENGTH: Final = 4
"""Bytes of a frame's length, the most significant one first."""
PIECE: Final = 1024 * 1024
"""Bytes of a file that are written at once."""
SMALL: Final = 64 * 1024
"""Bytes of a frame that is no parsed text, at most."""


class Hello(msgspec.Struct, frozen=True):
    """A worker's first frame."""

    problem: str = ""
    """Why it can't work; empty: it is ready."""


class Task(msgspec.Struct, frozen=True):
    """One file, or one text, to parse; its bytes follow the frame as they are."""

    name: str
    media_type: str | None
    size: int
    limits: Limits
    markdown: bool = False
    """It is no file but Markdown in UTF-8, whose places are looked for in exactly this text."""


class Answer(msgspec.Struct, frozen=True):
    """What became of it: a parsed text, or a reason."""

    parsed: Parsed | None = None
    reason: Reason | None = None
    message: str = ""
    fault: str = ""
    """For the log: the error in our own code and its place, without anything of the file."""


def frame(value: msgspec.Struct) -> bytes:
    """A value as it goes through the pipe."""
    payload = msgspec.msgpack.encode(value)
    return len(payload).to_bytes(LENGTH, "big") + payload


def largest_answer(limits: Limits) -> int:
    """Bytes that an answer may have under these limits: the text in UTF-8, as much again for titles, and the blocks."""
    return min(2**31, 2 * 4 * limits.text_chars + 64 * limits.blocks + SMALL)
