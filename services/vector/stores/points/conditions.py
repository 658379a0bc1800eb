"""Filters as SQL over a row `p` of `point`. Every value and every path is bound; texts depend on the filter's shape.

Conditions on payloads become jsonpath where they can, because that is what the GIN index on the payload answers. In
jsonpath's lax mode arrays on the way are entered, and `[*]` or a predicate enters one at the end. Every comparison asks
for the type first, because it would look into arrays within arrays as well.
"""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from services.vector.filters import tree
from services.vector.filters.tree import Bounds, Path, Scalar
from services.vector.stores.points import lexicon
from services.vector.stores.points.layout import Layout
from services.vector.stores.points.terms.vocabulary import Expansion, Vocabulary
from services.vector.text import words

_SIGNS: Final = (("gt", ">"), ("gte", ">="), ("lt", "<"), ("lte", "<="))
_TIME: Final = r"^\d{4}-\d\d-\d\d([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?(Z|[+-](0\d|1[0-4]):?[0-5]\d)?)?$"


class Values:
    """The values of one statement, in the order of their numbers."""

    def __init__(self) -> None:
        self.all: list[object] = []

    def bind(self, value: object, kind: str = "") -> str:
        """The placeholder of a value."""
        self.all.append(value)
        return f"${len(self.all)}" + (f"::{kind}" if kind else "")


def sql(layout: Layout, filter: tree.Filter, values: Values, vocabulary: Vocabulary) -> str:
    """The condition that holds for rows `p` that fit; true, false or null (which counts as false)."""
    return _Compiler(layout, values, vocabulary).filter(filter, "p.payload", 0)


