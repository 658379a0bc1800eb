"""The arrays that the index is made of."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.graph.passages.index import eighths, halves
from services.graph.passages.index.arrays import Growing, ranges
from services.graph.passages.index.interning import Strings
from services.graph.passages.index.links import Links
from services.graph.passages.index.vectors import SharedRows


def test_halves_are_widened_exactly() -> None:
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    rows = np.resize(every[np.isfinite(every)], (1024, 62))
    assert (halves.gather(rows, np.arange(1024)) == rows.astype(np.float32)).all()


def test_products_of_halves_and_of_bytes_are_near_the_exact_ones() -> None:
    random = np.random.default_rng(1)
    vectors = random.standard_normal((3000, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    asked = vectors[:4]
    exact = vectors @ asked.T
    rows = np.arange(3000)
    assert np.abs(halves.products(halves.to_halves(vectors), asked) - exact).max() < 1e-3
    assert np.abs(halves.products(halves.to_halves(vectors), asked[0], rows) - exact[:, 0]).max() < 1e-3
    cut, steps = eighths.to_bytes(vectors)
    assert np.abs(eighths.products(cut, steps, rows, asked[0]) - exact[:, 0]).max() < 4e-3
    by_owner = eighths.products(cut, steps, rows, asked, rows % 4)
    assert np.abs(by_owner - exact[rows, rows % 4]).max() < 4e-3


def test_zero_vectors_stay_zero() -> None:
    zero = np.zeros((2, 8), np.float32)
    assert not halves.to_halves(zero).any()
    rows, steps = eighths.to_bytes(zero)
    assert not eighths.products(rows, steps, np.arange(2), np.ones(8, np.float32)).any()


def test_ranges() -> None:
    assert ranges(np.array([5, 0, 7]), np.array([2, 0, 3])).tolist() == [5, 6, 7, 8, 9]
    assert ranges(np.array([], np.int64), np.array([], np.int64)).tolist() == []


def test_what_grows_keeps_its_rows() -> None:
    growing = Growing(np.int64)
    for value in range(1000):
        assert growing.append(np.array([value])) == value
    assert growing.rows.tolist() == list(range(1000))
    assert growing.nbytes < 1.2 * 8 * 1000


@given(st.lists(st.text(max_size=8), max_size=60))
def test_strings_have_one_number_each(texts: list[str]) -> None:
    strings = Strings()
    numbers = {text: int(strings.intern([text])[0]) for text in texts}
    assert sorted(numbers.values()) == list(range(len(set(texts))))
    assert all(strings.text(number) == text for text, number in numbers.items())
    assert strings.find(["not there", *numbers]).tolist() == [
        -1 if "not there" not in numbers else 0,
        *numbers.values(),
    ]


def test_many_strings_outlive_a_merge() -> None:
    strings = Strings()
    texts = [f"phrase {number}" for number in range(10_000)]
    strings.intern(texts)
    assert strings.find(texts).tolist() == list(range(10_000))


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), max_size=60), st.sets(st.integers(0, 9))
)
def test_links_are_found_from_both_ends(added: list[tuple[int, int, bool]], dead: set[int]) -> None:
    links = Links({"value": np.uint8})
    alive = np.array([slot not in dead for slot in range(10)])
    for slot, other, compact in added:
        links.add(np.array([slot]), np.array([other]), value=np.array([slot * 10 + other]))
        if compact:
            links.compact(np.ones(10, np.bool_))
    links.compact(alive)
    left = sorted((slot, other) for slot, other, _ in added if slot not in dead)
    for found, owners in (links.of_slots(np.arange(10)), links.of_others(np.arange(10), alive)):
        assert sorted(zip(links.slot[found].tolist(), links.other[found].tolist(), strict=True)) == left
        assert len(owners) == len(left)
    assert (links.column("value") == links.slot * 10 + links.other).all()


def test_a_title_that_several_have_is_kept_once() -> None:
    rows = SharedRows(4)
    one, other = halves.to_halves(np.eye(4, dtype=np.float32)[:2])
    rows.share(0, "title", one)
    rows.share(3, "title", other)
    rows.share(5, "another", other)
    assert len(rows) == 2
    vectors, there = rows.vectors(np.array([0, 3, 4, 5, 99]))
    assert there.tolist() == [True, True, False, True, False]
    assert (vectors[0] == vectors[1]).all()
    rows.drop(0)
    rows.drop(3)
    assert len(rows) == 1
    rows.share(7, "third", one)
    assert rows.vectors(np.array([7]))[0][0].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("count", [0, 1, 1024, 16 * 1024 - 1, 16 * 1024, 40_000])
def test_products_do_not_depend_on_who_computes_them(count: int) -> None:
    random = np.random.default_rng(count)
    rows = halves.to_halves(random.standard_normal((count, 8), np.float32) + 0.1)
    vectors = random.standard_normal((3, 8), np.float32)
    exact = rows.astype(np.float64) @ vectors.T.astype(np.float64)
    assert np.allclose(halves.products(rows, vectors), exact, atol=1e-5)
    assert np.allclose(halves.products(rows, vectors[0]), exact[:, 0], atol=1e-5)
    chosen = random.permutation(count)
    assert np.allclose(halves.products(rows, vectors, chosen), exact[chosen], atol=1e-5)
    with patch.object(halves, "_SHARED", count + 1):
        alone = halves.products(rows, vectors)
    assert np.array_equal(alone, halves.products(rows, vectors))
