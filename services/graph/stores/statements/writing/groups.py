"""Which entities are part of which: a node for each key that was merged into another."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.graph.stores.bolt import Transaction, records
from services.graph.stores.place import Place

_PART: Final = "x.key AS key, x.root AS root, x.into AS into, x.merge AS merge, x.name AS name"
BY_KEY: Final = f"MATCH (x:Part) WHERE x.uid IN $uids RETURN {_PART}"
BY_ROOT: Final = f"MATCH (x:Part) WHERE x.within IN $uids RETURN {_PART}"
ALL: Final = "MATCH (x:Part) WHERE x.uid STARTS WITH $prefix RETURN x.key AS key, x.root AS root"
PUT: Final = "UNWIND $rows AS r MERGE (x:Part {uid: r.uid}) SET x = r"
REMOVE: Final = "UNWIND $uids AS uid MATCH (x:Part {uid: uid}) DELETE x"


@dataclass(frozen=True, slots=True)
class Part:
    """A key that was merged."""

    key: str
    root: str
    """Key of the entity that it means now."""
    into: str
    """The target of its own merge, which may have been merged since."""
    merge: str
    """Id of that merge."""
    name: str
    """Of the entity when it was merged."""


class Groups:
    """What some keys mean, and what else means the same. Keys that were never merged mean themselves."""

    def __init__(self, parts: Iterable[Part] = ()) -> None:
        self.parts = {part.key: part for part in sorted(parts, key=lambda part: part.key)}
        self._members: dict[str, list[str]] = {}
        for part in self.parts.values():
            self._members.setdefault(part.root, [part.root]).append(part.key)

    def root(self, key: str) -> str:
        part = self.parts.get(key)
        return key if part is None else part.root

    def members(self, root: str) -> Sequence[str]:
        """The entity's own key, then those that were merged into it."""
        return self._members.get(root, [root])

    def within(self, key: str) -> set[str]:
        """A key and all that came with it when it was merged."""
        found = {key}
        while more := {part.key for part in self.parts.values() if part.into in found} - found:
            found |= more
        return found

    def merged(self, parts: Iterable[Part]) -> "Groups":
        """The same with more parts, and their own parts following them."""
        found = dict(self.parts)
        for new in parts:
            for key in self.within(new.key) - {new.key}:
                old = found[key]
                found[key] = Part(key, new.root, old.into, old.merge, old.name)
            found[new.key] = new
        return Groups(found.values())

    def parted(self, keys: Iterable[str]) -> "Groups":
        """The same with these keys and what came with them being entities of their own again."""
        found = dict(self.parts)
        for key in keys:
            for inner in self.within(key) - {key}:
                old = found[inner]
                found[inner] = Part(inner, key, old.into, old.merge, old.name)
            del found[key]
        return Groups(found.values())


async def of(transaction: Transaction, place: Place, graph: str, keys: Iterable[str]) -> Groups:
    """What these keys mean, and all that means the same as one of them."""
    asked = set(keys)
    found = await _parts(transaction, BY_KEY, [place.inside(graph, key) for key in sorted(asked)])
    roots = asked | {part.root for part in found}
    return Groups(await _parts(transaction, BY_ROOT, [place.inside(graph, key) for key in sorted(roots)]))


async def roots(transaction: Transaction, place: Place, graph: str) -> Mapping[str, str]:
    """Every key of a graph that was merged → what it means."""
    rows = await transaction.run(ALL, prefix=place.inside(graph))
    return {row["key"]: row["root"] for row in rows}


async def replace(transaction: Transaction, place: Place, graph: str, before: Groups, after: Groups) -> None:
    """Keeps `after` instead of `before`."""
    put = [part for key, part in after.parts.items() if before.parts.get(key) != part]
    gone = sorted(before.parts.keys() - after.parts.keys())
    if put:
        await transaction.run(PUT, rows=[_row(place, graph, part) for part in put])
    if gone:
        await transaction.run(REMOVE, uids=[place.inside(graph, key) for key in gone])


async def _parts(transaction: Transaction, statement: str, uids: Sequence[str]) -> list[Part]:
    return records(await transaction.run(statement, uids=uids), Part) if uids else []


def _row(place: Place, graph: str, part: Part) -> dict[str, Any]:
    return {
        "uid": place.inside(graph, part.key),
        "graph": graph,
        "key": part.key,
        "root": part.root,
        "within": place.inside(graph, part.root),
        "into": part.into,
        "merge": part.merge,
        "name": part.name,
    }
