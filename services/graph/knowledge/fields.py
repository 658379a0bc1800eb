"""What was said of an entity or a relation by hand, field by field, each with when: the last one counts.

Statements that hold only as long as some passage does are kept apart from each other, so that when one goes, what
the others said is there again, as if it had never been.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from services.graph.model import Value

T = TypeVar("T")


class At(NamedTuple, Generic[T]):
    """A value and the place in the graph's log at which it was said."""

    seq: int
    value: T


@dataclass(slots=True)
class Fields:
    """What one statement says. What it does not speak of is absent."""

    name: At[str] | None = None
    type: At[str] | None = None
    weight: At[float] | None = None
    aliases: set[str] = field(default_factory=set)
    properties: dict[str, At[Value | None]] = field(default_factory=dict)
    """None: the property is none any more, whatever was said before."""

    def __bool__(self) -> bool:
        return bool(self.name or self.type or self.weight or self.aliases or self.properties)

    def present(self) -> dict[str, Value]:
        """The properties that there are."""
        return {name: at.value for name, at in self.properties.items() if at.value is not None}


def joined(statements: Iterable[Fields]) -> Fields:
    """What several statements about the same thing say together: of each field the last one."""
    found = Fields()
    for one in statements:
        found.name = _later(found.name, one.name)
        found.type = _later(found.type, one.type)
        found.weight = _later(found.weight, one.weight)
        found.aliases |= one.aliases
        for name, at in one.properties.items():
            found.properties[name] = _later(found.properties.get(name), at) or at
    return found


def preferring(members: Sequence[Fields]) -> Fields:
    """What is known of things that are one now: of each field what the first of them has."""
    found = Fields()
    for one in members:
        found.name = found.name or one.name
        found.type = found.type or one.type
        found.weight = found.weight or one.weight
        found.aliases |= one.aliases
        for name, at in one.properties.items():
            if at.value is not None:
                found.properties.setdefault(name, at)
    return found


def stated(
    before: Fields,
    known: Fields,
    seq: int,
    *,
    name: str = "",
    type: str = "",
    weight: float | None = None,
    aliases: Iterable[str] = (),
    properties: Mapping[str, Value | None],
) -> Fields:
    """A statement, `before` until now, that says this at `seq`. `known`: what all statements say together, which
    tells whether saying it again changes anything."""
    after = Fields(
        _again(before.name, known.name, seq, name) if name else before.name,
        _again(before.type, known.type, seq, type) if type else before.type,
        before.weight if weight is None else _again(before.weight, known.weight, seq, weight),
        before.aliases | set(aliases),
        dict(before.properties),
    )
    for key, value in properties.items():
        if value is None and key not in known.properties:
            continue
        after.properties[key] = _again(before.properties.get(key), known.properties.get(key), seq, value)
    return after


def dumps(fields: Fields) -> str:
    """As text to be kept; empty when it says nothing."""
    if not fields:
        return ""
    kept: dict[str, Any] = {
        name: at for name in ("name", "type", "weight") if (at := getattr(fields, name)) is not None
    }
    if fields.aliases:
        kept["aliases"] = sorted(fields.aliases)
    if fields.properties:
        kept["properties"] = dict(sorted(fields.properties.items()))
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def loads(text: str) -> Fields:
    if not text:
        return Fields()
    kept = json.loads(text)
    name, type_, weight = (At(*kept[field]) if field in kept else None for field in ("name", "type", "weight"))
    return Fields(
        name,
        type_,
        weight,
        set(kept.get("aliases", ())),
        {name: At(*at) for name, at in kept.get("properties", {}).items()},
    )


def _later(one: At[T] | None, other: At[T] | None) -> At[T] | None:
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda at: at.seq)


def _again(before: At[T] | None, known: At[T] | None, seq: int, value: T) -> At[T]:
    """What is said once more and still is the last word was said when it was said first."""
    same = before is not None and before.value == value and type(before.value) is type(value)
    return before if same and before is not None and known == before else At(seq, value)
