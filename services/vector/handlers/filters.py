"""Filters as they come in: checked, bounded, and turned into the domain's tree."""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.struct_pb2 import ListValue, Value
from google.protobuf.timestamp_pb2 import Timestamp

from pergola.vector.v1 import filter_pb2 as pb
from pergola.vector.v1 import point_pb2
from services.runtime.errors import InvalidArgument, Violation
from services.vector.filters import paths, tree
from services.vector.filters.tree import Bounds, Order
from services.vector.text import words

DEPTH: Final = 8
CONDITIONS: Final = 128
VALUES: Final = 1_000
_KEY: Final = 512
_TEXT: Final = 8_192
_BOUNDS: Final = ("gt", "gte", "lt", "lte")
_WITHOUT_KEY: Final = frozenset({"has_id", "words", "phrase", "words_prefix", "filter"})
_KINDS: Final = ", ".join(one.name for one in pb.Condition.DESCRIPTOR.oneofs_by_name["kind"].fields)


def read(message: pb.Filter, field: str = "filter") -> tree.Filter:
    """The tree of a filter.

    Raises InvalidArgument that names the field that is wrong.
    """
    return _Reader().filter(message, field, 1, nested=False)


def order(message: point_pb2.OrderBy, field: str) -> Order:
    """The order by a field of the payload. Raises InvalidArgument."""
    return Order(_path(message.key, f"{field}.key"), descending=message.descending)


class _Reader:
    def __init__(self) -> None:
        self._conditions = 0
        self._values = 0

    def filter(self, message: pb.Filter, field: str, depth: int, *, nested: bool) -> tree.Filter:
        if depth > DEPTH:
            raise _wrong(field, f"must be at most {DEPTH} filters deep")
        if not (message.must or message.should or message.must_not or message.HasField("min_should")):
            raise _wrong(field, "must have a condition in must, should, must_not or min_should")

        def each(conditions: Iterable[pb.Condition], name: str) -> Sequence[tree.Condition]:
            return [
                self._condition(one, f"{field}.{name}[{place}]", depth, nested=nested)
                for place, one in enumerate(conditions)
            ]

        least = message.min_should
        if message.HasField("min_should"):
            if not least.conditions:
                raise _wrong(f"{field}.min_should.conditions", "must have a condition")
            if not 1 <= least.min_count <= len(least.conditions):
                raise _wrong(f"{field}.min_should.min_count", f"must be 1 to {len(least.conditions)}")
        return tree.Filter(
            must=each(message.must, "must"),
            should=each(message.should, "should"),
            must_not=each(message.must_not, "must_not"),
            min_should=each(least.conditions, "min_should.conditions"),
            min_count=least.min_count,
        )

    def _condition(self, one: pb.Condition, field: str, depth: int, *, nested: bool) -> tree.Condition:
        self._conditions += 1
        if self._conditions > CONDITIONS:
            raise _wrong(field, f"is one too many: a filter has at most {CONDITIONS} conditions")
        kind = one.WhichOneof("kind")
        if kind is None:
            raise _wrong(field, f"must have one of {_KINDS}")
        at = f"{field}.{kind}"
        if kind in _WITHOUT_KEY:
            if one.key:
                raise _wrong(f"{field}.key", f"has no meaning beside {kind}")
            if kind == "filter":
                return self.filter(one.filter, at, depth + 1, nested=nested)
            if nested:
                raise _wrong(at, "asks for the point, and can't be inside of nested")
            return self._of_point(one, kind, at)
        return self._of_field(one, kind, _path(one.key, f"{field}.key"), at, depth)

    def _of_point(self, one: pb.Condition, kind: str, at: str) -> tree.Condition:
        match kind:
            case "has_id":
                return tree.HasId(self._ids(one.has_id, at))
            case "words":
                return tree.HasWords(_words(one.words, at))
            case "phrase":
                return phrase(one.phrase, at)
            case _:
                return prefix(one.words_prefix, at)

    def _of_field(self, one: pb.Condition, kind: str, key: tree.Path, at: str, depth: int) -> tree.Condition:
        match kind:
            case "match":
                return tree.Match(key, [_scalar(one.match, at)])
            case "any_of" | "none_of":
                return tree.Match(key, self._scalars(getattr(one, kind), at), negated=kind == "none_of")
            case "range":
                bounds: Bounds[float] = _bounds(one.range, at)
                for name in _BOUNDS:
                    if not math.isfinite(getattr(bounds, name) or 0.0):
                        raise _wrong(f"{at}.{name}", "must be a finite number; leave a bound away where there is none")
                return tree.Numbers(key, bounds, whole=False)
            case "integer_range":
                return tree.Numbers(key, _bounds(one.integer_range, at), whole=True)
            case "datetime":
                return tree.Times(key, _bounds(one.datetime, at))
            case "prefix":
                return tree.Prefix(key, _text(one.prefix, at))
            case "is_null":
                return tree.IsNull(key, one.is_null)
            case "is_empty":
                return tree.IsEmpty(key, one.is_empty)
            case "values_count":
                return tree.ValuesCount(key, _bounds(one.values_count, at))
            case _:
                return tree.Nested(key, self.filter(one.nested, at, depth + 1, nested=True))

    def _scalars(self, values: ListValue, at: str) -> list[tree.Scalar]:
        return [_scalar(value, f"{at}[{place}]") for place, value in enumerate(self._listed(values, at))]

    def _ids(self, values: ListValue, at: str) -> list[str]:
        found = []
        for place, value in enumerate(self._listed(values, at)):
            if value.WhichOneof("kind") != "string_value":
                raise _wrong(f"{at}[{place}]", "must be an id, which is text")
            found.append(_text(value.string_value, f"{at}[{place}]"))
        return found

    def _listed(self, values: ListValue, at: str) -> Sequence[Value]:
        if not values.values:
            raise _wrong(at, "must have a value")
        self._values += len(values.values)
        if self._values > VALUES:
            raise _wrong(at, f"has too many values: a filter lists at most {VALUES}")
        return values.values


