"""Rows as PostgreSQL's binary COPY takes them, put together as bytes.

asyncpg would look up each field's type and try each element of each array for being an array itself; of the processor
time of an upsert that was a quarter, and all of it on the event loop. The formats are those of PostgreSQL's
documentation (COPY, "Binary Format") and of its types' receive functions.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Field = bytes | None
"""A value as its type is sent; None: NULL."""

_HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_FIELDS: Final = struct.Struct(">h")
_LENGTH: Final = struct.Struct(">i")
_INT4_OID: Final = 23
_TEXT_OID: Final = 25
_EMPTY: Final = struct.Struct(">iii")
_ARRAY: Final = struct.Struct(">iiiii")

int4: Final = struct.Struct(">i").pack
int8: Final = struct.Struct(">q").pack


def table(rows: Iterable[Sequence[Field]]) -> bytes:
    """What COPY … FROM STDIN (FORMAT binary) reads for these rows."""
    parts = [_HEAD]
    add, length = parts.append, _LENGTH.pack
    for row in rows:
        add(_FIELDS.pack(len(row)))
        for field in row:
            if field is None:
                add(_NULL)
            else:
                add(length(len(field)))
                add(field)
    add(_END)
    return b"".join(parts)


def text(value: str | None) -> Field:
    return None if value is None else value.encode()


def integer(value: int | None) -> Field:
    """An `int`."""
    return None if value is None else int4(value)


def jsonb(json: bytes) -> bytes:
    return b"\x01" + json


def texts(values: Sequence[str]) -> bytes:
    """A `text[]`."""
    if not values:
        return _EMPTY.pack(0, 0, _TEXT_OID)
    parts = [_ARRAY.pack(1, 0, _TEXT_OID, len(values), 1)]
    for value in values:
        encoded = value.encode()
        parts += (_LENGTH.pack(len(encoded)), encoded)
    return b"".join(parts)


def integers(values: NDArray[np.int64], sizes: Sequence[int]) -> list[bytes]:
    """An `int[]` of the first so many numbers, one of the next so many, …"""
    elements = np.empty((len(values), 2), ">i4")
    elements[:, 0] = 4
    elements[:, 1] = values
    packed, start = elements.tobytes(), 0
    arrays = []
    for size in sizes:
        end = start + 8 * size
        head = _ARRAY.pack(1, 0, _INT4_OID, size, 1) if size else _EMPTY.pack(0, 0, _INT4_OID)
        arrays.append(head + packed[start:end])
        start = end
    return arrays
