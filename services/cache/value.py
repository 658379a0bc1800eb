"""A value, and how it is kept: one byte that says what it is, then its content."""

from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """What a value is; the byte stands before its content in every store."""

    DATA = b"d"
    TEXT = b"t"
    JSON = b"j"


class Value(NamedTuple):
    """A value as the handlers hand it in and get it back."""

    kind: Kind
    content: bytes
    """DATA: the bytes; TEXT: UTF-8; JSON: an encoding of the handlers' choice. The domain never looks inside."""


class Entry(NamedTuple):
    """A stored value as it was found."""

    value: Value
    ttl_ms: int | None
    """Milliseconds it has to live, rounded up; None: it does not expire."""


_KINDS = {kind.value: kind for kind in Kind}


def pack(value: Value) -> bytes:
    """The bytes that are stored."""
    return value.kind.value + value.content


def unpack(stored: bytes) -> Value | None:
    """The value in what was stored.

    None for bytes that no version up to this one writes: a cache answers "missing" rather than something it cannot
    read, and the next Set puts it right.
    """
    kind = _KINDS.get(stored[:1])
    return None if kind is None else Value(kind, stored[1:])
