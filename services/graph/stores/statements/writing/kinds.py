"""Types of entities as labels, and of relations as types of their own: for raw Cypher, where a store takes such names
as values (`$(…)`), so that none is ever part of a statement's text.

The service itself reads the property `type`, on every store. A relation stands beside its `RELATES`, with the same
properties. Relations that followers derive have one type only and stand in `RELATES` alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from services.graph.model import MENTIONED_WITH, RelationKey
from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place
from services.graph.stores.statements import schema

_TAKEN: Final = frozenset({"RELATES", "MENTIONS", "NAMES", MENTIONED_WITH})
"""Types of relations that the service itself writes; one that a caller calls so stays a property."""

LABEL: Final = """
UNWIND $rows AS r MATCH (e:Entity {uid: r.uid})
WITH e, r, [label IN labels(e) WHERE label <> 'Entity' AND label <> r.label] AS old
REMOVE e:$(old)
WITH e, r WHERE r.label <> ''
SET e:$(r.label)
"""
UNTYPE: Final = """
UNWIND $rows AS r MATCH (a:Entity {uid: r.source})-[x]->(b:Entity {uid: r.target})
WHERE x.uid = r.uid AND type(x) <> 'RELATES' DELETE x
"""
TYPE: Final = """
UNWIND $rows AS r MATCH (a:Entity {uid: r.source}) MATCH (b:Entity {uid: r.target})
CREATE (a)-[x:$(r.all.type)]->(b) SET x = r.all
"""


async def label(transaction: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Gives entities (`uid`, and `all` their properties) the label of their type, and takes that of another."""
    if rows and transaction.kinds:
        types = [(row["uid"], row["all"]["type"]) for row in rows]
        await transaction.run(
            LABEL, rows=[{"uid": uid, "label": "" if type_ in schema.LABELS else type_} for uid, type_ in types]
        )


async def relate(
    transaction: Transaction,
    place: Place,
    graph: str,
    relations: Mapping[str, RelationKey],
    gone: Iterable[str],
    standing: Mapping[str, Mapping[str, Any]],
) -> None:
    """Brings the typed twins of some relations, by their ids, in line. `standing`: those that there are now, with all
    their properties; `gone`: those that are to have no twin, or a new one."""
    if not transaction.kinds:
        return

    def rows(uids: Iterable[str]) -> list[dict[str, Any]]:
        return [
            {
                "uid": uid,
                "source": place.inside(graph, relations[uid].source),
                "target": place.inside(graph, relations[uid].target),
                "all": standing.get(uid, {}),
            }
            for uid in sorted(uids)
            if relations[uid].type not in _TAKEN
        ]

    if old := rows(gone):
        await transaction.run(UNTYPE, rows=old)
    if new := rows(standing):
        await transaction.run(TYPE, rows=new)
