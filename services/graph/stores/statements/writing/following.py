"""What followers do: passages come, change and go."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from services.graph.knowledge.said import Said, said_by
from services.graph.model import Passage, RelationKey
from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place
from services.graph.stores.statements.writing import entities, given, groups, log, passages, relations, telling, turn
from services.graph.stores.statements.writing.given import Statement
from services.graph.stores.statements.writing.groups import Groups
from services.graph.stores.statements.writing.revision import Change, Shift, revise


async def apply(
    transaction: Transaction, place: Place, graph: str, upserts: Sequence[Passage], deletes: Sequence[str]
) -> int:
    """Makes the graph hold `upserts` and not `deletes` (ids that are in one of them only, and once). Returns by how
    many its passages grew.

    What callers said of a passage goes with it, and when its text changes.
    """
    await turn.take(transaction, place, graph)
    coming = {place.inside(graph, one.id): said_by(one) for one in upserts}
    going = {place.inside(graph, one) for one in deletes}
    before, said = await telling.load(transaction, place, graph, coming.keys() | going)
    kept, lost = _kept(coming, said)
    return await _replace(transaction, place, graph, before, telling.told(coming, kept), said, kept, lost)


async def clear(transaction: Transaction, place: Place, graph: str, limit: int) -> bool:
    """Removes up to `limit` passages; True when there was none left. What was said of them waits for them."""
    await turn.take(transaction, place, graph)
    going = await passages.some(transaction, place, graph, limit)
    if not going:
        return await entities.clear(transaction, place, graph, limit)
    before, said = await telling.load(transaction, place, graph, going)
    waiting = {uid: [replace(one, live=False) for one in statements] for uid, statements in said.items()}
    await _replace(transaction, place, graph, before, {}, said, waiting, [])
    return False


async def forget(transaction: Transaction, place: Place, graph: str, limit: int) -> bool:
    """Removes up to `limit` of the statements that wait for their passages; True when there was none left."""
    await turn.take(transaction, place, graph)
    standing = await log.read(transaction, place, graph)
    if await given.drop(transaction, place, graph, standing, limit):
        return True
    await log.write(transaction, place, graph, standing)
    return False


def _kept(
    coming: Mapping[str, Said], said: Mapping[str, Sequence[Statement]]
) -> tuple[dict[str, list[Statement]], list[Statement]]:
    """Of what is said: what holds from now on, by passage, and what does not any more."""
    kept: dict[str, list[Statement]] = {}
    lost: list[Statement] = []
    for uid, statements in said.items():
        passage = coming.get(uid)
        for one in statements:
            place = (one.document, one.chunk, one.digest)
            if passage is not None and place == (passage.document, passage.index, passage.digest):
                kept.setdefault(uid, []).append(replace(one, live=True))
            else:
                lost.append(one)
    return kept, lost


async def _replace(
    transaction: Transaction,
    place: Place,
    graph: str,
    before: Mapping[str, Said],
    after: Mapping[str, Said],
    said: Mapping[str, Sequence[Statement]],
    kept: Mapping[str, Sequence[Statement]],
    lost: Sequence[Statement],
) -> int:
    changed = [
        one for uid in kept for old, one in zip(_still(said[uid], kept[uid]), kept[uid], strict=True) if old != one
    ]
    standing = await log.read(transaction, place, graph)
    concerned = (*changed, *lost)
    meaning = await _meaning(transaction, place, graph, standing, (*before.values(), *after.values()), concerned)
    if lost:
        await given.remove(transaction, place, graph, standing, lost)
        await log.write(transaction, place, graph, standing)
    await given.put(transaction, place, graph, changed)
    await revise(
        transaction,
        place,
        graph,
        Change(
            {uid: Shift(before.get(uid), after.get(uid)) for uid in before.keys() | after.keys()},
            meaning,
            meaning,
            {meaning.root(one.source) for one in concerned if not one.type},
            _relations(meaning, concerned),
        ),
    )
    return len(after.keys() - before.keys()) - len(before.keys() - after.keys())


def _still(statements: Sequence[Statement], kept: Sequence[Statement]) -> list[Statement]:
    """Those of the statements that are kept, in their order."""
    by_subject = {given.subject(one): one for one in statements}
    return [by_subject[given.subject(one)] for one in kept]


def _relations(meaning: Groups, statements: Iterable[Statement]) -> set[RelationKey]:
    meant = {relations.meant(meaning, one.relation) for one in statements if one.relation is not None}
    return {one for one in meant if one is not None}


async def _meaning(
    transaction: Transaction,
    place: Place,
    graph: str,
    standing: log.Log,
    said: Iterable[Said],
    statements: Iterable[Statement],
) -> Groups:
    """What the keys mean; looked up only where anything was ever merged."""
    if not standing.merges:
        return Groups()
    keys = set().union(*(one.keys for one in said))
    for one in statements:
        keys |= {one.source, one.target} if one.type else {one.source}
    return await groups.of(transaction, place, graph, keys)
