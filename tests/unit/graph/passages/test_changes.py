"""After any changes the index answers as one that was built from what is left."""

import math
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.graph.passages.index import links
from services.graph.passages.index.index import PassageIndex
from services.graph.passages.query.retrieve import Answer
from tests.support.passages import DIMENSION, ask, embed, index_of, passage

_NAMES = ["Vienna", "Ada Lovelace", "New York", "the Danube", "Kraków", "세종대왕", "경복궁", "Turing", "東京大学"]
_TEXTS = [
    "{0} was born near {1}. Later {2} came.",
    "the river by {0} is long. nobody in {1} knows why",
    "{0}은 {1}에서 태어났다. {2}의 이야기.",
    "{0}は{1}にある。",
    '"{0}" is a song about {1} and {2} of 1984.',
    "all i want is {0} said {1}",
]
_QUESTIONS = [
    "Which river flows by the city where Ada Lovelace was born?",
    "who came to new york after turing",
    "세종대왕이 태어난 곳은 어디인가?",
    "東京大学はどこにある？",
    "what is it",
]


@st.composite
def _content(draw: st.DrawFn) -> tuple[str, str]:
    names = draw(st.lists(st.sampled_from(_NAMES), min_size=3, max_size=3))
    text = draw(st.sampled_from(_TEXTS)).format(*names)
    if draw(st.booleans()):
        text = text.lower()
    return draw(st.sampled_from(["", *_NAMES, "Vienna, Austria", "Turing (machine)"])), text


_CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abcdefghijkl"), _content()),
        st.tuples(st.just("delete"), st.sampled_from("abcdefghijkl"), st.just(("", ""))),
        st.tuples(st.sampled_from(["settle", "restart"]), st.just(""), st.just(("", ""))),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60)
@given(_CHANGES, st.sampled_from([1, 64, 8192]))
def test_changed_is_as_good_as_rebuilt(changes: list[tuple[str, str, tuple[str, str]]], compaction: int) -> None:
    with patch.object(links, "_LEAST_COMPACTION", compaction):
        held: dict[str, tuple[str, str]] = {}
        changed = PassageIndex(DIMENSION)
        for kind, id, content in changes:
            if kind == "put":
                held[id] = content
                changed.put(passage(id, *content))
            elif kind == "delete":
                assert changed.delete(id) == (held.pop(id, None) is not None)
            elif kind == "restart":
                changed = _written_down(changed)
            else:
                changed.settle(embed)
        changed.settle(embed)
        rebuilt = index_of([passage(id, *held[id]) for id in sorted(held)])
        assert len(changed) == len(held)
        for question in _QUESTIONS:
            _same(ask(changed, question), ask(rebuilt, question))


def _written_down(index: PassageIndex) -> PassageIndex:
    """The same index, as another process has it."""
    other = PassageIndex(DIMENSION)
    other.restore({name: rows.copy() for name, rows in index.arrays().items()})
    return other


def test_arrays_of_something_else_are_refused() -> None:
    arrays = index_of([passage("a", "Vienna", "Vienna is a city.")]).arrays()
    for name, rows in arrays.items():
        wrong = arrays | {name: rows.astype(np.float64)}
        with pytest.raises(ValueError, match="no array"):
            PassageIndex(DIMENSION).restore(wrong)
    with pytest.raises(ValueError, match="no array"):
        PassageIndex(DIMENSION + 1).restore(arrays)


def _same(one: Answer, other: Answer) -> None:
    assert [hit.id for hit in one.hits] == [hit.id for hit in other.hits]
    assert one.phrases == other.phrases
    assert [entity for entity, _ in one.entities] == [entity for entity, _ in other.entities]
    for left, right in zip(one.hits, other.hits, strict=True):
        assert math.isclose(left.score, right.score, abs_tol=1e-3)
        assert (left.bridge, left.sentence, left.names) == (right.bridge, right.sentence, right.names)


def test_an_index_that_was_emptied_is_empty() -> None:
    index = index_of([passage("a", "Vienna", "Vienna is a city.")])
    assert index.delete("a")
    assert not index.delete("a")
    assert "a" not in index
    assert ask(index, "Vienna").hits == []


def test_vectors_of_another_dimension_are_refused() -> None:
    with pytest.raises(ValueError, match="dimensions"):
        PassageIndex(DIMENSION + 1).put(passage("a", "", "Some text."))


def test_nothing_is_embedded_twice() -> None:
    asked: list[str] = []

    def counting(texts: list[str]) -> object:
        asked.extend(texts)
        return embed(texts)

    index = PassageIndex(DIMENSION)
    for step in range(30):
        index.put(passage(f"p{step}", f"Place {step}", f"Here Ada Lovelace met Alan Turing at Place {step // 2}."))
        if step % 7 == 0:
            index.settle(counting)  # type: ignore[arg-type]
        if step % 3 == 0:
            index.delete(f"p{step - 1}")
    assert asked
    assert len(asked) == len(set(asked))
