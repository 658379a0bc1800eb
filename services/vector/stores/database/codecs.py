"""pgvector's types on the wire, in binary: two 16-bit words (dimension, unused), then the numbers, big-endian."""

import struct
from collections.abc import Sequence
from typing import Any, Final

import asyncpg
import numpy as np

from services.vector.model import Storage, Vector

_HEADER = struct.Struct(">HH")
_KINDS: Final[dict[Storage, str]] = {"vector": ">f4", "halfvec": ">f2"}


async def register(connection: "asyncpg.Connection[Any]") -> None:
    """Teaches a connection `vector` and `halfvec`: float32 arrays, or what `packed` makes of them.

    And `sparsevec`: bytes as they go over the wire.
    """
    schema = await connection.fetchval(
        "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
    )
    for name, kind in _KINDS.items():
        await connection.set_type_codec(
            name, schema=schema, format="binary", encoder=_encoder(name), decoder=_decoder(kind)
        )
    await connection.set_type_codec("sparsevec", schema=schema, format="binary", encoder=bytes, decoder=bytes)


def packed(value: Vector, storage: Storage) -> bytes:
    """A vector as it goes over the wire."""
    # Numbers beyond 16 bits become infinite here, and the server refuses those by its own words.
    with np.errstate(over="ignore"):
        return _HEADER.pack(value.shape[0], 0) + value.astype(_KINDS[storage]).tobytes()


def packed_all(values: Sequence[Vector], storage: Storage) -> list[bytes]:
    """Vectors of one dimension as they go over the wire, many at once."""
    if not values:
        return []
    matrix = np.stack(values)
    head, width = _HEADER.pack(matrix.shape[1], 0), matrix.shape[1] * np.dtype(_KINDS[storage]).itemsize
    with np.errstate(over="ignore"):
        numbers = matrix.astype(_KINDS[storage]).tobytes()
    return [head + numbers[start : start + width] for start in range(0, len(numbers), width)]


def _encoder(storage: Storage) -> Any:
    def encode(value: Vector | bytes) -> bytes:
        return value if isinstance(value, bytes) else packed(value, storage)

    return encode


def _decoder(kind: str) -> Any:
    def decode(data: bytes) -> Vector:
        return np.frombuffer(data, kind, offset=_HEADER.size).astype(np.float32)

    return decode
