"""pgvector's types on the wire, in binary: two 16-bit words (dimension, unused), then the numbers, big-endian."""

import struct
from typing import Any

import asyncpg
import numpy as np

from services.vector.model import Vector

_HEADER = struct.Struct(">HH")


async def register(connection: "asyncpg.Connection[Any]") -> None:
    """Teaches a connection `vector` and `halfvec` (float32 arrays)."""
    schema = await connection.fetchval(
        "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
    )
    for name, kind in (("vector", ">f4"), ("halfvec", ">f2")):
        await connection.set_type_codec(
            name, schema=schema, format="binary", encoder=_encoder(kind), decoder=_decoder(kind)
        )


def halfvec(vector: Vector) -> bytes:
    """As it goes over the wire. For lists of vectors: the driver takes a list of arrays for an array of arrays."""
    return _encoded(vector, ">f2")


def _encoded(vector: Vector, kind: str) -> bytes:
    # Numbers beyond 16 bits become infinite here, and the server refuses those by its own words.
    with np.errstate(over="ignore"):
        return _HEADER.pack(vector.shape[0], 0) + vector.astype(kind).tobytes()


def _encoder(kind: str) -> Any:
    def encode(value: Vector | bytes) -> bytes:
        return value if isinstance(value, bytes) else _encoded(value, kind)

    return encode


def _decoder(kind: str) -> Any:
    def decode(data: bytes) -> Vector:
        return np.frombuffer(data, kind, offset=_HEADER.size).astype(np.float32)

    return decode
