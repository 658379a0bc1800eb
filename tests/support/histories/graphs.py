"""A history done to a graph, and the same graph built from what is left of it."""

import uuid
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import NamedTuple, Protocol, TypeAlias

from services.graph.model import Evidence, Merge, NewEntity, NewRelation, RelationKey
from tests.support.histories import operations as of
from tests.support.histories.left import End, Left, Told, Unsaid
from tests.support.histories.operations import Operation

_SEED = "seed"
"""A document that is there only while a graph is rebuilt: it names what was merged when nothing else may."""
_SEEDED = "seeded"
"""An entity that is there only while a graph is rebuilt: relations to it bring the other end."""

Named: TypeAlias = Mapping[str, str]
"""By key, what those entities are called that there are."""


class Undone(NamedTuple):
    """What undoing a merge is answered."""

    reason: str
    """Why it was not; empty: it was."""
    back: Sequence[str]
    """Keys of the target and the sources, of those that there are."""


class Answers(Protocol):
    """A graph that can be written to, with what it answers."""

    async def change(self, texts: Mapping[str, str | None]) -> None:
        """By document its text; None: it is deleted, if it is there."""

    async def reset(self) -> None: ...

    async def tell(self, entities: Sequence[NewEntity]) -> Told: ...

    async def relate(self, relations: Sequence[NewRelation]) -> Told: ...

    async def unsay(self, keys: Sequence[str]) -> Unsaid: ...

    async def unrelate(self, relations: Sequence[RelationKey]) -> list[int]:
        """Places of those that there are not."""

    async def names(self, keys: Sequence[str]) -> Named: ...

    async def merge(self, merge: Merge) -> str:
        """Why it was not done, by the error's reason; empty: it was."""

    async def undo(self, id: str) -> Undone: ...


@dataclass
class Graph:
    """A graph and what is left in it. Each operation raises AssertionError when it is answered wrongly."""

    answers: Answers
    left: Left = field(default_factory=Left)
    joining: tuple[Merge, Named] | None = None
    """The merge that was asked for last, and what its sources were called."""

    async def do(self, operation: Operation) -> None:
        match operation:
            case of.Put(texts):
                self.left.put(texts)
                await self.answers.change(texts)
            case of.Tell(entities):
                _same(await self.answers.tell(entities), self.left.tell(entities))
            case of.Relate(relations):
                _same(await self.answers.relate(relations), self.left.relate(relations))
            case of.Unsay(keys):
                _same(await self.answers.unsay(keys), self.left.unsay(keys))
            case of.Unrelate(keys):
                _same(await self.answers.unrelate(keys), self.left.unrelate(keys))
            case of.Join(target, sources):
                self.joining = None
                names = await self.answers.names(sources)
                merge = Merge(str(uuid.uuid4()), "docs", target, tuple(sources), datetime.now(UTC))
                self.joining = merge, names
                _same(await self.answers.merge(merge), self.left.join(merge, names))
            case of.Part(number):
                if self.left.merges:
                    await self.part(self._standing(number))
            case of.Reset():
                await self.answers.reset()
                self.left.reset()
            case of.Return():
                lacking = self.left.lacking()
                await self.answers.change(lacking)
                self.left.put(lacking)

    def suppose(self, operation: Operation) -> "Left":
        """What is left if an operation was done whose answer was lost. What is left until now stays as it is."""
        left = deepcopy(self.left)
        match operation:
            case of.Tell(entities):
                left.tell(entities)
            case of.Relate(relations):
                left.relate(relations)
            case of.Unsay(keys):
                left.unsay(keys)
            case of.Unrelate(keys):
                left.unrelate(keys)
            case of.Join() if self.joining is not None:
                merge, names = self.joining
                left.join(merge, names)
            case of.Part(number):
                left.part(self._standing(number))
        return left

    def _standing(self, number: int) -> str:
        return list(self.left.merges)[number % len(self.left.merges)]

    async def part(self, id: str) -> None:
        """Undoes a merge."""
        old, answer = self.left.merges[id], await self.answers.undo(id)
        reason = self.left.part(id)
        back = [] if reason else [key for key in (old.target, *old.sources) if self.left.there(key)]
        _same((answer.reason, list(answer.back)), (reason, back))


async def rebuild(graph: Answers, left: Left, *, merged_first: bool) -> None:
    """Makes of an empty graph what is left, in an order that its history need not have had."""
    if merged_first:
        await _merge(graph, left)
    await graph.change(left.texts)
    await _say(graph, left)
    if not merged_first:
        await _merge(graph, left)


async def _merge(graph: Answers, left: Left) -> None:
    """The merges, between entities that a document of their own names as they were called then."""
    mentions = [Evidence(_SEED, 0, "")]
    await graph.change({_SEED: f"{_SEED}\nof nobody"})
    for merge in left.merges.values():
        names = {merge.target: "", **left.names[merge.id]}
        await graph.tell([NewEntity(key, name, mentions=mentions) for key, name in names.items()])
        assert await graph.merge(merge) == ""
    await graph.change({_SEED: None})


async def _say(graph: Answers, left: Left) -> None:
    """What was said, word by word."""
    there: set[tuple[str, str]] = set()
    seeded = False
    for passage, _, word in left.words():
        mentions = [Evidence(passage, 0, word.words)] if passage else []
        match word.draft:
            case NewEntity() as entity:
                await graph.tell([replace(entity, mentions=mentions)])
                there.add((passage, entity.key))
            case NewRelation() as relation:
                await graph.relate([replace(relation, mentions=mentions)])
            case End(key, name) if (passage, key) not in there:
                await graph.relate([NewRelation(name, _SEEDED, _SEED, mentions=mentions)])
                there.add((passage, key))
                seeded = True
    if seeded:
        await graph.unsay([_SEEDED])


def _same(answer: object, expected: object) -> None:
    assert answer == expected, f"answered {answer}, not {expected}"
