"""What is left of a history: documents, what was said by hand, and merges; and so what each operation must answer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from services.graph.extraction.names import names_of
from services.graph.extraction.text import normal_form
from services.graph.model import Evidence, Merge, NewEntity, NewRelation, RelationKey

Subject: TypeAlias = str | RelationKey
"""Key of an entity, or a relation, as it was said."""


class End(NamedTuple):
    """That there is an entity, because a relation was said of it."""

    key: str
    name: str


class Word(NamedTuple):
    """Something that was said, once."""

    number: int
    """Its place among all that was."""
    draft: NewEntity | NewRelation | End
    """Without its mentions."""
    words: str
    """Of the mention."""


class Told(NamedTuple):
    """What a batch of what callers say is answered."""

    refused: Sequence[int]
    """Places of those that name a document there is not."""
    keys: Sequence[str] = ()
    """Of entities, what each is part of now; empty for those that are refused."""
    created: int = 0


class Unsaid(NamedTuple):
    """What a deletion of entities is answered."""

    deleted: Sequence[str]
    missing: Sequence[str]
    derived: Sequence[str]


@dataclass
class Left:
    """What is left until now."""

    texts: dict[str, str] = field(default_factory=dict)
    """By document: its text, the first line its title."""
    shown: set[str] = field(default_factory=set)
    """Documents that the graph has; the others it lost by a reset."""
    said: dict[tuple[str, Subject], list[Word]] = field(default_factory=dict)
    """By the document that says it (empty: nobody, for good) and what it is about."""
    merges: dict[str, Merge] = field(default_factory=dict)
    """By id, in the order in which they were made."""
    names: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """By merge: what its sources were called then, by key."""
    count: int = 0

    # What there is.

    def root(self, key: str) -> str:
        """The key of what a key is part of."""
        into = {source: one.target for one in self.merges.values() for source in one.sources}
        while key in into:
            key = into[key]
        return key

    def there(self, key: str) -> bool:
        """Whether an entity has this key, and is no part of another."""
        return self.root(key) == key and key in self._roots()

    def words(self) -> list[tuple[str, Subject, Word]]:
        """Everything that was said and holds, in order."""
        found = [(passage, subject, one) for (passage, subject), all_ in self.said.items() for one in all_]
        return sorted(found, key=lambda one: one[2].number)

    def _roots(self) -> set[str]:
        found = {
            key.key
            for document in self.shown
            for title, text in [parted(self.texts[document])]
            for key in names_of(text, title, ())
        }
        found |= {subject for passage, subject in self.said if isinstance(subject, str) and self._live(passage)}
        return {self.root(key) for key in found}

    def _live(self, passage: str) -> bool:
        return not passage or passage in self.shown

    # What happens.

    def put(self, texts: Mapping[str, str | None]) -> None:
        for document, text in texts.items():
            if self.texts.get(document) != text:
                # What was said of it was said of this text.
                self._forget(one for one in self.said if one[0] == document)
            if text is None:
                self.texts.pop(document, None)
                self.shown.discard(document)
            else:
                self.texts[document] = text
                self.shown.add(document)

    def reset(self) -> None:
        self.shown = set()

    def lacking(self) -> dict[str, str]:
        """The documents that a reset took, with their texts."""
        return {document: text for document, text in self.texts.items() if document not in self.shown}

    def tell(self, entities: Sequence[NewEntity]) -> Told:
        refused = self._refused([one.mentions for one in entities])
        before = self._roots()
        for place, one in enumerate(entities):
            if place not in refused:
                for passage, words in _by(one.mentions):
                    self._say(passage, one.key, one, words)
        keys = ["" if place in refused else self.root(one.key) for place, one in enumerate(entities)]
        return Told(refused, keys, len({key for key in keys if key} - before))

    def relate(self, relations: Sequence[NewRelation]) -> Told:
        refused = self._refused([one.mentions for one in relations])
        before = self._related()
        for place, one in enumerate(relations):
            if place in refused:
                continue
            key = RelationKey(normal_form(one.source), normal_form(one.target), one.type)
            for passage, words in _by(one.mentions):
                self._say(passage, key, one, words)
                for end, name in ((key.source, one.source), (key.target, one.target)):
                    if (passage, end) not in self.said:
                        self._say(passage, end, End(end, name), "")
        return Told(refused, (), len(self._related() - before))

    def unsay(self, keys: Sequence[str]) -> Unsaid:
        meant = {key: self.root(key) for key in keys}
        going = set(meant.values()) & self._roots()
        self._forget(
            (passage, subject)
            for passage, subject in self.said
            if any(self.root(end) in going for end in ([subject] if isinstance(subject, str) else subject[:2]))
        )
        gone = going - self._roots()
        for one in [one for one in self.merges.values() if self.root(one.target) in gone]:
            self._part(one.id)
        return Unsaid(
            [key for key in keys if meant[key] in gone],
            [key for key in keys if meant[key] not in going],
            [key for key in keys if meant[key] in going - gone],
        )

    def unrelate(self, relations: Sequence[RelationKey]) -> list[int]:
        """Places of those that there are not."""
        wanted = [RelationKey(self.root(one.source), self.root(one.target), one.type) for one in relations]
        found = {
            (passage, subject): self._meant(subject)
            for passage, subject in self.said
            if isinstance(subject, RelationKey)
        }
        self._forget(one for one, meant in found.items() if meant in wanted)
        return [place for place, one in enumerate(wanted) if one not in found.values()]

    def join(self, merge: Merge, names: Mapping[str, str]) -> str:
        """What is wrong about it, by the error's reason; empty: it is done."""
        keys = [merge.target, *merge.sources]
        if any(self.root(key) != key for key in keys):
            return "ALREADY_MERGED"
        if not set(keys) <= self._roots():
            return "ENTITY_NOT_FOUND"
        self.merges[merge.id] = merge
        self.names[merge.id] = {key: names[key] for key in merge.sources}
        return ""

    def part(self, id: str) -> str:
        """The same of undoing one."""
        if self.root(self.merges[id].target) != self.merges[id].target:
            return "MERGED_SINCE"
        self._part(id)
        return ""

    def _part(self, id: str) -> None:
        del self.merges[id], self.names[id]

    def _say(self, passage: str, subject: Subject, draft: NewEntity | NewRelation | End, words: str) -> None:
        self.count += 1
        self.said.setdefault((passage, subject), []).append(Word(self.count, draft, words))

    def _forget(self, going: Iterable[tuple[str, Subject]]) -> None:
        for one in list(going):
            del self.said[one]

    def _refused(self, batch: Sequence[Sequence[Evidence]]) -> list[int]:
        return [place for place, mentions in enumerate(batch) if not {one.document for one in mentions} <= self.shown]

    def _related(self) -> set[RelationKey]:
        """Relations that callers said, as they are shown."""
        found = {
            self._meant(subject)
            for passage, subject in self.said
            if isinstance(subject, RelationKey) and self._live(passage)
        }
        return {one for one in found if one is not None}

    def _meant(self, one: RelationKey) -> RelationKey | None:
        """The relation as it is shown; None: between two that are one now."""
        source, target = self.root(one.source), self.root(one.target)
        return None if source == target and one.source != one.target else RelationKey(source, target, one.type)


def parted(text: str) -> tuple[str, str]:
    """Title and the rest."""
    title, _, rest = text.partition("\n")
    return title, rest


def _by(mentions: Sequence[Evidence]) -> list[tuple[str, str]]:
    """Who says it, with what words."""
    return [(one.document, one.text) for one in mentions] or [("", "")]
