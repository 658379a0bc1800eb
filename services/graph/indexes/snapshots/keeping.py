"""When indexes are written down, and what becomes of it at the next start."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from services.graph.indexes.held import HeldIndex
from services.graph.indexes.snapshots.file import Damaged
from services.graph.indexes.snapshots.folder import Folder
from services.graph.indexes.snapshots.standing import Head, IndexKey, Standing, code

log = logging.getLogger(__name__)

_QUIET: Final = 10.0
"""Seconds without a change after which it is a good moment."""
_LEAST: Final = 60.0
_SHARE: Final = 50
"""From one writing to the next at least so many seconds, and so many times what the last one took."""
_MANY: Final = 2_000
_PART: Final = 8
"""Without a quiet moment: as soon as so many changes, and one for so many passages, would have to be read again."""


@dataclass(frozen=True, slots=True)
class _Written:
    changes: int = 0
    at: float = 0.0
    seconds: float = 0.0


class Snapshots:
    """Of all indexes of this process. Nothing depends on them: without one, passages are read anew."""

    def __init__(self, folder: Path | None) -> None:
        """None: nothing is written down."""
        self._folder = None if folder is None else Folder(folder)
        self._written: dict[IndexKey, _Written] = {}
        self._swept: frozenset[IndexKey] | None = None

    async def load(self, key: IndexKey, held: HeldIndex, incarnations: Mapping[str, str]) -> Sequence[Standing]:
        """Fills an empty index; returns how far it is with each collection. `incarnations`: of the collections that
        there are; nothing of others is taken over."""
        self._written[key] = _Written(at=time.monotonic())
        opened = None if self._folder is None else await asyncio.to_thread(self._folder.open, key)
        if opened is None:
            return []
        began = time.monotonic()
        head, reader = opened
        found = [one for one in head.collections if incarnations.get(one.info.name) == one.info.incarnation]
        where = {"tenant": key.tenant, "model": key.model}
        try:
            await held.load(reader, [one.info.name for one in found])
        except (Damaged, OSError, ValueError) as error:
            log.warning("a snapshot of an index is not used, the passages are read anew: %s", error, extra=where)
            return []
        finally:
            reader.close()
        await held.measure()
        seconds = round(time.monotonic() - began, 1)
        log.info("index loaded", extra={**where, "passages": held.size.passages, "seconds": seconds})
        return found

    def due(self, key: IndexKey, held: HeldIndex) -> bool:
        """Whether it is time to write an index down."""
        last, now = self._written[key], time.monotonic()
        changed = held.changes - last.changes
        if not changed or now - last.at < max(_LEAST, _SHARE * last.seconds):
            return False
        return now - held.changed_at >= _QUIET or changed >= max(_MANY, held.size.passages // _PART)

    async def save(self, key: IndexKey, held: HeldIndex, standings: Callable[[], Sequence[Standing]]) -> None:
        """Writes an index down if anything changed. `standings`: how far it is with its collections, when it is asked.

        Not to be cancelled: a thread would go on writing. What goes wrong is a line in the log.
        """
        if self._folder is None or held.changes == self._written[key].changes or not standings():
            return
        began = time.monotonic()
        changes = self._written[key].changes
        where = {"tenant": key.tenant, "model": key.model}
        try:
            with self._folder.writing(key) as writer:
                if writer is not None:
                    changes = await held.save(writer, lambda: msgspec.to_builtins(Head(code(), key, list(standings()))))
        except OSError as error:
            log.warning("an index can't be written down, the next start reads what changed: %s", error, extra=where)
        now = time.monotonic()
        self._written[key] = _Written(changes, now, now - began)

    async def sweep(self, used: frozenset[IndexKey]) -> None:
        """Removes the snapshots of indexes that are no more."""
        if self._folder is not None and used != self._swept:
            await asyncio.to_thread(self._folder.sweep, used)
            self._swept = used
