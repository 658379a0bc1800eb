"""The folder that snapshots are kept in: one file an index, and one more while it is written.

Several processes may use one folder. A file is replaced whole, so that a reader has the old one or the new; the one
that is being written is locked, and left as it is by a process that dies, for the next to write over.
"""

import fcntl
import hashlib
import logging
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from services.graph.indexes.snapshots.file import Damaged, Reader, Writer
from services.graph.indexes.snapshots.standing import Head, IndexKey, code

log = logging.getLogger(__name__)

_SUFFIX: Final = ".index"
_NEW: Final = ".index.new"


class Folder:
    """Of one installation: who shares it shares its tenants."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, key: IndexKey) -> tuple[Head, Reader] | None:
        """The snapshot of an index; None, and a line in the log, when there is none that can be used."""
        path = self._file(key)
        try:
            reader = Reader(path)
        except FileNotFoundError:
            return None
        except (OSError, Damaged) as error:
            _passed_over(path, key, str(error))
            return None
        why = ""
        try:
            head = msgspec.convert(reader.head, Head)
            if head.key != key:
                why = "it is of another index"
            elif head.code != code():
                why = "it was written by another version of this service"
        except msgspec.ValidationError as error:
            why = str(error)
        if why:
            reader.close()
            _passed_over(path, key, why)
            return None
        return head, reader

    @contextmanager
    def writing(self, key: IndexKey) -> Iterator[Writer | None]:
        """A new snapshot, which takes the place of the old one when the block ends well; None: another process is
        writing it. Raises OSError."""
        self._path.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self._path / (self._name(key) + _NEW)
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _locked(descriptor, new):
                yield None
                return
            os.ftruncate(descriptor, 0)
            try:
                yield Writer(descriptor)
            except BaseException:
                # Nobody needs the half of it, and the disk may be full.
                new.unlink()
                raise
            new.replace(self._file(key))
        finally:
            os.close(descriptor)

    def sweep(self, used: Collection[IndexKey]) -> None:
        """Removes the snapshots of all other indexes."""
        names = {self._name(key) for key in used}
        try:
            for one in self._path.iterdir():
                name, dot, rest = one.name.partition(".")
                if dot + rest in (_SUFFIX, _NEW) and name not in names:
                    one.unlink(missing_ok=True)
                    log.info("removed the snapshot of an index that is no more", extra={"file": str(one)})
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("can't remove snapshots of indexes that are no more: %s", error)

    def _file(self, key: IndexKey) -> Path:
        return self._path / (self._name(key) + _SUFFIX)

    def _name(self, key: IndexKey) -> str:
        # The names of models may hold anything.
        return hashlib.blake2b(repr(tuple(key)).encode(), digest_size=16).hexdigest()


def _locked(descriptor: int, path: Path) -> bool:
    """Takes the lock; False: another has it, or had it and has put the file in its place meanwhile."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _passed_over(path: Path, key: IndexKey, why: str) -> None:
    where = {"file": str(path), "tenant": key.tenant, "model": key.model}
    log.warning("a snapshot of an index is not used, the passages are read anew: %s", why, extra=where)
