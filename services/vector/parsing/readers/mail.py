"""E-mail: the main headers, then the text as its reader would see it. Attachments are named, not opened."""

import email
import email.errors
import email.header
import email.policy
import re
from collections.abc import Iterator
from email.message import Message
from typing import Final

from services.vector.parsing.model import ParseFailed, Reason
from services.vector.parsing.readers.html import read_page
from services.vector.parsing.reading.builder import Builder, squeeze
from services.vector.parsing.reading.decode import decode

_SHOWN: Final = ("Subject", "From", "To", "Cc", "Date")
_LONGEST_HEADER: Final = 2000
_PARAGRAPHS: Final = re.compile(r"\n[^\S\n]*\n\s*")


def read_mail(data: bytes, builder: Builder) -> None:
    """Raises ParseFailed: TOO_DEEP, TOO_LARGE."""
    try:
        # The older policy: its headers are read when they are asked for, and without a grammar to get lost in.
        message = email.message_from_bytes(data, policy=email.policy.compat32)
        _message(message, builder, builder.limits.depth)
    except RecursionError:
        raise ParseFailed(Reason.TOO_DEEP, "Its parts are nested too deep.") from None


def _message(message: Message, builder: Builder, depth: int) -> None:
    headers = [(name, _header(message, name)) for name in _SHOWN]
    builder.heading(1, headers[0][1])
    builder.add("\n".join(f"{name}: {text}" for name, text in headers if text), "record")
    skipped = 0
    for part in _leaves(message, depth):
        if part.get_content_type() == "message/rfc822":
            payload = part.get_payload()
            if isinstance(payload, list) and isinstance(payload[0], Message):
                if depth <= 1:
                    raise ParseFailed(Reason.TOO_DEEP, "Its messages are nested too deep.")
                _message(payload[0], builder, depth - 1)
        elif part.get_content_disposition() == "attachment" or part.get_content_maintype() != "text":
            skipped += 1
        else:
            _text(part, builder)
    if skipped:
        builder.warn("ATTACHMENTS_SKIPPED", "Its attachments were not read. Send them as files of their own.")


def _leaves(part: Message, depth: int) -> Iterator[Message]:
    """The parts a reader would see: of alternatives one, plain text first; a message inside is one part."""
    if depth == 0:
        raise ParseFailed(Reason.TOO_DEEP, "Its parts are nested too deep.")
    payload = part.get_payload()
    if not isinstance(payload, list) or part.get_content_type() == "message/rfc822":
        yield part
        return
    inner = [one for one in payload if isinstance(one, Message)]
    if part.get_content_type() == "multipart/alternative":
        ranked = sorted(inner, key=lambda one: _rank(one.get_content_type()))
        inner = ranked[:1]
    for one in inner:
        yield from _leaves(one, depth - 1)


def _rank(kind: str) -> int:
    return {"text/plain": 0, "text/html": 1}.get(kind, 2 if kind.startswith("multipart/") else 3)


def _text(part: Message, builder: Builder) -> None:
    raw = part.get_payload(decode=True)
    if not isinstance(raw, bytes):
        return
    charset = part.get_param("charset")
    text = decode(raw, charset if isinstance(charset, str) else None).text
    if part.get_content_subtype() == "html":
        read_page(text, builder)
        return
    for paragraph in _PARAGRAPHS.split(text.replace("\r\n", "\n")):
        builder.add(paragraph)


def _header(message: Message, name: str) -> str:
    """A header in words; empty: it is missing."""
    raw = message.get(name)
    if raw is None:
        return ""
    parts: list[str] = []
    try:
        for piece, charset in email.header.decode_header(str(raw)[:_LONGEST_HEADER]):
            parts.append(decode(piece, charset).text if isinstance(piece, bytes) else piece)
    except (email.errors.HeaderParseError, ValueError):
        return squeeze(str(raw)[:_LONGEST_HEADER])
    return squeeze("".join(parts))
