"""Relations as they follow from sentences and statements. Each has a unique id, which is indexed: to look for it among
the relations of its ends would read all those of an entity that has many."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from services.graph.knowledge import fields as of_fields
from services.graph.model import MENTIONED_WITH, RelationKey
from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place
from services.graph.stores.statements.writing import given, kinds
from services.graph.stores.statements.writing.groups import Groups

STANDING: Final = "MATCH ()-[r:RELATES]->() WHERE r.uid IN $uids RETURN r.uid AS uid, r.weight AS weight"
WEIGH: Final = "MATCH ()-[r:RELATES]->() WHERE r.uid IN $uids SET r.weight = $weights[r.uid]"
REPLACE: Final = "MATCH ()-[r:RELATES]->() WHERE r.uid IN $uids SET r = $all[r.uid]"
_ENDS: Final = "UNWIND $rows AS r MATCH (a:Entity {uid: r.source}) MATCH (b:Entity {uid: r.target}) "
CREATE: Final = _ENDS + "CREATE (a)-[x:RELATES {uid: r.uid}]->(b) SET x = r.all"
# What has no properties but its own is written once, not twice.
CREATE_BARE: Final = _ENDS + (
    "CREATE (a)-[:RELATES {uid: r.uid, graph: r.all.graph, type: r.all.type, weight: r.all.weight, manual: false}]->(b)"
)
REMOVE: Final = "MATCH ()-[r:RELATES]->() WHERE r.uid IN $uids DELETE r"

_MANY: Final = 10_000
"""Pairs of keys that are looked up for the relations between two merged entities, at a time."""


async def weigh(transaction: Transaction, place: Place, graph: str, changes: Counter[tuple[str, str]]) -> None:
    """Changes by how many sentences pairs of entities are named together. Both ends stand."""
    by_uid = {given.about(place, graph, RelationKey(*pair, MENTIONED_WITH)): pair for pair in changes if changes[pair]}
    if not by_uid:
        return
    rows = await transaction.run(STANDING, uids=sorted(by_uid))
    weights = {row["uid"]: row["weight"] + changes[by_uid[row["uid"]]] for row in rows}
    await _remove(transaction, [uid for uid, weight in weights.items() if weight <= 0])
    kept = {uid: weight for uid, weight in weights.items() if weight > 0}
    if kept:
        await transaction.run(WEIGH, uids=sorted(kept), weights=kept)
    new = {
        uid: _all(uid, graph, MENTIONED_WITH, float(changes[pair]))
        for uid, pair in by_uid.items()
        if uid not in weights and changes[pair] > 0
    }
    await _create(transaction, place, graph, {uid: by_uid[uid] for uid in new}, new, CREATE_BARE)


async def review(
    transaction: Transaction, place: Place, graph: str, groups: Groups, relations: Iterable[RelationKey]
) -> int:
    """Brings relations that statements are about in line with them. Returns how many are new."""
    by_uid = {given.about(place, graph, one): one for one in relations}
    if not by_uid:
        return 0
    said = await _said(transaction, place, graph, groups, by_uid.values())
    rows = await transaction.run(STANDING, uids=sorted(by_uid))
    standing = {row["uid"] for row in rows}
    wanted = {uid: _of_statements(uid, graph, one, said[one]) for uid, one in by_uid.items() if said.get(one)}
    await _remove(transaction, standing - wanted.keys())
    changed = {uid: all_ for uid, all_ in wanted.items() if uid in standing}
    if changed:
        await transaction.run(REPLACE, uids=sorted(changed), all=changed)
    new = {uid: all_ for uid, all_ in wanted.items() if uid not in standing}
    await _create(transaction, place, graph, {uid: (by_uid[uid].source, by_uid[uid].target) for uid in new}, new)
    await kinds.relate(transaction, place, graph, by_uid, standing, wanted)
    return len(new)


def meant(groups: Groups, relation: RelationKey) -> RelationKey | None:
    """The relation between the entities that the ends of one mean; None when two things it relates are one now."""
    source, target = groups.root(relation.source), groups.root(relation.target)
    if source == target and relation.source != relation.target:
        return None
    return RelationKey(source, target, relation.type)


async def _said(
    transaction: Transaction, place: Place, graph: str, groups: Groups, relations: Iterable[RelationKey]
) -> dict[RelationKey, list[given.Statement]]:
    """What is said of relations now, under whatever keys."""
    uids = [
        given.about(place, graph, RelationKey(source, target, one.type))
        for one in relations
        for source in groups.members(one.source)
        for target in groups.members(one.target)
    ]
    found: dict[RelationKey, list[given.Statement]] = {}
    for begin in range(0, len(uids), _MANY):
        for one in await given.by_subject(transaction, uids[begin : begin + _MANY]):
            relation = None if one.relation is None else meant(groups, one.relation)
            if one.live and relation is not None:
                found.setdefault(relation, []).append(one)
    return found


def _of_statements(
    uid: str, graph: str, relation: RelationKey, statements: Sequence[given.Statement]
) -> dict[str, Any]:
    known = of_fields.joined(one.holds() for one in statements)
    return _all(
        uid,
        graph,
        relation.type,
        1.0 if known.weight is None else float(known.weight.value),
        known.present(),
        manual=any(not one.passage for one in statements),
    )


def _all(
    uid: str,
    graph: str,
    type_: str,
    weight: float,
    properties: Mapping[str, Any] | None = None,
    *,
    manual: bool = False,
) -> dict[str, Any]:
    return {**(properties or {}), "uid": uid, "graph": graph, "type": type_, "weight": weight, "manual": manual}


async def _create(
    transaction: Transaction,
    place: Place,
    graph: str,
    ends: Mapping[str, tuple[str, str]],
    all_: Mapping[str, Mapping[str, Any]],
    statement: str = CREATE,
) -> None:
    rows = [
        {
            "uid": uid,
            "source": place.inside(graph, source),
            "target": place.inside(graph, target),
            "all": all_[uid],
        }
        for uid, (source, target) in sorted(ends.items())
    ]
    if rows:
        await transaction.run(statement, rows=rows)


async def _remove(transaction: Transaction, uids: Iterable[str]) -> None:
    asked = sorted(uids)
    if asked:
        await transaction.run(REMOVE, uids=asked)
