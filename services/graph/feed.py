"""The change feed as followers see it."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from services.graph.model import Cursor
from services.graph.passages.passage import Vector


@dataclass(frozen=True, slots=True)
class Source:
    """A collection that asks to be followed."""

    tenant: str
    collection: str
    head: Cursor
    """Where its feed ends now."""


@dataclass(frozen=True, slots=True)
class Text:
    """A point's text, and where it stands in its document."""

    document: str
    title: str
    text: str
    index: int
    heading_path: Sequence[str]
    before: str = ""
    """What stands before it, where the vector is of both."""


class Change(NamedTuple):
    """One change of a point."""

    seq: int
    point: str
    text: Text | None
    """None: the point is gone, or has no text that could mention anything."""
    vector: Vector | None = None
    """Where it was asked for."""


@dataclass(frozen=True, slots=True)
class Changes:
    items: Sequence[Change]
    cursor: Cursor
    """The place behind the last of them."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Forget everything; what follows begins from nothing."""

    cursor: Cursor


@dataclass(frozen=True, slots=True)
class Heartbeat:
    head: Cursor


Event = Changes | Reset | Heartbeat


class Feed(Protocol):
    """Acts for the tenant of the current call. Raises the errors of the peer."""

    async def sources(self) -> list[Source]:
        """The collections of all tenants that ask to be followed."""

    async def exists(self, collection: str) -> bool: ...

    def watch(
        self, collection: str, consumer: str, after: Cursor, *, with_vector: bool = False
    ) -> AsyncGenerator[Event, None]:
        """Changes behind `after`, for ever. CollectionNotFound when the collection is, or has been, deleted."""

    async def acknowledge(self, collection: str, consumer: str, cursor: Cursor) -> int:
        """Says that everything up to `cursor` is committed. Returns how many changes are left."""
