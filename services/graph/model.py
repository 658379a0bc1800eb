"""What the graph consists of, in the words of the domain."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from services.graph.extraction.names import Name


class Cursor(NamedTuple):
    """A place in the change feed of one collection."""

    incarnation: str
    seq: int


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage as the graph keeps it: where it stands, and the names it mentions. Its text stays with vector."""

    id: str
    """Of its point."""
    document: str
    title: str
    index: int
    """Position among the document's chunks, from 0."""
    names: Sequence[Name]
    """Each key once."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write one collection's part of the graph, until its lease ends or someone else takes it."""

    tenant: str
    graph: str
    holder: str
    fence: int
    """Rises with every claim; what was claimed before can't be written any more."""
    cursor: Cursor | None
    """Everything up to here is in the graph; None when what there was must be removed before anything is applied."""


@dataclass(frozen=True, slots=True)
class Entity:
    """Something that has a name."""

    graph: str
    key: str
    name: str
    mention_count: int
    """How many passages mention it."""


class Mention(NamedTuple):
    """That a passage mentions a name, as read from the graph."""

    graph: str
    passage: str
    """Id of its point."""
    key: str
    name: str
    """As it is written in the passage."""
    weight: float
    """How far it names the passage itself, 0 to 1."""
    mention_count: int
    """How many passages mention the name."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the store was found to be able to do when it was asked."""

    version: str
    databases: bool
    """Whether each tenant has a database of its own."""
    read_only_logins: bool
    """Whether a login can be made that reads one database and nothing else."""

    kinds_as_labels: bool = False
    """Whether labels and types of relations can be given as values, and so those of entities and relations are."""
    read_sessions: bool = False
    """Whether a session that asks to read only can't write."""
    closed: bool = False
    """Whether nothing but the database can be read: no file and no address, by LOAD CSV or by plug-ins."""

    @property
    def isolates_cypher(self) -> bool:
        """Whether the store itself keeps raw Cypher inside its tenant and from writing."""
        return self.databases and self.read_only_logins


class FenceLost(Exception):
    """Another follower has claimed this part of the graph, or it was moved by someone else: stop at once."""
