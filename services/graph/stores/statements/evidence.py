"""The Cypher that reads who says something; the same on every store."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from services.graph.knowledge import said
from services.graph.model import MENTIONED_WITH, Evidence, RelationKey
from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place
from services.graph.stores.statements.writing import given, groups
from services.graph.stores.statements.writing.relations import meant

# From the entity, which has an index.
MENTIONS: Final = (
    "UNWIND $uids AS uid CALL { WITH uid MATCH (e:Entity {uid: uid})<-[m:MENTIONS]-(:Passage) "
    "RETURN e.key AS key, m.document AS document, m.chunk AS chunk, m.name AS text "
    "ORDER BY document, chunk LIMIT $each } RETURN key, document, chunk, text"
)
COUNTS: Final = "MATCH (e:Entity) WHERE e.uid IN $uids RETURN e.uid AS uid, e.mentions AS mentions"
# From the end that fewer passages mention.
TOGETHER: Final = (
    "UNWIND $rows AS row CALL { WITH row MATCH (e:Entity {uid: row.rarer})<-[:MENTIONS]-(p:Passage) "
    "MATCH (p)-[:MENTIONS]->(o:Entity) WHERE o.uid = row.other "
    "RETURN p.document AS document, p.index AS chunk, p.sentences AS sentences "
    "ORDER BY document, chunk LIMIT $most } RETURN row.number AS number, document, chunk, sentences"
)
_PASSAGES: Final = 300
"""Passages that mention both ends and are searched for the sentences that do."""
_AT_ONCE: Final = 20
"""Relations whose passages are held at a time."""


async def of_entities(
    transaction: Transaction, place: Place, graph: str, keys: Sequence[str], each: int
) -> dict[str, list[Evidence]]:
    found: dict[str, list[Evidence]] = {}
    uids = [place.inside(graph, key) for key in keys]
    for row in await transaction.run(MENTIONS, uids=uids, each=each):
        found.setdefault(row["key"], []).append(Evidence(row["document"], row["chunk"], row["text"]))
    return found


async def of_relations(
    transaction: Transaction, place: Place, graph: str, wanted: Sequence[RelationKey], each: int
) -> dict[RelationKey, list[Evidence]]:
    found = await _stated(transaction, place, graph, [one for one in wanted if one.type != MENTIONED_WITH])
    derived = [one for one in wanted if one.type == MENTIONED_WITH]
    for begin in range(0, len(derived), _AT_ONCE):
        found |= await _derived(transaction, place, graph, derived[begin : begin + _AT_ONCE])
    return {one: sorted(evidence)[:each] for one, evidence in found.items()}


async def _stated(
    transaction: Transaction, place: Place, graph: str, wanted: Sequence[RelationKey]
) -> dict[RelationKey, list[Evidence]]:
    """What callers said with a passage, under whatever keys the ends had then."""
    if not wanted:
        return {}
    known = await groups.of(transaction, place, graph, _ends(wanted))
    uids = {
        given.about(place, graph, RelationKey(source, target, one.type))
        for one in wanted
        for source in known.members(one.source)
        for target in known.members(one.target)
    }
    found: dict[RelationKey, list[Evidence]] = {}
    for one in await given.by_subject(transaction, sorted(uids)):
        relation = meant(known, one.relation) if one.relation is not None else None
        if one.live and one.passage and relation is not None:
            found.setdefault(relation, []).append(Evidence(one.document, one.chunk, one.text))
    return found


async def _derived(
    transaction: Transaction, place: Place, graph: str, wanted: Sequence[RelationKey]
) -> dict[RelationKey, list[Evidence]]:
    """The sentences that name both."""
    uids = sorted(place.inside(graph, key) for key in _ends(wanted))
    counts = {row["uid"]: row["mentions"] for row in await transaction.run(COUNTS, uids=uids)}
    rows = []
    for number, one in enumerate(wanted):
        ends = (place.inside(graph, one.source), place.inside(graph, one.target))
        rarer, other = sorted(ends, key=lambda uid: counts.get(uid, 0))
        rows.append({"number": number, "rarer": rarer, "other": other})
    passages = await transaction.run(TOGETHER, rows=rows, most=_PASSAGES)
    known = await groups.of(transaction, place, graph, _named(passages))
    found: dict[RelationKey, list[Evidence]] = {}
    for row in passages:
        one = wanted[row["number"]]
        pair = (min(one.source, one.target), max(one.source, one.target))
        found.setdefault(one, []).extend(
            Evidence(row["document"], row["chunk"], sentence.text)
            for sentence in said.sentences_from(row["sentences"])
            if pair in said.pairs_of(sentence, known.root)
        )
    return found


def _ends(wanted: Iterable[RelationKey]) -> set[str]:
    return {key for one in wanted for key in (one.source, one.target)}


def _named(passages: Sequence[Mapping[str, Any]]) -> set[str]:
    """The keys in the sentences of passages."""
    return {
        key
        for row in passages
        for sentence in said.sentences_from(row["sentences"])
        for names in sentence.names
        for key in names
    }
