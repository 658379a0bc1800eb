"""What callers want to say, checked one by one: what can't be said is refused with what to do, the rest is said."""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Generic, NamedTuple, TypeVar

from services.graph.extraction.text import normal_form
from services.graph.model import MENTIONED_WITH, RESERVED, NewEntity, NewRelation, Refusal, Value

T = TypeVar("T")

MAX_PROPERTIES: Final = 256
MAX_PROPERTY_BYTES: Final = 65_536
"""Of all properties of one entity or relation, as JSON."""
_PROPERTY: Final = re.compile(r"[^\W\d_]\w{0,62}")


class Checked(NamedTuple, Generic[T]):
    """A batch after it was looked at."""

    good: Sequence[T]
    places: Sequence[int]
    """Of the good ones in the batch."""
    refused: Sequence[Refusal]


class _Refused(Exception):
    """One of a batch can't be said."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def entities(batch: Sequence[NewEntity]) -> Checked[NewEntity]:
    """Each with its key, and values of kinds that every store has."""
    return _checked(batch, _entity, lambda one: one.key, "this key")


def relations(batch: Sequence[NewRelation]) -> Checked[NewRelation]:
    """Each with names that name something, and values of kinds that every store has."""
    return _checked(
        batch,
        _relation,
        lambda one: (normal_form(one.source), normal_form(one.target), one.type, one.source, one.target),
        "these ends and this type",
    )


def _checked(batch: Sequence[T], check: Any, identity: Any, what: str) -> Checked[T]:
    good: list[T] = []
    places: list[int] = []
    refused: list[Refusal] = []
    seen: dict[Any, int] = {}
    for place, draft in enumerate(batch):
        try:
            one = check(draft)
        except _Refused as error:
            refused.append(Refusal(place, error.reason, error.message))
            continue
        first = seen.setdefault(identity(one), place)
        if first != place:
            text = f"item {first} of this batch has {what} already; send each once"
            refused.append(Refusal(place, "DUPLICATE", text))
            continue
        good.append(one)
        places.append(place)
    return Checked(good, places, refused)


def _entity(draft: NewEntity) -> NewEntity:
    name = _text(draft.name, "name")
    key = _text(draft.key, "key") or normal_form(name)
    if not key:
        raise _Refused("INVALID_NAME", "the name has neither letters nor digits; give a key as well")
    aliases = sorted({_text(alias, "aliases") for alias in draft.aliases})
    if not all(map(normal_form, aliases)):
        raise _Refused("INVALID_NAME", "an alias has neither letters nor digits, so nothing could be found by it")
    return replace(draft, key=key, name=name, aliases=aliases, properties=_properties(draft.properties))


def _relation(draft: NewRelation) -> NewRelation:
    if draft.type == MENTIONED_WITH:
        text = f"{MENTIONED_WITH} is derived from sentences and can't be written; choose another type"
        raise _Refused("RESERVED_TYPE", text)
    source, target = _text(draft.source, "source"), _text(draft.target, "target")
    if not source or not target:
        raise _Refused("INVALID_NAME", "source and target must name something")
    return replace(draft, source=source, target=target, properties=_properties(draft.properties))


def _text(text: str, field: str) -> str:
    """With one blank for any white space."""
    found = " ".join(text.split())
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in found):
        raise _Refused("INVALID_NAME", f"{field} holds a control character; leave it out")
    return found


def _properties(properties: Mapping[str, Any]) -> dict[str, Value | None]:
    if len(properties) > MAX_PROPERTIES:
        raise _Refused("INVALID_PROPERTY", f"there are more than {MAX_PROPERTIES} properties")
    found = {name: _value(name, value) for name, value in properties.items()}
    if len(json.dumps(found, ensure_ascii=False).encode()) > MAX_PROPERTY_BYTES:
        raise _Refused("INVALID_PROPERTY", f"the properties exceed {MAX_PROPERTY_BYTES} bytes; keep texts in documents")
    return found


def _value(name: str, value: Any) -> Value | None:
    if name in RESERVED or name.startswith("_"):
        raise _Refused("RESERVED_PROPERTY", f"properties.{name} is the service's own; choose another name")
    if not _PROPERTY.fullmatch(name):
        text = f"properties.{name[:64]}: a name begins with a letter and has letters, digits and _, at most 63"
        raise _Refused("INVALID_PROPERTY", text)
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list) and _alike(value):
        # In a list all numbers are of one kind.
        return [float(one) for one in value] if any(isinstance(one, float) for one in value) else value
    text = f"properties.{name} must be a text, a number, a boolean, or a list of one of these; objects are not kept"
    raise _Refused("INVALID_PROPERTY", text)


def _alike(values: Iterable[Any]) -> bool:
    kinds = {bool if isinstance(one, bool) else float if isinstance(one, int | float) else type(one) for one in values}
    return len(kinds) < 2 and kinds <= {bool, float, str}
