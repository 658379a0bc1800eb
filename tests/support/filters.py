"""What a filter means, by brute force in Python, and random filters to compare with. Filters are in their JSON form."""

import re
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from services.vector.text import words

_TIME = re.compile(
    r"\d{4}-\d\d-\d\d([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?(Z|[+-](0\d|1[0-4]):?[0-5]\d)?)?"
)
Json = dict[str, Any]


def fits(filter: Json, point: Json, root: Any = None) -> bool:
    """`point`: id, text, payload. `root`: where keys begin, by default at the payload."""
    base = point["payload"] if root is None else root

    def holds(one: Json) -> bool:
        return _holds(one, point, base)

    least = filter.get("min_should")
    return (
        all(map(holds, filter.get("must", [])))
        and ("should" not in filter or any(map(holds, filter["should"])))
        and not any(map(holds, filter.get("must_not", [])))
        and (least is None or sum(map(holds, least["conditions"])) >= least["min_count"])
    )


def values(base: Any, key: str) -> list[Any]:
    """The values of a key without quotes."""
    found = [base]
    for name in key.split("."):
        inside = [each for one in found for each in (one if isinstance(one, list) else [one])]
        found = [one[name] for one in inside if isinstance(one, dict) and name in one]
    return [each for one in found for each in (one if isinstance(one, list) else [one])]


def _holds(one: Json, point: Json, base: Any) -> bool:
    (kind,) = set(one) - {"key"}
    asked = one[kind]
    if kind == "filter":
        return fits(asked, point, base)
    if kind == "has_id":
        return point["id"] in asked
    if kind == "words":
        return set(words.of_query(asked)) <= set(words.of_passage(point["text"]).counts)
    if kind == "phrase":
        return _follows(words.in_order(asked), words.in_order(point["text"]))
    if kind == "words_prefix":
        return any(token.startswith(asked) if not words.paired(token) else asked in token
                   for token in words.tokens(point["text"]))  # fmt: skip
    found = values(base, one["key"])
    match kind:
        case "match":
            return any(_same(value, asked) for value in found)
        case "any_of":
            return any(_same(value, each) for value in found for each in asked)
        case "none_of":
            return any(not any(_same(value, each) for each in asked) for value in found)
        case "range":
            return any(_number(value) and _within(value, asked) for value in found)
        case "integer_range":
            return any(_number(value) and value == int(value) and _within(value, asked) for value in found)
        case "datetime":
            bounds = {sign: _moment(text) for sign, text in asked.items()}
            return any((moment := _moment(value)) is not None and _within(moment, bounds) for value in found)
        case "prefix":
            return any(isinstance(value, str) and value.startswith(asked) for value in found)
        case "is_null":
            return any(value is None for value in found) is asked
        case "is_empty":
            return all(value is None for value in found) is asked
        case "values_count":
            return _within(len(found), asked)
        case _:
            assert kind == "nested"
            return any(fits(asked, point, element) for element in found if element is not None) or any(
                fits(asked, point, {}) for element in found if element is None
            )


def _follows(part: list[str], whole: list[str]) -> bool:
    return any(whole[start : start + len(part)] == part for start in range(len(whole)))


def _same(value: Any, other: Any) -> bool:
    if _number(value) and _number(other):
        return bool(value == other)
    return type(value) is type(other) and bool(value == other)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _within(value: Any, bounds: Json) -> bool:
    return (
        ("gt" not in bounds or value > bounds["gt"])
        and ("gte" not in bounds or value >= bounds["gte"])
        and ("lt" not in bounds or value < bounds["lt"])
        and ("lte" not in bounds or value <= bounds["lte"])
    )


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


NAMES = ["a", "b", "색", 'it"s']
TEXTS = ["", "red", "redder", "blue", 'say "no"', "back\\slash", "$.a ? (1)", "빨강", "2026-01-02", "'; DROP TABLE x"]
TIMES = ["2026-01-01", "2026-01-02T03:04:05Z", "2026-01-02 03:04:05.250+02:00", "2025-12-31T23:59:59-05:00"]
NOT_TIMES = ["2026-02-30", "2026-13-01T00:00:00Z", "yesterday", "2026-01-02T24:00:00Z"]
WORDS = ["lantern", "boat", "고양이", "harbour"]

_scalars = st.one_of(
    st.sampled_from(TEXTS + TIMES + NOT_TIMES),
    st.integers(-3, 3),
    st.sampled_from([0.5, -2.5, 1e-7, 2.0**53, 1e12]),
    st.booleans(),
)
_values = st.recursive(
    st.one_of(_scalars, st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)),
    max_leaves=6,
)
payloads = st.dictionaries(st.sampled_from(NAMES), _values, max_size=4)
texts = st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join)
keys = st.lists(st.sampled_from(NAMES[:3]), min_size=1, max_size=3).map(".".join)


def _bounds(of: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), of, min_size=1, max_size=2)


def _field(kind: str, asked: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.builds(lambda key, value: {"key": key, kind: value}, keys, asked)


_zoned = st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T01:04:05.250Z", "2026-01-02T03:04:05Z"])
_fields = [
    _field("match", _scalars),
    _field("any_of", st.lists(_scalars, min_size=1, max_size=4)),
    _field("none_of", st.lists(_scalars, min_size=1, max_size=4)),
    _field("range", _bounds(st.sampled_from([-2.5, 0.0, 1e-7, 0.5, 3.0]))),
    _field("integer_range", _bounds(st.integers(-3, 3))),
    _field("datetime", _bounds(_zoned)),
    _field("prefix", st.sampled_from(["red", "2026-", "$.", "빨", 'say "'])),
    _field("is_null", st.booleans()),
    _field("is_empty", st.booleans()),
    _field("values_count", _bounds(st.integers(0, 3))),
]
_of_points = [
    st.lists(st.integers(0, 60).map("p{}".format), min_size=1, max_size=20).map(lambda ids: {"has_id": ids}),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map(lambda text: {"words": " ".join(text)}),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(lambda text: {"phrase": " ".join(text)}),
    st.sampled_from(["la", "lantern", "b", "harb", "이", "고양", "양이", "zz"]).map(
        lambda text: {"words_prefix": text}
    ),
]


def _filter(conditions: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    some = st.lists(conditions, min_size=1, max_size=3)
    least = some.flatmap(
        lambda them: st.integers(1, len(them)).map(lambda count: {"conditions": them, "min_count": count})
    )
    parts = st.fixed_dictionaries({}, optional={"must": some, "should": some, "must_not": some, "min_should": least})
    return parts.filter(bool)


_inner = _filter(st.one_of(*_fields))
filters = _filter(
    st.one_of(*_fields, *_of_points, _field("nested", _inner), _inner.map(lambda filter: {"filter": filter}))
)
