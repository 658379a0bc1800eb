"""Entities that become one, and several again. A merge is a node; what it does follows from it, like all else."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from services.graph.model import Merge, RelationKey
from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place
from services.graph.stores.statements.writing import entities, given, groups, log, passages, relations, telling, turn
from services.graph.stores.statements.writing.groups import Groups, Part
from services.graph.stores.statements.writing.revision import Change, Shift, revise
from services.runtime.errors import AlreadyMerged, EntityNotFound, MergedSince, MergeNotFound

READ: Final = (
    "MATCH (m:Merge) WHERE m.uid IN $uids "
    "RETURN m.id AS id, m.graph AS graph, m.target AS target, m.sources AS sources, m.time AS time"
)
PUT: Final = (
    "MERGE (m:Merge {uid: $uid}) "
    "SET m.id = $id, m.graph = $graph, m.target = $target, m.sources = $sources, m.time = $time"
)
REMOVE: Final = "UNWIND $uids AS uid MATCH (m:Merge {uid: uid}) DELETE m"


async def merge(transaction: Transaction, place: Place, graph: str, new: Merge) -> None:
    """Makes the sources part of the target. Raises EntityNotFound, AlreadyMerged."""
    await turn.take(transaction, place, graph)
    keys = [new.target, *new.sources]
    before = await groups.of(transaction, place, graph, keys)
    for key in keys:
        if key in before.parts:
            raise AlreadyMerged(f"{key!r} is part of {before.root(key)!r}: name that one, or undo its merge")
    there = await entities.touched(transaction, (place.inside(graph, key) for key in keys))
    for key in keys:
        if place.inside(graph, key) not in there:
            raise EntityNotFound(f"no entity has the key {key!r}")
    names = {key: there[place.inside(graph, key)].name for key in keys}
    after = before.merged(Part(key, new.target, new.target, new.id, names[key]) for key in new.sources)
    await transaction.run(
        PUT,
        uid=place.inside(graph, new.id),
        id=new.id,
        graph=graph,
        target=new.target,
        sources=list(new.sources),
        time=new.time.isoformat(),
    )
    await _change(transaction, place, graph, before, after, new.sources, {new.target, *new.sources})


async def undo(transaction: Transaction, place: Place, graph: str, id: str) -> Merge:
    """Takes a merge back. Raises MergeNotFound, MergedSince."""
    await turn.take(transaction, place, graph)
    uid = place.inside(graph, id)
    rows = await transaction.run(READ, uids=[uid])
    if not rows:
        raise MergeNotFound(f"no merge of this graph has the id {id}, or it was undone")
    old = _merge(rows[0])
    before = await groups.of(transaction, place, graph, [old.target, *old.sources])
    if old.target in before.parts:
        raise MergedSince(f"{old.target!r} has become part of {before.root(old.target)!r} since: undo that merge first")
    after = before.parted(old.sources)
    await transaction.run(REMOVE, uids=[uid])
    await _change(transaction, place, graph, before, after, [old.target], {old.target, *old.sources})
    return old


async def dissolve(transaction: Transaction, place: Place, graph: str, meaning: Groups, gone: Iterable[str]) -> None:
    """Forgets the merges of entities that were deleted."""
    parts = [part for root in gone for key in meaning.members(root) if (part := meaning.parts.get(key)) is not None]
    if not parts:
        return
    await transaction.run(REMOVE, uids=sorted({place.inside(graph, part.merge) for part in parts}))
    left = Groups(part for part in meaning.parts.values() if part not in parts)
    await _keep(transaction, place, graph, meaning, left)


async def _change(
    transaction: Transaction,
    place: Place,
    graph: str,
    before: Groups,
    after: Groups,
    roots: Sequence[str],
    concerned: set[str],
) -> None:
    """Everything that `roots` were mentioned by or related to, as it is from now on."""
    uids = await passages.mentioning(transaction, place, graph, roots)
    said, _ = await telling.load(transaction, place, graph, uids)
    members = sorted(place.inside(graph, key) for root in roots for key in before.members(root))
    about = [one.relation for one in await given.by_end(transaction, members) if one.relation is not None]
    # What else these passages and relations name may have been merged too.
    others = {key for one in said.values() for key in one.keys} | {key for one in about for key in one[:2]}
    rest = await groups.of(transaction, place, graph, others)
    whole = Groups({**rest.parts, **before.parts}.values())
    new = Groups({**{key: part for key, part in rest.parts.items() if key not in before.parts}, **after.parts}.values())
    await _keep(transaction, place, graph, before, after)
    reviewed: set[RelationKey] = set()
    for relation in about:
        for meaning in (whole, new):
            meant = relations.meant(meaning, relation)
            if meant is not None:
                reviewed.add(meant)
    await revise(
        transaction,
        place,
        graph,
        Change({uid: Shift(one, one) for uid, one in said.items()}, whole, new, concerned, reviewed),
    )


async def _keep(transaction: Transaction, place: Place, graph: str, before: Groups, after: Groups) -> None:
    await groups.replace(transaction, place, graph, before, after)
    standing = await log.read(transaction, place, graph)
    standing.merged = standing.next()
    standing.merges += len(after.parts) - len(before.parts)
    await log.write(transaction, place, graph, standing)


def _merge(row: Mapping[str, Any]) -> Merge:
    return Merge(row["id"], row["graph"], row["target"], tuple(row["sources"]), datetime.fromisoformat(row["time"]))
