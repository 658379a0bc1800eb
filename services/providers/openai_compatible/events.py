"""Server-sent events, cut out of a byte stream at event boundaries and checked, as many at once as have arrived.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html (`data:` lines, blank line ends an event).
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from services.providers.chat_model import StreamIdentity, Usage
from services.providers.openai_compatible import wire

MAX_EVENT: Final = 8 * 1024 * 1024
"""Bytes of one event; a provider that sends more without a blank line is broken."""
DONE: Final = b"[DONE]"
_BOUNDARY: Final = re.compile(rb"\r?\n\r?\n")
_PLAIN_DONE: Final = b"data: [DONE]\n\n"


class EventBlock:
    """Events that arrived together.

    `raw` are their bytes, up to the first that is not a chunk: after it comes nothing more that can be used. That one
    sets `done` (it was `[DONE]`), `error` (an error object in the place of a chunk) or `broken` (unreadable).
    """

    __slots__ = ("broken", "chunks", "done", "error", "raw")

    def __init__(
        self,
        raw: bytes,
        chunks: list[wire.Chunk],
        *,
        done: bool = False,
        error: bytes | None = None,
        broken: bool = False,
    ) -> None:
        self.raw = raw
        self.chunks = chunks
        self.done = done
        self.error = error
        self.broken = broken

    @property
    def text(self) -> str:
        """What the first choice (index 0) gains."""
        return "".join(
            choice.delta.content
            for chunk in self.chunks
            for choice in chunk.choices or ()
            if choice.index == 0 and choice.delta is not None and choice.delta.content
        )

    @property
    def finish_reason(self) -> str | None:
        """The first choice's, if its end is in this block."""
        for chunk in self.chunks:
            for choice in chunk.choices or ():
                if choice.index == 0 and choice.finish_reason is not None:
                    return choice.finish_reason
        return None

    @property
    def usage(self) -> Usage | None:
        """What the provider counted, if it is in this block."""
        for chunk in reversed(self.chunks):
            if chunk.usage is not None:
                return chunk.usage.usage
        return None

    def split_before_finish(self) -> tuple[bytes, bytes]:
        """`raw`, parted before the event with the first choice's end; the second part is empty without one."""
        before = 0
        for event in _split(self.raw):
            payload = _payload(event)
            chunk = wire.CHUNK.decode(payload) if payload else wire.Chunk()
            if any(choice.index == 0 and choice.finish_reason is not None for choice in chunk.choices or ()):
                return self.raw[:before], self.raw[before:]
            before += len(event)
        return self.raw, b""

    def identity(self) -> StreamIdentity:
        """What every event of the answer repeats."""
        for event in _split(self.raw):
            if payload := _payload(event):
                return msgspec.json.decode(payload, type=StreamIdentity)
        return StreamIdentity()


class EventReader:
    """Keeps the part of an event that has not wholly arrived yet."""

    def __init__(self) -> None:
        self._tail = bytearray()

    def feed(self, data: bytes) -> EventBlock | None:
        """The events that `data` completes, or None when it completes none."""
        seen = max(0, len(self._tail) - 3)
        self._tail += data
        end = _end_of_last_event(self._tail, seen)
        if end == 0:
            return EventBlock(b"", [], broken=True) if len(self._tail) > MAX_EVENT else None
        block = bytes(self._tail[:end])
        del self._tail[:end]
        return _block(block)

    def close(self) -> EventBlock | None:
        """The last event of a stream that ended without a blank line; None when nothing whole was left."""
        rest = bytes(self._tail).strip()
        if not rest:
            return None
        block = _block(rest + b"\n\n")
        # Half an event means that the stream was cut, which the missing end tells as well.
        return None if block.broken else block


def _end_of_last_event(data: bytearray, start: int) -> int:
    """Length of the part of `data` that consists of whole events; 0 for none. Nothing ends before `start`."""
    plain = data.rfind(b"\n\n", start)
    carriage = data.rfind(b"\n\r\n", start)
    return max(plain + 2 if plain >= 0 else 0, carriage + 3 if carriage >= 0 else 0)


def _block(raw: bytes) -> EventBlock:
    done = raw.endswith(_PLAIN_DONE)
    usual = raw[: -len(_PLAIN_DONE)] if done else raw
    if usual.startswith(b"data: "):
        # The usual form is decoded in one call. JSON holds no raw newline, so the replacement touches no content.
        try:
            chunks = wire.CHUNK.decode_lines(usual[6:].replace(b"\ndata: ", b"\n"))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return _careful_block(raw)
        if all(chunk.error is msgspec.UNSET for chunk in chunks):
            return EventBlock(usual, chunks, done=done)
    return _careful_block(raw)


def _careful_block(raw: bytes) -> EventBlock:
    """As `_block`, for events with comments, other fields, other line ends, errors, or of no sense."""
    end = 0
    chunks: list[wire.Chunk] = []
    for event in _split(raw):
        payload = _payload(event)
        if payload == DONE:
            return EventBlock(raw[:end], chunks, done=True)
        if payload:
            try:
                chunk = wire.CHUNK.decode(payload)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                return EventBlock(raw[:end], chunks, broken=True)
            if chunk.error is not msgspec.UNSET and bytes(chunk.error) != b"null":
                return EventBlock(raw[:end], chunks, error=bytes(chunk.error))
            chunks.append(chunk)
        end += len(event)
    return EventBlock(raw, chunks)


def _split(raw: bytes) -> Iterator[bytes]:
    start = 0
    for boundary in _BOUNDARY.finditer(raw):
        yield raw[start : boundary.end()]
        start = boundary.end()


def _payload(event: bytes) -> bytes:
    """The joined `data` lines; comments and other fields left out."""
    lines = [line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines)
