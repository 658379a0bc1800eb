"""What the outline of a passage's words holds, read back from the bytes that PostgreSQL gets."""

import struct

import numpy as np
import pytest

from services.vector.model import Words
from services.vector.stores.points import lexicon
from services.vector.stores.points.terms import outlines, packing


def _read(vector: bytes | None) -> dict[int, float]:
    """The numbers of a sparse vector by their places, counted from 1."""
    if vector is None:
        return {}
    dimension, count, unused = struct.unpack(">iii", vector[:12])
    assert (dimension, unused, len(vector)) == (outlines.PLACES, 0, 12 + 8 * count)
    places = np.frombuffer(vector, ">i4", count, 12).tolist()
    assert places == sorted(set(places))
    values = np.frombuffer(vector, ">f4", count, 12 + 4 * count).tolist()
    return {place + 1: value for place, value in zip(places, values, strict=True)}


def _terms(array: bytes) -> list[int]:
    """The numbers of an `int[]`."""
    dimensions, nulls, oid = struct.unpack(">iii", array[:12])
    assert (nulls, oid) == (0, 23)
    if not dimensions:
        return []
    count, first = struct.unpack(">ii", array[12:20])
    elements = np.frombuffer(array, ">i4", 2 * count, 20).reshape(-1, 2)
    assert (dimensions, first, len(array)) == (1, 1, 20 + 8 * count)
    assert (elements[:, 0] == 4).all()
    return [int(element) for element in elements[:, 1]]


def _packed(counts: dict[str, int]) -> bytes:
    return packing.pack([Words(counts, 0)]).weights[0]


def _place(word: str) -> int:
    return (lexicon.number(lexicon.key(word)) & (2**31 - 1)) % outlines.PLACES + 1


def test_each_passage_has_its_own() -> None:
    counts = [{"one": 1, "two": 2, "many": 300}, {}, {"two": 1}, {f"w{n}": 1 + n % 3 for n in range(200)}, {"two": 9}]
    made = outlines.outlines([_packed(one) for one in counts])
    for words, outline in zip(counts, made, strict=True):
        assert _terms(outline.terms) == [lexicon.number(lexicon.key(word)) for word in words]
        assert _read(outline.once) == {_place(word): 1 for word, count in words.items() if count == 1}
        assert _read(outline.again) == {_place(word): 1 for word, count in words.items() if count > 1}
        assert _read(outline.times) == {_place(word): min(count, 255) for word, count in words.items() if count > 1}


def test_words_that_share_a_place_stand_there_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicon, "key", lambda word: b"same" + word.encode()[:2])
    (outline,) = outlines.outlines([_packed({"aa": 1, "bb": 1, "cc": 3})])
    place = int.from_bytes(b"same", "big") % outlines.PLACES + 1
    assert len(_terms(outline.terms)) == 3
    assert (_read(outline.once), _read(outline.again), _read(outline.times)) == ({}, {place: 1}, {place: 5})


def test_nothing_has_no_outlines() -> None:
    assert outlines.outlines([]) == []
    (empty,) = outlines.outlines([b""])
    assert (_terms(empty.terms), _read(empty.once), empty.again, empty.times) == ([], {}, None, None)


def test_a_passage_of_more_words_than_a_vector_takes_has_no_bound() -> None:
    words = [f"w{n}" for n in range(16_001)]
    most, more = outlines.outlines([_packed(dict.fromkeys(words[:size], 1)) for size in (16_000, 16_001)])
    # By chance a few share a place.
    assert _read(most.once).keys() | _read(most.again).keys() == {_place(word) for word in words[:16_000]}
    assert (len(_terms(more.terms)), more.once, _read(more.again), more.times) == (16_001, None, {}, None)
    assert more.again is not None
