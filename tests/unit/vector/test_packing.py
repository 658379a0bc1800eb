"""Words as they are stored, read back."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.vector.model import Words
from services.vector.stores.points import lexicon
from services.vector.stores.points.terms import packing

_WORDS = st.sampled_from(["one", "two", "three", "고양", "고", "~lantern", "x86_64"])
_PASSAGE = st.tuples(st.dictionaries(_WORDS, st.integers(1, 400)), st.lists(_WORDS))


@given(st.lists(_PASSAGE, max_size=5))
def test_what_is_packed_together_is_what_each_passage_says(passages: list[tuple[dict[str, int], list[str]]]) -> None:
    made = packing.pack([Words(counts, 0, tuple(order)) for counts, order in passages])
    for (counts, order), weights, sequence in zip(passages, made.weights, made.sequences, strict=True):
        assert lexicon.keys(weights) == [lexicon.key(word) for word in counts]
        assert {word: lexicon.count(weights, word) for word in counts} == {
            word: min(count, 255) for word, count in counts.items()
        }
        assert sequence == lexicon.sequence(order)
    stand = Counter(word for counts, _ in passages for word in counts)
    assert dict(zip(made.words, made.passages, strict=True)) == stand
    assert made.keys == [lexicon.key(word) for word in made.words]


def test_a_word_that_is_not_there_has_no_count() -> None:
    (weights,) = packing.pack([Words({"one": 1, "two": 300}, 301)]).weights
    assert [lexicon.count(weights, word) for word in ("one", "two", "three")] == [1, 255, 0]
