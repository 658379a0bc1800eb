"""Typing mistakes: what is within reach, and that no candidate within reach is passed over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.graph.reading.typing_mistakes import allowed, distance, pieces

names = st.text("abc ", min_size=3, max_size=14)
mistakes = st.tuples(st.sampled_from(["put", "leave", "replace", "swap"]), st.integers(0, 99), st.sampled_from("abcx"))


def mistyped(name: str, kind: str, where: int, letter: str) -> str:
    place = where % max(1, len(name))
    if kind == "put":
        return name[:place] + letter + name[place:]
    if kind == "leave":
        return name[:place] + name[place + 1 :]
    if kind == "replace":
        return name[:place] + letter + name[place + 1 :]
    return name[:place] + name[place : place + 2][::-1] + name[place + 2 :]


@given(names, st.lists(mistakes, max_size=2))
def test_a_name_with_as_many_mistakes_holds_one_of_the_pieces(name: str, made: list[tuple[str, int, str]]) -> None:
    most = allowed(name)
    other = name
    for one in made[:most]:
        other = mistyped(other, *one)
    parts = pieces(name, most)
    assert len(parts) == most + 1
    assert all(part and part in name for part in parts)
    assert any(part in other for part in parts)


@pytest.mark.parametrize(
    ("one", "other", "mistakes"),
    [("lovelace", "lovelace", 0), ("lovelace", "lovelaec", 1), ("lovelace", "lovlace", 1), ("lovelace", "xovelaze", 2)],
)
def test_a_swap_of_neighbours_is_one_mistake(one: str, other: str, mistakes: int) -> None:
    assert distance(one, other, 2) == mistakes


def test_what_is_beyond_is_said_without_being_counted() -> None:
    assert distance("lovelace", "babbage", 2) == 3


def test_short_names_are_not_guessed() -> None:
    assert [allowed("가"), allowed("abc"), allowed("lovelace")] == [0, 1, 2]
