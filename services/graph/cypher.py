"""RunQuery: one read-only statement, its rows in messages of a good size, within limits."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from services.graph.store import CypherRunner
from services.runtime import call
from services.runtime.errors import TooManyRows

_MESSAGE_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one query may use."""

    seconds: float
    """Most seconds for a statement, within the call's deadline."""
    max_bytes: int
    """Most bytes of rows in one answer, as JSON."""


@dataclass(frozen=True, slots=True)
class Columns:
    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Batch:
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Summary:
    row_count: int
    truncated: bool


Event = Columns | Batch | Summary


class Cypher:
    """Runs statements."""

    def __init__(self, store: CypherRunner, limits: Limits) -> None:
        self._store = store
        self._limits = limits

    async def run(
        self, tenant: str, statement: str, parameters: Mapping[str, Any], max_rows: int
    ) -> AsyncGenerator[Event, None]:
        """Columns, batches of rows, and how it ended.

        Raises InvalidCypher, CypherReadOnly, CypherNeedsIsolation; TooManyRows beyond `max_bytes`; ResourceExhausted
        while the tenant has too many statements running; DeadlineExceeded; StoreUnavailable.
        """
        async with self._store.query(tenant, statement, parameters, self._seconds()) as rows:
            sent = size = 0
            begun = False
            async with aclosing(rows.batches()) as batches:
                async for fetched in batches:
                    if not begun:
                        # Not before: what fails without a row is a plain error, not the end of a stream.
                        yield Columns(rows.columns)
                        begun = True
                    wanted = fetched[: max_rows - sent]
                    for batch, weight in _messages(wanted):
                        size += weight
                        if size > self._limits.max_bytes:
                            raise TooManyRows(
                                f"the rows exceed {self._limits.max_bytes} bytes; return fewer columns or fewer rows"
                            )
                        yield Batch(batch)
                    sent += len(wanted)
                    if len(wanted) < len(fetched):
                        yield Summary(sent, truncated=True)
                        return
            if not begun:
                yield Columns(rows.columns)
            yield Summary(sent, truncated=False)

    async def explain(self, tenant: str, statement: str, parameters: Mapping[str, Any]) -> str:
        """The store's plan for a statement. Raises what `run` raises, TooManyRows excepted."""
        return await self._store.explain(tenant, statement, parameters, self._seconds())

    def _seconds(self) -> float:
        left = call.remaining()
        return self._limits.seconds if left is None else min(self._limits.seconds, left)


def _messages(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[Sequence[Sequence[Any]], int]]:
    """The rows in parts of about `_MESSAGE_BYTES`, each with its size; never an empty part."""
    begin = size = 0
    for position, cells in enumerate(rows):
        weight = len(msgspec.json.encode(cells))
        if position > begin and size + weight > _MESSAGE_BYTES:
            yield rows[begin:position], size
            begin, size = position, 0
        size += weight
    if begin < len(rows):
        yield rows[begin:], size
