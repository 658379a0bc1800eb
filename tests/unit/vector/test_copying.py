"""Rows of COPY: bytes as PostgreSQL documents them."""

import struct

import numpy as np
import pytest

from services.vector.model import Storage
from services.vector.stores.database import codecs, copying


def test_rows_are_fields_with_their_lengths() -> None:
    rows: list[list[bytes | None]] = [[b"a", None, b""], [b"bcd"]]
    assert copying.table(rows) == (
        b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
        + struct.pack(">hic", 3, 1, b"a") + struct.pack(">ii", -1, 0)
        + struct.pack(">hi3s", 1, 3, b"bcd")
        + struct.pack(">h", -1)
    )  # fmt: skip


def test_values() -> None:
    assert (copying.text("é"), copying.text(""), copying.text(None)) == (b"\xc3\xa9", b"", None)
    assert (copying.integer(-2), copying.integer(None)) == (b"\xff\xff\xff\xfe", None)
    assert copying.int8(1) == b"\0\0\0\0\0\0\0\1"
    assert copying.jsonb(b"{}") == b"\1{}"


def test_arrays() -> None:
    assert copying.texts([]) == struct.pack(">iii", 0, 0, 25)
    assert copying.texts(["a", "bc"]) == struct.pack(">iiiiiici2s", 1, 0, 25, 2, 1, 1, b"a", 2, b"bc")
    one, none, two = copying.integers(np.array([7, -1, 2**31 - 1]), [1, 0, 2])
    assert one == struct.pack(">iiiiiii", 1, 0, 23, 1, 1, 4, 7)
    assert none == struct.pack(">iii", 0, 0, 23)
    assert two == struct.pack(">iiiiiiiii", 1, 0, 23, 2, 1, 4, -1, 4, 2**31 - 1)


@pytest.mark.parametrize("storage", ["vector", "halfvec"])
def test_many_vectors_are_packed_like_each(storage: Storage) -> None:
    values = list(np.random.default_rng(5).normal(size=(7, 5)).astype(np.float32))
    values[3][2] = 1e6
    assert codecs.packed_all(values, storage) == [codecs.packed(one, storage) for one in values]
    assert codecs.packed_all([], storage) == []
