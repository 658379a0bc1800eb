"""One snapshot as a file: arrays one after the other, then a table that says where they are, then where the table is.

The table holds what the file is about (`head`) and a checksum of each array, and has one of its own behind it: a file
that was cut off, or of which a byte was changed, is told from a whole one.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

_BEGIN: Final = b"PERGOLA INDEX 1\n"
_END: Final = struct.Struct("<QQI")
"""Where the table begins, its length in bytes, its checksum."""
_PIECE: Final = 16 * 2**20
"""Bytes read at a time."""
_SYNCED: Final = 64 * 2**20
"""Bytes after which the disk is waited for: one flush of all at the end would hold up those of the stores."""
_DTYPES: Final = frozenset({"|b1", "|u1", "|i1", "<u2", "<f2", "<u4", "<i4", "<u8", "<i8"})


class Damaged(Exception):
    """The file is no snapshot, or not a whole one."""


class Writer:
    """Writes a snapshot to an open empty file, piece by piece. Every method may raise OSError."""

    def __init__(self, descriptor: int) -> None:
        self._file = descriptor
        self._place = 0
        self._synced = 0
        self._table: list[dict[str, Any]] = []
        self._put(_BEGIN)

    def begin(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        """What is written from now on belongs to this array, in rows."""
        self._table.append({"name": name, "dtype": dtype.str, "shape": shape, "start": self._place, "check": 0})

    def write(self, piece: bytes) -> None:
        entry = self._table[-1]
        entry["check"] = zlib.crc32(piece, entry["check"])
        self._put(piece)

    def finish(self, head: Mapping[str, Any]) -> None:
        """`head`: what the file is about, as JSON has it. After this it is on the disk."""
        table = json.dumps({"head": head, "arrays": self._table}).encode()
        self._put(table + _END.pack(self._place, len(table), zlib.crc32(table)))
        os.fsync(self._file)

    def _put(self, piece: bytes) -> None:
        left = memoryview(piece)
        while left:
            left = left[os.write(self._file, left) :]
        self._place += len(piece)
        if self._place - self._synced >= _SYNCED:
            os.fsync(self._file)
            self._synced = self._place


class Reader:
    """A snapshot that was opened. Raises Damaged and OSError."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("rb", buffering=0)
        try:
            self.head, self._table = self._read_table()
        except BaseException:
            self._file.close()
            raise

    def arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Each array with its name."""
        for entry in self._table:
            rows = np.empty(entry["shape"], entry["dtype"])
            whole = memoryview(rows.reshape(-1).view(np.uint8).data)
            self._file.seek(entry["start"])
            check = 0
            for first in range(0, len(whole), _PIECE):
                piece = whole[first : first + _PIECE]
                self._fill(piece)
                check = zlib.crc32(piece, check)
            if check != entry["check"]:
                raise Damaged(f"the checksum of {entry['name']!r} is wrong")
            yield entry["name"], rows

    def close(self) -> None:
        self._file.close()

    def _read_table(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        size = os.fstat(self._file.fileno()).st_size
        if size < len(_BEGIN) + _END.size or self._bytes(0, len(_BEGIN)) != _BEGIN:
            raise Damaged("it is no snapshot of an index")
        start, length, check = _END.unpack(self._bytes(size - _END.size, _END.size))
        if start + length + _END.size != size:
            raise Damaged("its end is missing")
        table = self._bytes(start, length)
        if zlib.crc32(table) != check:
            raise Damaged("the checksum of its table is wrong")
        found = json.loads(table)
        # The table is whole, so that this is what was written; a mistake here must not become a large allocation.
        for entry in found["arrays"]:
            bytes_ = int(np.prod(entry["shape"], dtype=np.float64)) * np.dtype(entry["dtype"]).itemsize
            if entry["dtype"] not in _DTYPES or entry["start"] + bytes_ > start:
                raise Damaged(f"{entry['name']!r} is not where it should be")
        return found["head"], found["arrays"]

    def _bytes(self, start: int, length: int) -> bytes:
        self._file.seek(start)
        piece = bytearray(length)
        self._fill(memoryview(piece))
        return bytes(piece)

    def _fill(self, piece: memoryview) -> None:
        while piece:
            count = self._file.readinto(piece)  # type: ignore[attr-defined]
            if not count:
                raise Damaged("its end is missing")
            piece = piece[count:]
