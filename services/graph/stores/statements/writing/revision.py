"""What a change of passages, statements or merges makes of a graph.

Mentions, relations and names are the same function of what was said before and after. Both are worked out here, and
the difference is written, in batches: nodes first, relations second, each sorted by its id. So what is left after
something is gone is what would be there had it never come.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.graph.knowledge import said as of_said
from services.graph.knowledge.said import Edge, Said
from services.graph.model import RelationKey
from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place
from services.graph.stores.statements.writing import entities, passages, relations
from services.graph.stores.statements.writing.entities import Standing
from services.graph.stores.statements.writing.groups import Groups

UNLINK: Final = """
UNWIND $rows AS r MATCH (p:Passage {uid: r.passage})-[m:MENTIONS]->(e:Entity {uid: r.entity}) DELETE m
"""
LINK: Final = """
UNWIND $rows AS r MATCH (p:Passage {uid: r.passage}) MATCH (e:Entity {uid: r.entity})
CREATE (p)-[:MENTIONS {name: r.name, form: r.form, weight: r.weight, said: r.said, document: r.document,
                       chunk: r.chunk}]->(e)
"""


@dataclass(slots=True)
class Shift:
    """A passage before and after; None: there is none."""

    before: Said | None
    after: Said | None


@dataclass(slots=True)
class Change:
    """Everything that changes at once."""

    passages: Mapping[str, Shift] = field(default_factory=dict)
    """By their ids in the store."""
    before: Groups = field(default_factory=Groups)
    """What the keys meant that any of this is about."""
    after: Groups = field(default_factory=Groups)
    entities: set[str] = field(default_factory=set)
    """Keys of entities, before or after, of which statements say something else now."""
    relations: set[RelationKey] = field(default_factory=set)
    """The same of relations."""


@dataclass(slots=True)
class Outcome:
    """What became of it."""

    created: set[str] = field(default_factory=set)
    """Keys of entities that are new."""
    there: set[str] = field(default_factory=set)
    """Keys of entities that were changed and are there."""
    relations: int = 0
    """Relations with statements that are new."""


async def revise(transaction: Transaction, place: Place, graph: str, change: Change) -> Outcome:
    """Writes what the change makes of mentions, entities and relations. The statements of now are in the store."""
    outcome = Outcome()
    links = _Links(place, graph, change)
    reviewed = {place.inside(graph, key): key for key in change.entities}
    standing = await entities.touched(transaction, links.touched | reviewed.keys())
    skip = len(place.inside(graph))
    after = {uid: standing.get(uid, Standing()) for uid in sorted(links.touched | reviewed.keys())}
    doubtful = links.count(after)
    looked_at = set(change.entities)
    # One that comes back brings what was merged into it; one without any mention is called what it was given.
    looked_at |= {uid[skip:] for uid in links.touched - standing.keys() if len(change.after.members(uid[skip:])) > 1}
    looked_at |= {uid[skip:] for uid in links.touched if after[uid].mentions <= 0 and after[uid].manual}
    # Names that are merged now mean no entity of their own, whatever is said of them.
    live = {key for key in looked_at if change.after.root(key) == key}
    views = await entities.views(transaction, place, graph, change.after, live)
    rows: list[Mapping[str, Any]] = []
    bare: list[Mapping[str, Any]] = []
    counted: dict[str, Standing] = {}
    gone: set[str] = set()
    for uid, one in after.items():
        key = uid[skip:]
        view = views.get(key)
        manual = view.manual if view is not None else one.manual and uid not in reviewed
        if one.mentions <= 0 and not manual:
            gone.add(uid)
            continue
        outcome.there.add(key)
        if uid not in standing:
            outcome.created.add(key)
        if view is None and uid in standing:
            counted[uid] = one
        elif view is None:
            bare.append(entities.row(place, graph, key, entities.View(), one))
        else:
            rows.append(entities.row(place, graph, key, view, one))

    await passages.put(transaction, place, graph, links.kept, links.new)
    await entities.put(transaction, bare, bare=True)
    await entities.put(transaction, rows)
    await entities.count(transaction, counted)
    await links.write(transaction)
    await relations.weigh(transaction, place, graph, links.together)
    outcome.relations = await relations.review(transaction, place, graph, change.after, change.relations)
    await passages.remove(transaction, links.removed)
    await entities.alias(
        transaction,
        place,
        graph,
        {key: view for key, view in views.items() if key in outcome.there},
        {uid[skip:] for uid in gone & standing.keys()},
    )
    await entities.remove(transaction, gone & standing.keys())
    await _rename(transaction, after, views, doubtful - gone, skip)
    return outcome


async def _rename(
    transaction: Transaction,
    after: Mapping[str, Standing],
    views: Mapping[str, entities.View],
    doubtful: Iterable[str],
    skip: int,
) -> None:
    """Names that depend on the mentions that are left."""
    forms = await entities.forms(transaction, doubtful)
    renamed: dict[str, Standing] = {}
    for uid in doubtful:
        one = after[uid]
        view = views.get(uid[skip:])
        given = view.name if view is not None else one.name if one.named else ""
        chosen = forms.get(uid, "")
        called = view.called if view is not None else ""
        renamed[uid] = Standing(one.mentions, chosen, given or chosen[1:] or called or uid[skip:], named=True)
    await entities.count(transaction, renamed)


class _Links:
    """Mentions before and after, and what follows from them."""

    def __init__(self, place: Place, graph: str, change: Change) -> None:
        self._old: dict[tuple[str, str], Edge] = {}
        self._new: dict[tuple[str, str], Edge] = {}
        self._where: dict[str, tuple[str, int]] = {}
        self.together: Counter[tuple[str, str]] = Counter()
        """By how many sentences more, or fewer, two entities are named together."""
        self.kept: dict[str, Said] = {}
        """Passages that came or changed themselves."""
        self.new: list[str] = []
        self.removed: list[str] = []
        moved: set[str] = set()
        for uid, shift in change.passages.items():
            if shift.before is not None:
                for key, edge in of_said.edges(shift.before, change.before.root).items():
                    self._old[uid, place.inside(graph, key)] = edge
                self.together.subtract(of_said.pairs(shift.before, change.before.root))
            if shift.after is None:
                self.removed.append(uid)
                continue
            for key, edge in of_said.edges(shift.after, change.after.root).items():
                self._new[uid, place.inside(graph, key)] = edge
            self.together.update(of_said.pairs(shift.after, change.after.root))
            self._where[uid] = shift.after.document, shift.after.index
            if shift.before is None:
                self.new.append(uid)
            if shift.before is None or shift.before.telling(()) != shift.after.telling(()):
                self.kept[uid] = shift.after
            if shift.before is not None and (shift.before.document, shift.before.index) != self._where[uid]:
                # Mentions carry their place.
                moved.add(uid)
        self._unlinked = [pair for pair in self._old if pair[0] in moved or self._new.get(pair) != self._old[pair]]
        self._linked = [pair for pair in self._new if pair[0] in moved or self._new[pair] != self._old.get(pair)]
        self.touched = {entity for _, entity in (*self._unlinked, *self._linked)}

    def count(self, standing: Mapping[str, Standing]) -> set[str]:
        """Counts the mentions that come and go. Returns the entities whose name is in doubt: the mention that named
        them may be one that goes, and another one like it may come or stay."""
        lost: dict[str, set[str]] = {}
        for pair in self._unlinked:
            standing[pair[1]].mentions -= 1
            lost.setdefault(pair[1], set()).add(self._old[pair].form)
        for pair in self._linked:
            one = standing[pair[1]]
            one.mentions += 1
            written = self._new[pair].form
            one.form = min(one.form, written) if one.form else written
        return {uid for uid, forms in lost.items() if standing[uid].form in forms}

    async def write(self, transaction: Transaction) -> None:
        # A passage that goes takes its mentions with it.
        going = set(self.removed)
        away = [pair for pair in self._unlinked if pair[0] not in going]
        if away:
            rows = [{"passage": passage, "entity": entity} for passage, entity in sorted(away, key=_by_entity)]
            await transaction.run(UNLINK, rows=rows)
        if self._linked:
            come = [self._row(pair) for pair in sorted(self._linked, key=_by_entity)]
            await transaction.run(LINK, rows=come)

    def _row(self, pair: tuple[str, str]) -> dict[str, Any]:
        edge = self._new[pair]
        document, chunk = self._where[pair[0]]
        return {
            "passage": pair[0],
            "entity": pair[1],
            "name": edge.name,
            "form": edge.form,
            "weight": edge.weight,
            "said": list(edge.said),
            "document": document,
            "chunk": chunk,
        }


def _by_entity(pair: tuple[str, str]) -> tuple[str, str]:
    return pair[1], pair[0]
