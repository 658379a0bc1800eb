"""Paths and passages compete by the same measure."""

import numpy as np
import pytest

from services.graph.retrieval.passages import Point, Vector
from services.graph.retrieval.scoring import (
    Bridge,
    Candidate,
    Key,
    Ranking,
    likeness,
    most_mentions,
    normalised,
    rarity,
    rewritten,
    terms_in,
)


def vector(*numbers: float) -> Vector:
    return np.array(numbers, np.float32)


def candidate(name: str, semantic: float, terms: int = 0, naming: float = 0.0) -> Candidate:
    point = Point("docs", name, None, name, "d", name, (), 0, 0, 1, None)
    return Candidate(point, None, semantic, 0.0, naming, terms)


def ranking(*candidates: Candidate, bridges: tuple[tuple[str, str, float], ...] = (), terms: int = 0) -> Ranking:
    likenesses = [
        (Bridge(("docs", anchor), ("docs", target), "n", "N", "docs", 0.5, 0.0), value)
        for anchor, target, value in bridges
    ]
    return Ranking({one.key: one for one in candidates}, likenesses, terms)


def names(chosen: Ranking, k: int) -> list[str]:
    return [placed.key[1] for placed in chosen.best(k)]


def test_rare_names_say_more() -> None:
    assert rarity(1, 1000) == pytest.approx(1.0)
    assert 1 > rarity(2, 1000) > rarity(50, 1000) > rarity(1000, 1000) > 0
    assert rarity(5, 0) > 0
    assert most_mentions(10) == 10
    assert most_mentions(1000) == 50


def test_the_rewritten_question_turns_from_the_anchor_to_the_bridge() -> None:
    question, bridge, anchor = vector(1, 0, 0), vector(0, 1, 0), vector(1, 0, 0)
    turned = rewritten(question, bridge, anchor)
    assert np.linalg.norm(turned) == pytest.approx(1.0)
    assert likeness(turned, vector(0, 1, 0)) > likeness(question, vector(0, 1, 0))
    assert likeness(turned, vector(1, 0, 0)) < 1
    assert list(rewritten(question, None, None)) == [1, 0, 0]


def test_vectors_that_do_not_compare_are_not_alike() -> None:
    assert likeness(vector(1, 0), vector(1, 0, 0)) == 0
    assert likeness(vector(1, 0), None) == 0
    assert list(normalised(vector(0, 0))) == [0, 0]


def test_without_bridges_it_is_the_order_of_the_passages_own_worth() -> None:
    chosen = ranking(candidate("a", 0.2), candidate("b", 0.9), candidate("c", 0.5))
    assert names(chosen, 3) == ["b", "c", "a"]
    assert names(chosen, 1) == ["b"]
    assert ranking().best(5) == []


def test_a_good_bridge_lifts_what_the_question_does_not_find() -> None:
    people = [candidate(f"p{n}", 0.6 - n / 100) for n in range(8)]
    low = candidate("low", 0.1)
    placed = ranking(*people, low, bridges=(("p0", "low", 0.8),)).best(3)
    assert [one.key[1] for one in placed][:2] == ["p0", "low"]
    bridge = placed[1].bridge
    assert bridge is not None
    assert bridge.anchor == ("docs", "p0")
    # The guard: a bridge to something that explains no more than the plain question's own passages changes nothing.
    weak = ranking(*people, low, bridges=(("p0", "low", 0.1),))
    assert names(weak, 6) == names(ranking(*people), 6)


def test_scores_fall_from_first_to_last() -> None:
    people = [candidate(f"p{n}", 0.6 - n / 100, terms=n % 8) for n in range(30)]
    chosen = ranking(*people, bridges=(("p3", "p20", 0.9), ("p1", "p25", 0.8)), terms=3)
    scores = [placed.score for placed in chosen.best(30)]
    assert scores == sorted(scores, reverse=True)
    assert len({placed.key for placed in chosen.best(30)}) == 30


def test_terms_count_wherever_they_stand() -> None:
    point = Point("docs", "a", None, "She met ÉMILE’s aunt.", "d", "The Letter", (), 0, 0, 1, None)
    assert terms_in(point, ["aunt", "emile", "letter", "uncle"]) == 0b0111


def test_passages_that_cover_more_of_the_question_together_come_first() -> None:
    one, same, other = candidate("one", 0.6, 0b01), candidate("same", 0.59, 0b01), candidate("other", 0.5, 0b10)
    assert names(ranking(one, same, other, terms=2), 2) == ["one", "other"]


def test_ties_are_decided_by_the_key() -> None:
    equal = [candidate(name, 0.5) for name in "dbca"]
    assert names(ranking(*equal), 4) == names(ranking(*reversed(equal)), 4)
    key: Key = ("docs", "a")
    assert ranking(*equal).best(1)[0].key == key
