"""Names that cannot meet, and values that come back as what they were."""

from typing import Any

import pytest
from google.protobuf import json_format, struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from pergola.cache.v1 import cache_pb2
from services.cache.address import address
from services.cache.handlers.values import value_from, value_to
from services.cache.value import Kind, Value, pack, unpack
from services.runtime.errors import InvalidArgument

TENANTS = st.from_regex(r"\A[a-z0-9][a-z0-9-]{0,10}\Z")
NAMESPACES = st.from_regex(r"\A[a-z0-9][a-z0-9_-]{0,10}\Z")
KEYS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
NAMES = st.tuples(TENANTS, NAMESPACES, KEYS)


@given(NAMES, NAMES)
def test_different_names_never_meet(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (address(*one) == address(*other)) == (one == other)


def test_a_key_with_colons_stays_in_its_namespace() -> None:
    assert address("acme", "a", "b:c") != address("acme", "a-b", "c")
    assert address("acme", "a", "b:c").startswith(b"pergola:cache:acme:a:")


@given(st.sampled_from(Kind), st.binary(max_size=200))
def test_what_is_packed_comes_back(kind: Kind, content: bytes) -> None:
    assert unpack(pack(Value(kind, content))) == Value(kind, content)


@pytest.mark.parametrize("stored", [b"", b"?x", b"\x00"])
def test_bytes_of_somebody_else_are_no_value(stored: bytes) -> None:
    assert unpack(stored) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=20) | st.floats(-(2.0**53) + 1, 2.0**53 - 1),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=20,
)


def as_value(content: Any) -> cache_pb2.Value:
    return cache_pb2.Value(json=json_format.ParseDict(content, struct_pb2.Value()))


@given(JSON)
def test_any_json_comes_back_as_it_was(content: Any) -> None:
    value = as_value(content)
    assert value_to(value_from(value, "value")) == value


@given(st.binary(max_size=50), st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=50))
def test_bytes_and_text_come_back_as_they_were(data: bytes, text: str) -> None:
    for value in (cache_pb2.Value(data=data), cache_pb2.Value(text=text)):
        assert value_to(value_from(value, "value")) == value


@given(
    st.one_of(
        st.integers(2**53, 2**70),
        st.integers(-(2**70), -(2**53)),
        st.floats(min_value=2.0**53, allow_infinity=False),
    )
)
def test_every_number_that_may_have_lost_digits_is_refused(number: float) -> None:
    value = cache_pb2.Value(json=struct_pb2.Value(number_value=float(number)))
    with pytest.raises(InvalidArgument):
        value_from(value, "value")


def test_a_refusal_names_each_number() -> None:
    value = as_value({"user": {"ids": [1, 2**53 + 1]}, "count": -(2**60), "fine": 2**53 - 1})
    with pytest.raises(InvalidArgument) as refused:
        value_from(value, "entries[3].value")
    assert {violation.field for violation in refused.value.violations} == {
        "entries[3].value.json.user.ids[1]",
        "entries[3].value.json.count",
    }


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_lacks_are_refused(number: float) -> None:
    with pytest.raises(InvalidArgument, match="JSON has no such number"):
        value_from(cache_pb2.Value(json=struct_pb2.Value(number_value=number)), "value")


def test_text_that_looks_like_a_number_on_the_wire_passes() -> None:
    # 0x11 is the tag of a number, and also the length of this text.
    value = as_value({"seventeen letters": "abcdefgDEFGHIJKLM", "\x11" * 9: "\x11zzzzzzz"})
    assert value_to(value_from(value, "value")) == value
