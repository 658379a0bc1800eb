"""What the graph service asks of its store. The domain knows this, and no driver."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from services.graph.model import (
    Capabilities,
    Claim,
    Cursor,
    Deleted,
    Entity,
    Evidence,
    GivenPage,
    Mention,
    Merge,
    Named,
    NewEntity,
    NewRelation,
    Passage,
    Refusal,
    Relation,
    RelationKey,
    Stats,
    Stored,
)
from services.graph.reading.along import Along, Step


class Rows(Protocol):
    """The rows of a query, as they come."""

    columns: Sequence[str]

    def batches(self) -> AsyncGenerator[Sequence[Sequence[Any]], None]:
        """Rows as plain JSON values (what JSON does not have: objects with `$type`), some at a time.

        After the last one the store has accepted the whole statement; what it finds out only then, such as that it
        wrote, is raised here.
        """

    async def plan(self) -> str:
        """How the store would run a statement that it was asked to explain, in its own words; instead of its rows."""


class Reader(Protocol):
    """Reading. A tenant or a graph that nobody wrote to is empty, not missing.

    Every method raises StoreUnavailable when the store does not answer, and DeadlineExceeded when the current call's
    deadline passes first.
    """

    async def entities(self, tenant: str, graphs: Sequence[str], keys: Sequence[str]) -> list[Entity]:
        """Those of `keys` that there are."""

    async def resolve(self, tenant: str, graph: str, keys: Sequence[str]) -> Mapping[str, Entity]:
        """By key: the entity, or the one it is part of; keys that mean nothing are left out."""

    async def relations(self, tenant: str, graph: str, wanted: Sequence[RelationKey]) -> list[Relation]:
        """Those of `wanted` that there are, in any order."""

    async def evidence_of_entities(
        self, tenant: str, graph: str, keys: Sequence[str], each: int
    ) -> Mapping[str, Sequence[Evidence]]:
        """By key: the passages that mention it, in the order of documents and chunks, at most `each`."""

    async def evidence_of_relations(
        self, tenant: str, graph: str, wanted: Sequence[RelationKey], each: int
    ) -> Mapping[RelationKey, Sequence[Evidence]]:
        """The same for relations: the passages that say it, with the sentence."""

    async def named(
        self, tenant: str, graph: str, form: str, types: Sequence[str], limit: int, *, longer: bool
    ) -> list[Named]:
        """Entities of one of `types` (empty: any) that have a name of this normal form; with `longer` then those that
        have one that begins with it, most mentioned first."""

    async def similar(
        self,
        tenant: str,
        graph: str,
        pieces: Sequence[str],
        lengths: tuple[int, int],
        types: Sequence[str],
        limit: int,
    ) -> list[tuple[str, str]]:
        """(Key, normal form of one of its names) that holds one of `pieces` and has so many characters, at least and
        at most; those of the most mentioned entities first."""

    async def foremost(self, tenant: str, graph: str, types: Sequence[str], limit: int) -> list[Entity]:
        """The most mentioned entities of one of `types` (empty: any)."""

    async def steps(
        self, tenant: str, graph: str, keys: Sequence[str], along: Along, *, each: int, most: int
    ) -> list[Step]:
        """The relations of each of `keys`, heaviest first: at most `each` of one entity and one direction, and `most`
        together."""

    async def edges(
        self, tenant: str, graph: str, keys: Sequence[str], along: Along, *, most: int, always: Sequence[str] = ()
    ) -> list[Step]:
        """The relations of `keys` in no order, at most `most`: for those who need all of an entity that may have very
        many. Entities of the keys `always` are met whatever `along` says of entities."""

    async def neighbors(
        self, tenant: str, graph: str, key: str, along: Along, after: Step | None, limit: int
    ) -> list[Step]:
        """The relations of one entity, heaviest first, behind `after`."""

    async def page(self, tenant: str, graph: str, after: str, limit: int) -> tuple[list[Entity], str]:
        """Entities in an order that stays, behind the key `after` (empty: from the beginning), at most `limit`; and
        what the next page is behind, empty after the last one."""

    async def mentioned(
        self, tenant: str, graph: str, keys: Sequence[str], after: tuple[str, str], limit: int
    ) -> list[tuple[str, str, Evidence]]:
        """(Key, mark, mention) of what mentions `keys`, in an order that stays, behind the (key, mark) `after`."""

    async def related(
        self, tenant: str, graph: str, keys: Sequence[str], after: Relation | None, limit: int
    ) -> list[Relation]:
        """Relations that begin at one of `keys`, in an order that stays, behind `after`."""

    async def stats(self, tenant: str, graph: str) -> Stats:
        """Counts a graph."""

    async def sizes(self, tenant: str, graphs: Sequence[str]) -> Mapping[str, int]:
        """How many passages each graph has; graphs without any may be left out."""

    async def mentions(self, tenant: str, passages: Sequence[tuple[str, str]]) -> list[Mention]:
        """What (graph, passage id) mention."""

    async def mentioning(self, tenant: str, names: Sequence[tuple[str, str]], limit: int) -> list[Mention]:
        """Who mentions (graph, key): at most `limit` passages a name, those it names first."""


class Writer(Protocol):
    """What followers do. Each method is one transaction, repeated as a whole when it met another one.

    FenceLost: the claim is not valid any more, nothing was written. StoreUnavailable: nobody knows; claim
    again before going on.
    """

    async def followed(self) -> list[tuple[str, str]]:
        """Every (tenant, graph) that a follower has claimed at some time and not forgotten since."""

    async def claim(self, tenant: str, graph: str, holder: str, lease_seconds: float) -> Claim | None:
        """Takes the right to write, unless another holder's lease runs. A new graph has the cursor None.

        This writes, so whatever an earlier claim has under way has either happened before it or never will.
        """

    async def renew(self, claim: Claim, lease_seconds: float) -> None: ...

    async def release(self, claim: Claim) -> None:
        """Gives the right back; does nothing when it is lost already."""

    async def apply(
        self,
        claim: Claim,
        before: Cursor,
        after: Cursor,
        upserts: Sequence[Passage],
        deletes: Sequence[str],
        lease_seconds: float,
    ) -> None:
        """Moves the cursor from `before` to `after` and makes the graph hold `upserts` and not `deletes`."""

    async def clear(self, claim: Claim, lease_seconds: float, *, given: bool = False) -> bool:
        """Removes a part of what was derived; True when nothing is left. From the first call on, the cursor is None.

        `given`: what callers said of passages goes too. Otherwise it waits, and holds again for those passages that
        come again with the same text. What was said of no passage stays in any case.
        """

    async def begin(self, claim: Claim, cursor: Cursor, lease_seconds: float) -> None:
        """Sets the cursor of a graph that holds nothing."""

    async def forget(self, claim: Claim) -> None:
        """Removes the claim itself, of a graph that holds nothing."""


class Editor(Protocol):
    """What callers write by hand. Each method is one transaction, repeated as a whole when it met another one.

    Raises StoreUnavailable, after which it may have been done or not; and DeadlineExceeded.
    """

    async def upsert_entities(self, tenant: str, graph: str, entities: Sequence[NewEntity]) -> Stored:
        """Joins what is said of each to what is known. Refuses those that name a passage there is not."""

    async def upsert_relations(self, tenant: str, graph: str, relations: Sequence[NewRelation]) -> Stored:
        """The same for relations; the ends that are missing are made."""

    async def delete_entities(self, tenant: str, graph: str, keys: Sequence[str]) -> Deleted:
        """Takes back what was said by hand of entities and of relations at them."""

    async def delete_relations(self, tenant: str, graph: str, relations: Sequence[RelationKey]) -> list[Refusal]:
        """Takes back what was said by hand of relations."""

    async def merge(self, tenant: str, graph: str, merge: Merge) -> Entity:
        """Makes the sources part of the target, and returns that.

        Raises EntityNotFound; AlreadyMerged when one of them is part of another entity.
        """

    async def undo_merge(self, tenant: str, graph: str, id: str) -> list[Entity]:
        """Takes a merge back, and returns the target and its sources, those of them that there are.

        Raises MergeNotFound; MergedSince when the target has become part of another entity.
        """


class GivenLog(Protocol):
    """What callers said, for those who keep an index of their own."""

    async def given_since(self, tenant: str, graph: str, seq: int, limit: int, begun: int = 0) -> GivenPage:
        """What callers said of passages, and which entities they merged, behind `seq` in the graph's log; 0: from the
        beginning. At most `limit` items. `begun`: where the log ended when the reading from the beginning began; what
        went before was not in it any more, so that it need not be remembered."""


class CypherRunner(Protocol):
    """Raw Cypher, under a login that can do no more than read this tenant's part."""

    def query(
        self, tenant: str, statement: str, parameters: Mapping[str, Any], seconds: float
    ) -> AbstractAsyncContextManager[Rows]:
        """Leaving the block before the last row ends the query in the store.

        Raises InvalidCypher, CypherReadOnly, CypherNeedsIsolation, DeadlineExceeded, StoreUnavailable; on entering and
        while rows are read.
        """

    async def explain(self, tenant: str, statement: str, parameters: Mapping[str, Any], seconds: float) -> str:
        """How the store would run a statement, in its own words; it is not run. Raises what `query` raises."""


class GraphStore(Reader, Writer, Editor, GivenLog, CypherRunner, Protocol):
    async def capabilities(self) -> Capabilities:
        """What the last probe found; probes when there was none. Raises StoreUnavailable."""

    async def probe(self) -> Capabilities:
        """Asks the store what it can do, at the start and never by its name. What is missing fails closed.

        Raises StoreUnavailable.
        """
