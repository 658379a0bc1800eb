"""What the graph consists of, in the words of the domain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

from services.graph.extraction.names import Name
from services.graph.extraction.sentences import Sentence


class Cursor(NamedTuple):
    """A place in the change feed of one collection."""

    incarnation: str
    seq: int


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage as the graph keeps it: where it stands, and the names it mentions. Its text stays with vector, except
    for the sentences that say which names belong together."""

    id: str
    """Of its point."""
    document: str
    title: str
    index: int
    """Position among the document's chunks, from 0."""
    names: Sequence[Name]
    """Each key once."""
    sentences: Sequence[Sentence] = ()
    """Those with two names and more."""
    digest: str = ""
    """Tells this text from another: what callers said of a passage holds as long as it stays the same."""


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
    incarnation: str = ""
    """Of the collection that was last followed, also when its cursor is None; empty: none ever was."""


Scalar: TypeAlias = str | int | float | bool
Value: TypeAlias = Scalar | Sequence[Scalar]
"""What a property may be: one value, or a list of values of one kind."""

MENTIONED_WITH: Final = "mentioned_with"
"""The type of the relations that followers derive: two names in one sentence."""

RESERVED: Final = frozenset(
    {
        *("uid", "graph", "key", "name", "named", "type", "aliases", "manual", "mentions", "form", "named"),
        *("source", "target", "weight", "id", "element_id", "labels"),
    }
)
"""Properties of entities and relations that are the service's own. Callers' properties stand beside them in the store,
so these names, and those that begin with `_`, are refused."""


@dataclass(frozen=True, slots=True)
class Entity:
    """Something that has a name."""

    graph: str
    key: str
    name: str
    mention_count: int
    """How many passages mention it."""
    type: str = ""
    """Empty: not known."""
    aliases: Sequence[str] = ()
    """Other names, sorted."""
    properties: Mapping[str, Value] = field(default_factory=dict)
    manual: bool = False
    """Whether it was written by hand, and so stays without any mention."""


class Named(NamedTuple):
    """An entity that was found by a name."""

    entity: Entity
    whole: bool
    """Whether the name is the one asked for, and not only begins with it."""


class RelationKey(NamedTuple):
    """What makes a relation the same relation."""

    source: str
    """Key of the entity it begins at."""
    target: str
    type: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation between two entities."""

    graph: str
    source: str
    target: str
    type: str
    weight: float
    properties: Mapping[str, Value] = field(default_factory=dict)
    manual: bool = False
    """Whether it was written by hand, and so stays without any passage that says it."""


class Evidence(NamedTuple):
    """A passage that says something, and with what words."""

    document: str
    chunk: int
    """Position of the passage among the document's chunks, from 0."""
    text: str
    """The name as it is written there; for a relation the sentence. Empty: not told."""


@dataclass(frozen=True, slots=True)
class Stats:
    """How much a graph holds."""

    entity_types: Mapping[str, int] = field(default_factory=dict)
    """Entities a type; those without one under the empty text."""
    relation_types: Mapping[str, int] = field(default_factory=dict)
    passage_count: int = 0
    mention_count: int = 0
    """That a passage mentions an entity."""


@dataclass(frozen=True, slots=True)
class Merge:
    """That several entities are one."""

    id: str
    graph: str
    target: str
    """Key of the entity that stays."""
    sources: Sequence[str]
    """Keys of those that became part of it."""
    time: datetime


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


@dataclass(frozen=True, slots=True)
class NewEntity:
    """What is said of an entity by hand. What is empty is left as it is."""

    key: str
    name: str = ""
    type: str = ""
    aliases: Sequence[str] = ()
    properties: Mapping[str, Value | None] = field(default_factory=dict)
    """None removes one."""
    mentions: Sequence[Evidence] = ()
    """Who says so; it holds as long as they do. None: it holds for good."""


@dataclass(frozen=True, slots=True)
class NewRelation:
    """What is said of a relation by hand. What is empty is left as it is."""

    source: str
    """Key of an entity, or a name."""
    target: str
    type: str
    weight: float | None = None
    properties: Mapping[str, Value | None] = field(default_factory=dict)
    mentions: Sequence[Evidence] = ()


class Refusal(NamedTuple):
    """Why one of several was not stored or not deleted."""

    place: int
    """Which of the batch, from 0."""
    reason: str
    """For programs."""
    message: str
    """For people: what to do."""


class Stored(NamedTuple):
    """What became of a batch."""

    keys: Sequence[str]
    """Of entities, the keys under which they are now, in the order of the batch; empty for one that was refused."""
    created: int
    refused: Sequence[Refusal]


class Deleted(NamedTuple):
    """What became of entities that were to be deleted; each key is in one of the three."""

    deleted: Sequence[str]
    missing: Sequence[str]
    derived: Sequence[str]
    """They stay, without what was said of them by hand, because documents mention them."""


class Given(NamedTuple):
    """That a caller said of a passage that it mentions something, or that this does not hold any more."""

    passage: str
    """Id of its point."""
    key: str
    name: str
    gone: bool


@dataclass(frozen=True, slots=True)
class GivenPage:
    """What was given since some place in a graph's log. Applying a page twice does no harm."""

    seq: int
    """The place behind it."""
    reset: bool
    """Forget what was given before: the log does not reach back that far, and this page begins from nothing."""
    items: Sequence[Given]
    more: bool
    """Whether there is more already."""
    merges: Mapping[str, str] | None
    """Key of each merged entity → key of the one it is part of, all of them; None: as they were."""
    last: int
    """Where the log ended when this was read."""


class FenceLost(Exception):
    """Another follower has claimed this part of the graph, or it was moved by someone else: stop at once."""
