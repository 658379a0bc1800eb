"""Statements of one transaction, gathered and then written with what follows from them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from services.graph.knowledge import fields as of_fields
from services.graph.knowledge.fields import Fields
from services.graph.knowledge.said import Said
from services.graph.model import Evidence, NewEntity, NewRelation, RelationKey
from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place
from services.graph.stores.statements.writing import given, groups, log, relations, telling
from services.graph.stores.statements.writing.given import Statement
from services.graph.stores.statements.writing.groups import Groups
from services.graph.stores.statements.writing.revision import Change, Outcome, Shift, revise

Subject = str | RelationKey


class Stating:
    """What was said until now of some things and by some passages, and what is said or taken back in addition."""

    def __init__(self, transaction: Transaction, place: Place, graph: str, standing: log.Log) -> None:
        self._transaction = transaction
        self._place = place
        self._graph = graph
        self._log = standing
        self._passages: dict[str, Said] = {}
        self._there: dict[tuple[str, ...], Statement] = {}
        self._known: dict[Subject, Fields] = {}
        self._put: dict[tuple[str, ...], Statement] = {}
        self._gone: dict[tuple[str, ...], Statement] = {}
        self.meaning = Groups()
        """What the keys mean that were read of."""

    async def read(self, subjects: Iterable[Subject], passages: Iterable[str]) -> None:
        """Reads what is said of `subjects` and by `passages`, which are ids in the store."""
        asked = set(subjects)
        self._passages, by_passage = await telling.load(self._transaction, self._place, self._graph, passages)
        uids = sorted(given.about(self._place, self._graph, one) for one in asked)
        about = await given.by_subject(self._transaction, uids)
        by_subject: dict[Subject, list[Fields]] = {}
        for one in about:
            # Those that wait for their passages too: what is said now is the last word, also when they are back.
            by_subject.setdefault(one.relation or one.source, []).append(one.holds())
        self._known = {one: of_fields.joined(by_subject.get(one, ())) for one in asked}
        for one in (*about, *(one for all_ in by_passage.values() for one in all_)):
            self._there[_id(one)] = one
        keys = {key for one in asked for key in ((one,) if isinstance(one, str) else one[:2])}
        if self._log.merges:
            keys = keys.union(*(one.keys for one in self._passages.values()))
            self.meaning = await groups.of(self._transaction, self._place, self._graph, keys)

    def passage(self, uid: str) -> Said:
        return self._passages[uid]

    def entity(self, new: NewEntity, mentions: Sequence[tuple[str, Evidence]]) -> None:
        """Says something of an entity; `mentions`: a passage's id in the store, with what words. None: for good."""
        for blank in self._blanks(Statement(new.key, name=new.name or new.key), mentions):
            before = self._there.get(_id(blank), blank)
            after = of_fields.stated(
                before.holds(),
                self._known[new.key],
                self._log.last + 1,
                name=new.name,
                type=new.type,
                aliases=new.aliases,
                properties=new.properties,
            )
            name = new.name or before.name
            self._say(replace(before, name=name, text=blank.text or before.text, fields=of_fields.dumps(after)))

    def relation(self, key: RelationKey, new: NewRelation, mentions: Sequence[tuple[str, Evidence]]) -> None:
        """Says something of a relation, and that there are its ends."""
        for blank in self._blanks(Statement(key.source, key.target, key.type), mentions):
            before = self._there.get(_id(blank), blank)
            after = of_fields.stated(
                before.holds(),
                self._known[key],
                self._log.last + 1,
                weight=new.weight,
                properties=new.properties,
            )
            self._say(replace(before, text=blank.text or before.text, fields=of_fields.dumps(after)))
            for end, name in ((key.source, new.source), (key.target, new.target)):
                said = replace(blank, source=end, target="", type="", name=name, text="")
                if _id(said) not in self._there and _id(said) not in self._put:
                    self._say(said)

    def take_back(self, statements: Iterable[Statement]) -> None:
        for one in statements:
            self._gone[_id(one)] = one

    async def write(self, entities: Iterable[str] = (), relations_: Iterable[RelationKey] = ()) -> Outcome:
        """Writes everything; `entities` and `relations_` are looked at too."""
        put, gone = list(self._put.values()), list(self._gone.values())
        if put or gone:
            await given.remove(self._transaction, self._place, self._graph, self._log, gone)
            await given.put(self._transaction, self._place, self._graph, put)
            await log.write(self._transaction, self._place, self._graph, self._log)
        left = {key: one for key, one in {**self._there, **self._put}.items() if key not in self._gone}
        by_passage: dict[str, list[Statement]] = {}
        for one in left.values():
            if one.passage:
                by_passage.setdefault(self._place.inside(self._graph, one.passage), []).append(one)
        after = telling.told({uid: one.telling(()) for uid, one in self._passages.items()}, by_passage)
        changed = (*put, *gone)
        meant = {relations.meant(self.meaning, one.relation) for one in changed if one.relation is not None}
        return await revise(
            self._transaction,
            self._place,
            self._graph,
            Change(
                {uid: Shift(one, after[uid]) for uid, one in self._passages.items() if one != after[uid]},
                self.meaning,
                self.meaning,
                {self.meaning.root(one.source) for one in changed if one.relation is None} | set(entities),
                {one for one in meant if one is not None} | set(relations_),
            ),
        )

    def _blanks(self, one: Statement, mentions: Sequence[tuple[str, Evidence]]) -> list[Statement]:
        """The statement for each passage that makes it, or for nobody."""
        if not mentions:
            return [one]
        found: list[Statement] = []
        for uid, evidence in mentions:
            passage = self._passages[uid]
            found.append(
                replace(
                    one,
                    passage=passage.id,
                    document=passage.document,
                    chunk=passage.index,
                    digest=passage.digest,
                    text=evidence.text,
                )
            )
        return found

    def _say(self, one: Statement) -> None:
        """Keeps a statement, unless it is what was said before."""
        if self._there.get(_id(one)) == one:
            return
        one = replace(one, seq=self._log.next())
        self._put[_id(one)] = self._there[_id(one)] = one


def _id(one: Statement) -> tuple[str, ...]:
    return (one.passage, *given.subject(one))


def places(batch: Iterable[Sequence[Evidence]]) -> set[tuple[str, int]]:
    """Where the passages stand that some mentions name."""
    return {(one.document, one.chunk) for mentions in batch for one in mentions}


def found(mentions: Sequence[Evidence], where: Mapping[tuple[str, int], str]) -> list[tuple[str, Evidence]]:
    """Mentions by their passages' ids in the store; of one passage the last."""
    return list({where[one.document, one.chunk]: one for one in mentions}.items())
