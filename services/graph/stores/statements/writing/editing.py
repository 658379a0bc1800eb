"""What callers write and delete by hand."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from services.graph.extraction.text import normal_form
from services.graph.model import (
    MENTIONED_WITH,
    Deleted,
    Evidence,
    NewEntity,
    NewRelation,
    Refusal,
    RelationKey,
    Stored,
)
from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place
from services.graph.stores.statements.writing import entities, given, groups, log, merging, passages, relations, turn
from services.graph.stores.statements.writing.groups import Groups
from services.graph.stores.statements.writing.stating import Stating, found, places

PASSAGE_NOT_FOUND: Final = "PASSAGE_NOT_FOUND"
RELATION_NOT_FOUND: Final = "RELATION_NOT_FOUND"
DERIVED: Final = "DERIVED"


async def upsert_entities(transaction: Transaction, place: Place, graph: str, batch: Sequence[NewEntity]) -> Stored:
    """Joins what is said of each entity to what is known of it."""
    await turn.take(transaction, place, graph)
    where = await passages.at(transaction, place, graph, places(one.mentions for one in batch))
    refused = _without_passage([one.mentions for one in batch], where)
    out = {one.place for one in refused}
    stored = [one for number, one in enumerate(batch) if number not in out]
    stating = Stating(transaction, place, graph, await log.read(transaction, place, graph))
    mentions = [found(one.mentions, where) for one in stored]
    await stating.read([one.key for one in stored], {uid for all_ in mentions for uid, _ in all_})
    for one, said in zip(stored, mentions, strict=True):
        stating.entity(one, said)
    outcome = await stating.write()
    keys = ["" if number in out else stating.meaning.root(one.key) for number, one in enumerate(batch)]
    return Stored(keys, len(outcome.created & set(keys)), refused)


async def upsert_relations(transaction: Transaction, place: Place, graph: str, batch: Sequence[NewRelation]) -> Stored:
    """Joins what is said of each relation to what is known of it; makes the ends that are missing."""
    await turn.take(transaction, place, graph)
    where = await passages.at(transaction, place, graph, places(one.mentions for one in batch))
    refused = _without_passage([one.mentions for one in batch], where)
    out = {one.place for one in refused}
    stored = [one for number, one in enumerate(batch) if number not in out]
    keys = await _keys(transaction, place, graph, {end for one in stored for end in (one.source, one.target)})
    keyed = [RelationKey(keys[one.source], keys[one.target], one.type) for one in stored]
    stating = Stating(transaction, place, graph, await log.read(transaction, place, graph))
    mentions = [found(one.mentions, where) for one in stored]
    await stating.read([*keyed, *keys.values()], {uid for all_ in mentions for uid, _ in all_})
    for key, one, said in zip(keyed, stored, mentions, strict=True):
        stating.relation(key, one, said)
    outcome = await stating.write()
    return Stored([], outcome.relations, refused)


async def delete_entities(transaction: Transaction, place: Place, graph: str, keys: Sequence[str]) -> Deleted:
    """Takes back everything that was said by hand of entities, and of relations at them."""
    await turn.take(transaction, place, graph)
    meaning = await groups.of(transaction, place, graph, keys)
    roots = {meaning.root(key) for key in keys}
    there = await entities.touched(transaction, (place.inside(graph, root) for root in roots))
    going = {root for root in roots if place.inside(graph, root) in there}
    members = sorted(place.inside(graph, key) for root in going for key in meaning.members(root))
    said = [*await given.by_subject(transaction, members), *await given.by_end(transaction, members)]
    stating = Stating(transaction, place, graph, await log.read(transaction, place, graph))
    await stating.read(
        {one.relation or one.source for one in said} | going,
        {place.inside(graph, one.passage) for one in said if one.passage},
    )
    stating.take_back(said)
    outcome = await stating.write(going)
    deleted = going - outcome.there
    await merging.dissolve(transaction, place, graph, meaning, deleted)
    return Deleted(
        [key for key in keys if meaning.root(key) in deleted],
        [key for key in keys if meaning.root(key) not in going],
        [key for key in keys if meaning.root(key) in going - deleted],
    )


async def delete_relations(
    transaction: Transaction, place: Place, graph: str, batch: Sequence[RelationKey]
) -> list[Refusal]:
    """Takes back everything that was said by hand of relations."""
    await turn.take(transaction, place, graph)
    meaning = await groups.of(transaction, place, graph, {key for one in batch for key in one[:2]})
    wanted = [RelationKey(meaning.root(one.source), meaning.root(one.target), one.type) for one in batch]
    # What relates two that are one now is not shown, and so not deleted: it is there again when the merge is undone.
    shown = set(wanted)
    said = [
        one
        for one in await given.by_subject(transaction, _abouts(place, graph, meaning, wanted))
        if one.relation is not None and relations.meant(meaning, one.relation) in shown
    ]
    stating = Stating(transaction, place, graph, await log.read(transaction, place, graph))
    await stating.read(
        {one.relation for one in said if one.relation is not None},
        {place.inside(graph, one.passage) for one in said if one.passage},
    )
    stating.take_back(said)
    await stating.write()
    there = {relations.meant(meaning, one.relation) for one in said if one.relation is not None}
    return [_not_deleted(number, one) for number, one in enumerate(wanted) if one not in there]


def _abouts(place: Place, graph: str, meaning: Groups, wanted: Iterable[RelationKey]) -> list[str]:
    return sorted(
        given.about(place, graph, RelationKey(source, target, one.type))
        for one in set(wanted)
        for source in meaning.members(one.source)
        for target in meaning.members(one.target)
    )


def _not_deleted(number: int, one: RelationKey) -> Refusal:
    if one.type == MENTIONED_WITH:
        return Refusal(number, DERIVED, "documents say this; it goes when they do")
    return Refusal(number, RELATION_NOT_FOUND, "there is no relation of this type between these two")


def _without_passage(batch: Sequence[Sequence[Evidence]], where: Mapping[tuple[str, int], str]) -> list[Refusal]:
    refused: list[Refusal] = []
    for number, mentions in enumerate(batch):
        missing = next((one for one in mentions if (one.document, one.chunk) not in where), None)
        if missing is not None:
            text = (
                f"the graph has no chunk {missing.chunk} of the document {missing.document!r}: ingest it, wait until "
                "the graph has followed, or leave the mention out"
            )
            refused.append(Refusal(number, PASSAGE_NOT_FOUND, text))
    return refused


async def _keys(transaction: Transaction, place: Place, graph: str, names: Iterable[str]) -> Mapping[str, str]:
    """The keys that names mean: themselves where there is such a key, else their normal form."""
    asked = sorted(set(names))
    there = await entities.touched(transaction, (place.inside(graph, name) for name in asked))
    merged = await groups.of(transaction, place, graph, asked)
    return {
        name: name if place.inside(graph, name) in there or name in merged.parts else normal_form(name) or name
        for name in asked
    }
