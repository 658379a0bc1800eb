"""ZIP archives (Office files, EPUB) whose parts are streamed, and counted while they are."""

import io
import posixpath
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from services.vector.parsing.model import Limits, ParseFailed, Reason

_PIECE: Final = 64 * 1024
_RATIO_FROM: Final = 16 * 1024 * 1024
"""Bytes that any part may unpack to whatever its ratio: small parts of repeated cells pack extremely well."""
_ENCRYPTED_FLAG: Final = 0x1


class Archive:
    """An archive's parts by name. Raises ParseFailed: MALFORMED, TOO_LARGE, ENCRYPTED."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        self._limits = limits
        self._left = limits.unpacked_bytes
        # Counted before the directory becomes objects: a file of 100 MB can name two million parts.
        if data.count(b"PK\x01\x02") > limits.archive_entries:
            raise ParseFailed(Reason.TOO_LARGE, f"The archive has more than {limits.archive_entries:,} parts.")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, struct.error, OSError, NotImplementedError):
            raise ParseFailed(Reason.MALFORMED, "The archive's directory can't be read; is the file cut off?") from None
        self.names = frozenset(self._zip.namelist())

    def pieces(self, name: str) -> Iterator[bytes]:
        """A part's bytes, a piece at a time. A part that is missing: MALFORMED."""
        try:
            info = self._zip.getinfo(name)
        except KeyError:
            raise ParseFailed(Reason.MALFORMED, f"The archive lacks its part {shown(name)}.") from None
        if info.flag_bits & _ENCRYPTED_FLAG:
            raise ParseFailed(Reason.ENCRYPTED, "The archive is encrypted. Remove its password.")
        size = 0
        try:
            with self._zip.open(info) as part:
                while piece := part.read(_PIECE):
                    size += len(piece)
                    self._charge(len(piece), size, info.compress_size)
                    yield piece
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, struct.error, OSError, NotImplementedError):
            raise ParseFailed(Reason.MALFORMED, f"The part {shown(name)} of the archive is damaged.") from None

    def read(self, name: str) -> bytes:
        """A whole part."""
        return b"".join(self.pieces(name))

    def _charge(self, piece: int, size: int, packed: int) -> None:
        self._left -= piece
        if self._left < 0:
            raise ParseFailed(
                Reason.TOO_LARGE, f"The archive unpacks to more than {self._limits.unpacked_bytes:,} bytes."
            )
        if size > _RATIO_FROM and size > packed * self._limits.unpacked_ratio:
            raise ParseFailed(
                Reason.TOO_LARGE,
                f"A part of the archive unpacks to more than {self._limits.unpacked_ratio:,} times its packed size.",
            )


def shown(name: str) -> str:
    """A part's name as it may stand in a message."""
    return ascii(name[:80])


def resolve(base: str, target: str) -> str:
    """The part that `target` names from inside the part `base`: relative, or from the root with a leading `/`."""
    target = unquote(target.partition("#")[0])
    joined = target if target.startswith("/") else posixpath.join(posixpath.dirname(base), target)
    return posixpath.normpath(joined).lstrip("/")
