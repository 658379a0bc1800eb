"""What callers said: a node for each statement, about an entity or a relation, by a passage or for good.

Entities, relations and mentions are worked out from these, so that what goes takes nothing else with it. One that was
about a passage's entity stays for a while as a remembrance that it went, for those who follow the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.graph.knowledge import fields as of_fields
from services.graph.knowledge.fields import Fields
from services.graph.model import RelationKey
from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place
from services.graph.stores.statements.writing import log as logs
from services.graph.stores.statements.writing.log import Log

KEPT: Final = 10_000
"""Numbers of the log for which it is remembered what went."""

BY_PASSAGE: Final = "MATCH (s:Statement) WHERE s.passage IN $uids RETURN properties(s) AS kept"
BY_SUBJECT: Final = "MATCH (s:Statement) WHERE s.about IN $uids RETURN properties(s) AS kept"
BY_SOURCE: Final = "MATCH (s:Statement) WHERE s.source IN $uids RETURN properties(s) AS kept"
BY_TARGET: Final = "MATCH (s:Statement) WHERE s.target IN $uids RETURN properties(s) AS kept"
PUT: Final = "UNWIND $rows AS r MERGE (s:Statement {uid: r.uid}) SET s = r"
REMOVE: Final = "UNWIND $uids AS uid MATCH (s:Statement {uid: uid}) DELETE s"
TRIM: Final = "MATCH (s:Statement) WHERE s.stamp > $begin AND s.stamp <= $end AND s.gone IS NOT NULL DELETE s"
DROP: Final = (
    "MATCH (s:Statement) WHERE s.uid STARTS WITH $prefix AND s.passage IS NOT NULL WITH s LIMIT $limit DELETE s "
    "RETURN count(*) AS gone"
)
SINCE: Final = (
    "MATCH (s:Statement) WHERE s.stamp > $begin AND s.stamp <= $end "
    "RETURN s.seq AS seq, s.point AS passage, s.key AS key, s.name AS name, s.gone IS NOT NULL AS gone ORDER BY s.stamp"
)


@dataclass(frozen=True, slots=True)
class Statement:
    """Something that was said of an entity or, with a target and a type, of a relation."""

    source: str
    """Key of the entity, or of the one at the beginning, as it was said."""
    target: str = ""
    type: str = ""
    passage: str = ""
    """Id of the point whose passage says it; empty: nobody's, for good."""
    document: str = ""
    chunk: int = 0
    name: str = ""
    """Of the entity."""
    text: str = ""
    """As it stands in the passage."""
    digest: str = ""
    """Of the passage when it was said."""
    fields: str = ""
    """As text; see `knowledge.fields`."""
    seq: int = 0
    """When it was said, in the graph's log."""
    live: bool = True
    """Whether its passage stands; otherwise it waits for it, and does not count."""

    @property
    def relation(self) -> RelationKey | None:
        """The relation as it was said; None for an entity."""
        return RelationKey(self.source, self.target, self.type) if self.type else None

    def holds(self) -> Fields:
        return of_fields.loads(self.fields)


def uid(place: Place, graph: str, one: Statement) -> str:
    """Who says it, then about what. No id of a point and no key has a control character."""
    return place.inside(graph, "\x1f".join((one.passage, *subject(one))))


def subject(one: Statement) -> tuple[str, ...]:
    return (one.source, one.type, one.target) if one.type else (one.source,)


def about(place: Place, graph: str, key: str | RelationKey) -> str:
    """Id of what statements are about."""
    if isinstance(key, str):
        return place.inside(graph, key)
    return place.inside(graph, "\x1f".join((key.source, key.type, key.target)))


async def by_passage(transaction: Transaction, uids: Sequence[str]) -> list[Statement]:
    """What passages say, of these ids in the store."""
    return await _read(transaction, BY_PASSAGE, uids)


async def by_subject(transaction: Transaction, uids: Sequence[str]) -> list[Statement]:
    """What is said about entities or relations; see `about`."""
    return await _read(transaction, BY_SUBJECT, uids)


async def by_end(transaction: Transaction, uids: Sequence[str]) -> list[Statement]:
    """What is said about relations that begin or end at entities, each once."""
    found = {
        (one.passage, subject(one)): one
        for statement in (BY_SOURCE, BY_TARGET)
        for one in await _read(transaction, statement, uids)
    }
    return list(found.values())


async def put(transaction: Transaction, place: Place, graph: str, statements: Sequence[Statement]) -> None:
    if statements:
        rows = [_row(place, graph, one) for one in statements]
        await transaction.run(PUT, rows=sorted(rows, key=lambda row: str(row["uid"])))


async def remove(transaction: Transaction, place: Place, graph: str, log: Log, statements: Sequence[Statement]) -> None:
    """Removes statements; that a passage's mention went is remembered in the log."""
    mentions = [one for one in statements if one.passage and not one.type]
    others = sorted(uid(place, graph, one) for one in statements if not one.passage or one.type)
    if others:
        await transaction.run(REMOVE, uids=others)
    if mentions:
        rows = [
            _gone(place, graph, one, log.next()) for one in sorted(mentions, key=lambda one: uid(place, graph, one))
        ]
        await transaction.run(PUT, rows=rows)
    if log.last - log.floor > 2 * KEPT:
        begin, log.floor = log.floor, log.last - KEPT
        await transaction.run(TRIM, begin=logs.stamp(place, graph, begin), end=logs.stamp(place, graph, log.floor))


async def drop(transaction: Transaction, place: Place, graph: str, log: Log, limit: int) -> bool:
    """Removes up to `limit` of the statements of passages; True when there was none left."""
    rows = await transaction.run(DROP, prefix=place.inside(graph), limit=limit)
    if not rows or not rows[0]["gone"]:
        return True
    # Not each of them is remembered: whoever follows the log begins anew.
    log.floor = log.next()
    return False


async def _read(transaction: Transaction, statement: str, uids: Sequence[str]) -> list[Statement]:
    if not uids:
        return []
    rows = [row["kept"] for row in await transaction.run(statement, uids=uids)]
    return [
        Statement(
            row["key"],
            row.get("target_key") or "",
            row.get("type") or "",
            row.get("point") or "",
            row["document"],
            row["chunk"],
            row["name"],
            row["text"],
            row["digest"],
            row["fields"],
            row["seq"],
            row["live"],
        )
        for row in rows
    ]


def _row(place: Place, graph: str, one: Statement) -> dict[str, Any]:
    row: dict[str, Any] = {
        "uid": uid(place, graph, one),
        "graph": graph,
        "about": about(place, graph, one.relation or one.source),
        "key": one.source,
        "document": one.document,
        "chunk": one.chunk,
        "name": one.name,
        "text": one.text,
        "digest": one.digest,
        "fields": one.fields,
        "seq": one.seq,
        "live": one.live,
    }
    if one.passage:
        row |= {"point": one.passage, "passage": place.inside(graph, one.passage)}
    if one.type:
        row |= {
            "source": place.inside(graph, one.source),
            "target": place.inside(graph, one.target),
            "target_key": one.target,
            "type": one.type,
        }
    elif one.passage:
        row["stamp"] = logs.stamp(place, graph, one.seq)
    return row


def _gone(place: Place, graph: str, one: Statement, seq: int) -> dict[str, Any]:
    stamp = logs.stamp(place, graph, seq)
    return {
        "uid": uid(place, graph, one),
        "graph": graph,
        "key": one.source,
        "point": one.passage,
        "name": one.name,
        "seq": seq,
        "stamp": stamp,
        "gone": True,
    }