def _wrong(field: str, text: str) -> InvalidArgument:
    return InvalidArgument(f"{field} {text}.", violations=[Violation(field, text)])


def _path(key: str, field: str) -> tree.Path:
    if not key:
        raise _wrong(field, "must name a field of the payload")
    if len(key) > _KEY:
        raise _wrong(field, f"must have at most {_KEY} characters")
    _text(key, field)
    try:
        return paths.parse(key)
    except ValueError as error:
        raise _wrong(field, str(error)) from None


def _text(text: str, field: str) -> str:
    if not text:
        raise _wrong(field, "must not be empty")
    if len(text) > _TEXT:
        raise _wrong(field, f"must have at most {_TEXT} characters")
    if "\0" in text:
        raise _wrong(field, "must not hold the character U+0000")
    return text


def phrase(text: str, field: str) -> tree.HasPhrase:
    """The condition that these words follow each other. Raises InvalidArgument."""
    return tree.HasPhrase(_words(text, field))


def prefix(text: str, field: str) -> tree.HasPrefix | tree.HasPhrase:
    """The condition that a word begins so; in scripts cut into pairs, that these characters stand somewhere.

    Raises InvalidArgument.
    """
    found = words.tokens(_words(text, field))
    if words.paired(found[-1]):
        return tree.HasPhrase(text)
    if len(found) > 1:
        raise _wrong(field, "must be the beginning of one word")
    return tree.HasPrefix(found[0], field)


def _words(text: str, field: str) -> str:
    if not words.tokens(_text(text, field)):
        raise _wrong(field, "must hold a word")
    return text


def _scalar(value: Value, field: str) -> tree.Scalar:
    match value.WhichOneof("kind"):
        case "string_value":
            # Equal to "" is a fair question.
            return _text(value.string_value, field) if value.string_value else ""
        case "bool_value":
            return value.bool_value
        case "number_value" if math.isfinite(value.number_value):
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "null_value":
            raise _wrong(field, "can't be null: ask with is_null")
        case _:
            raise _wrong(field, "must be text, a finite number, true or false")


def _bounds(message: Any, field: str) -> Bounds[Any]:
    given = {name: getattr(message, name) for name in _BOUNDS if message.HasField(name)}
    if not given:
        raise _wrong(field, "must have one of gt, gte, lt, lte")
    return Bounds(**{
        name: _moment(value, f"{field}.{name}") if isinstance(value, Timestamp) else value
        for name, value in given.items()
    })  # fmt: skip


def _moment(value: Timestamp, field: str) -> datetime:
    try:
        return value.ToDatetime(UTC)
    except ValueError:
        raise _wrong(field, "must be a time between the years 1 and 9999") from None