class _Compiler:
    def __init__(self, layout: Layout, values: Values, vocabulary: Vocabulary) -> None:
        self._layout = layout
        self._values = values
        self._vocabulary = vocabulary

    def filter(self, one: tree.Filter, base: str, depth: int) -> str:
        parts = [self._condition(part, base, depth) for part in one.must]
        if one.should:
            parts.append("(" + " OR ".join(self._condition(part, base, depth) for part in one.should) + ")")
        parts.extend(f"{self._condition(part, base, depth)} IS NOT TRUE" for part in one.must_not)
        if one.min_should:
            held = " + ".join(f"({self._condition(part, base, depth)} IS TRUE)::int" for part in one.min_should)
            parts.append(f"({held}) >= {self._values.bind(one.min_count, 'int')}")
        return "(" + " AND ".join(parts) + ")"

    def _condition(self, one: tree.Condition, base: str, depth: int) -> str:
        match one:
            case tree.Filter():
                return self.filter(one, base, depth)
            case tree.Nested():
                element = f"e{depth}"
                inner = self.filter(one.filter, f"{element}.value", depth + 1)
                return f"(EXISTS (SELECT FROM {self._each(one.key, base)} AS {element} (value) WHERE {inner}))"
            case tree.HasId():
                return f"(p.id = ANY({self._values.bind(list(one.ids), 'text[]')}))"
            case tree.HasWords():
                return self._words(words.of_query(one.text, self._vocabulary.language))
            case tree.HasPhrase():
                return self._phrase(one.text)
            case tree.HasPrefix():
                return self._beginning(self._vocabulary.prefixes[one.word])
            case tree.Times():
                return self._times(one, base)
            case tree.ValuesCount():
                counted = (
                    f"jsonb_array_length(jsonb_path_query_array({base}, {self._path(_values(one.key))}, '{{}}', true))"
                )
                return self._within(counted, one.bounds, "bigint")
            case tree.IsNull():
                found = self._exists(one.key, '@.type() == "null"', base)
                return found if one.holds else f"({found} IS NOT TRUE)"
            case tree.IsEmpty():
                found = self._exists(one.key, '@.type() != "null"', base)
                return f"({found} IS NOT TRUE)" if one.holds else found
            case tree.Match():
                return self._exists(one.key, _equal(one.values, negated=one.negated), base)
            case tree.Prefix():
                text = f'@.type() == "string" && @ starts with {_text(one.text)}'
                return self._exists(one.key, text, base)
            case tree.Numbers():
                whole = ["@.floor() == @"] if one.whole else []
                bounds = [f"@ {sign} {_number(value)}" for name, sign in _SIGNS
                          if (value := getattr(one.bounds, name)) is not None]  # fmt: skip
                return self._exists(one.key, " && ".join(['@.type() == "number"', *whole, *bounds]), base)

    def _exists(self, key: Path, predicate: str, base: str) -> str:
        return f"({base} @? {self._path(f'{_field(key)} ? ({predicate})')})"

    def _each(self, key: Path, base: str) -> str:
        return f"jsonb_path_query({base}, {self._path(_values(key))}, '{{}}', true)"

    def _path(self, text: str) -> str:
        # Not by way of text: a generic plan would parse it anew for every row.
        return self._values.bind(text, "jsonpath")

    def _times(self, one: tree.Times, base: str) -> str:
        # CASE, because a text that is no time can't be cast, and AND promises no order.
        within = self._within("(v.value #>> '{}')::timestamptz", one.bounds, "timestamptz")
        return (
            f"(EXISTS (SELECT FROM {self._each(one.key, base)} AS v (value) WHERE CASE WHEN"
            f" jsonb_typeof(v.value) = 'string' AND (v.value #>> '{{}}') ~ '{_TIME}'"
            f" AND pg_input_is_valid(v.value #>> '{{}}', 'timestamptz') THEN {within} ELSE false END))"
        )

    def _within(self, value: str, bounds: Bounds[datetime] | Bounds[int], kind: str) -> str:
        given = [f"{value} {sign} {self._values.bind(bound, kind)}" for name, sign in _SIGNS
                 if (bound := getattr(bounds, name)) is not None]  # fmt: skip
        return "(" + " AND ".join(given) + ")"

    def _words(self, asked: Sequence[str]) -> str:
        keys = [lexicon.key(word) for word in asked]
        # The array finds, by 32 bits of each word; the weights are sure, by 48.
        sure = " AND ".join(f"position({self._values.bind(key, 'bytea')} IN l.weights) > 0" for key in keys)
        return self._lexical(f"l.terms @> {self._terms(keys)} AND {sure}")

    def _phrase(self, text: str) -> str:
        language = self._vocabulary.language
        keys = [lexicon.key(word) for word in words.of_query(text, language)]
        sequence = self._values.bind(lexicon.sequence(words.in_order(text, language)), "bytea")
        return self._lexical(f"l.terms @> {self._terms(keys)} AND position({sequence} IN l.sequence) > 0")

    def _beginning(self, found: Expansion) -> str:
        # Through a sub-select, which hides how many words they are: a plan that knew would rather compare all of them
        # with every row, which is quadratic, than ask the index.
        held = f"l.terms && (SELECT {self._values.bind(list(found.terms), 'int[]')})"
        if not found.unsure:
            return self._lexical(held)
        keys = self._values.bind(list(found.unsure), "bytea[]")
        sure = f"EXISTS (SELECT FROM unnest({keys}) AS k (key) WHERE position(k.key IN l.weights) > 0)"
        return self._lexical(f"({held} OR (l.terms && (SELECT {self._terms(found.unsure)}) AND {sure}))")

    def _terms(self, keys: Sequence[bytes]) -> str:
        return self._values.bind([lexicon.number(key) for key in keys], "int[]")

    def _lexical(self, condition: str) -> str:
        return f"(p.n IN (SELECT l.n FROM {self._layout['lexical']} l WHERE {condition}))"


def _values(key: Path) -> str:
    return f"{_field(key)}[*]"


def _field(key: Path) -> str:
    return "$" + "".join(f".{_text(name)}" for name in key)


def _text(text: str) -> str:
    # A text of jsonpath is written like one of JSON.
    return json.dumps(text, ensure_ascii=False)


def _number(value: float) -> str:
    return repr(value)


def _equal(values: Sequence[Scalar], *, negated: bool) -> str:
    """A predicate that is never unknown, so that it can be negated."""
    kinds: dict[str, list[str]] = {}
    for value in values:
        if isinstance(value, bool):
            kinds.setdefault("boolean", []).append(f"@ == {str(value).lower()}")
        elif isinstance(value, str):
            kinds.setdefault("string", []).append(f"@ == {_text(value)}")
        else:
            kinds.setdefault("number", []).append(f"@ == {_number(value)}")
    one = " || ".join(f'(@.type() == "{kind}" && ({" || ".join(tests)}))' for kind, tests in kinds.items())
    return f"!({one})" if negated else one
