"""QueryPoints and GetPoints against what brute force in Python finds."""

import math
import random
from collections import Counter

import grpc
import numpy as np
import pytest

from pergola.vector.v1 import document_pb2, point_pb2
from services.vector.text import words
from tests.support.vector import Vector, status, violations

_SUBJECTS = ["The baker", "A sailor", "My neighbour", "The old queen", "Every child", "The last dragon"]
_VERBS = ["buys", "paints", "loses", "remembers", "steals", "repairs"]
_OBJECTS = ["a red lantern", "two boats", "the longest bridge", "bread and salt", "an old map", "a quiet song"]


def _texts(count: int) -> list[str]:
    dice = random.Random(7)
    return [
        f"{' '.join(dice.choice(part) for part in (_SUBJECTS, _VERBS, _OBJECTS))}. Number {n}." for n in range(count)
    ]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return _texts(150)


@pytest.fixture(scope="session")
def collections_made() -> dict[str, str]:
    return {}


async def _filled(vector: Vector, made: dict[str, str], distance: str, texts: list[str]) -> str:
    if distance not in made:
        made[distance] = await vector.create(distance=distance)
        documents = [document_pb2.Document(id=f"d{n}", title="t", text=text) for n, text in enumerate(texts)]
        await vector.ingest(made[distance], *documents)
    return made[distance]


@pytest.mark.parametrize("distance", ["cosine", "inner_product", "l2"])
async def test_dense_search_is_exact(
    vector: Vector, texts: list[str], collections_made: dict[str, str], distance: str
) -> None:
    collection = await _filled(vector, collections_made, distance, texts)
    everything = await vector.query(collection, text="a boat", mode="dense", k=1000, with_vector=True)
    assert len(everything) == len(texts)
    vectors = np.array([np.frombuffer(one.point.vector.packed, "<f4") for one in everything], np.float64)
    asked = np.random.default_rng(3).normal(size=384).astype(np.float32)
    exact = {
        "cosine": vectors @ asked / np.linalg.norm(vectors, axis=1) / np.linalg.norm(asked),
        "inner_product": vectors @ asked,
        "l2": -np.linalg.norm(vectors - asked, axis=1),
    }[distance]
    best = sorted(exact, reverse=True)[:20]
    found = await vector.query(collection, vector=point_pb2.Vector(packed=asked.tobytes()), k=20)
    assert [one.score for one in found] == pytest.approx(best, abs=0.02)
    assert [one.dense_score for one in found] == [one.score for one in found]
    assert not found[0].HasField("lexical_score")
    by_id = {one.point.id: score for one, score in zip(everything, exact, strict=True)}
    assert [by_id[one.point.id] for one in found] == pytest.approx(best, abs=0.02)


async def test_both_ways_to_write_a_vector_mean_the_same(
    vector: Vector, texts: list[str], collections_made: dict[str, str]
) -> None:
    collection = await _filled(vector, collections_made, "cosine", texts)
    asked = np.random.default_rng(4).normal(size=384).astype("<f4")
    packed = await vector.query(collection, vector=point_pb2.Vector(packed=asked.tobytes()))
    values = await vector.query(collection, vector=point_pb2.Vector(values=asked.tolist()))
    assert packed == values


@pytest.mark.parametrize("question", ["the sailor steals bread", "dragon", "old map 17", "NUMBER", "x"])
async def test_lexical_search_is_bm25(
    vector: Vector, texts: list[str], collections_made: dict[str, str], question: str
) -> None:
    collection = await _filled(vector, collections_made, "cosine", texts)
    # A passage is found by its title too.
    expected = _bm25([f"t\n{text}" for text in texts], question)
    found = await vector.query(collection, text=question, mode="lexical", k=1000)
    assert [one.score for one in found] == pytest.approx(sorted(expected.values(), reverse=True))
    for one in found:
        assert one.score == pytest.approx(expected[int(one.point.chunk.document[1:])])
        assert one.lexical_score == one.score
        assert not one.HasField("dense_score")


async def test_hybrid_search_fuses_both_ranks(
    vector: Vector, texts: list[str], collections_made: dict[str, str]
) -> None:
    collection = await _filled(vector, collections_made, "cosine", texts)
    question = "a child repairs the longest bridge"
    dense = await vector.query(collection, text=question, mode="dense", k=64)
    lexical = await vector.query(collection, text=question, mode="lexical", k=64)
    ranks: Counter[str] = Counter()
    for arm in (dense, lexical):
        for place, one in enumerate(arm, 1):
            ranks[one.point.id] += 1 / (60 + place)  # type: ignore[assignment]
    found = await vector.query(collection, text=question, k=10)
    # Points with equal scores may change places between two searches, and so their ranks.
    assert [one.score for one in found] == pytest.approx(sorted(ranks.values(), reverse=True)[:10], rel=0.03)
    assert found[0].HasField("dense_score")
    assert found[0].HasField("lexical_score")


async def test_statistics_follow_every_change(vector: Vector) -> None:
    collection = await vector.create()
    texts = {f"d{n}": text for n, text in enumerate(_texts(30))}
    await vector.ingest(
        collection, *(document_pb2.Document(id=name, title="t", text=text) for name, text in texts.items())
    )
    for name in ("d3", "d11", "d12"):
        texts[name] = f"Now {name} tells of a lantern, a lantern and a lantern."
        await vector.ingest(collection, document_pb2.Document(id=name, title="t", text=texts[name]))
    expected = _bm25([f"t\n{text}" for text in texts.values()], "a red lantern")
    found = await vector.query(collection, text="a red lantern", mode="lexical", k=1000)
    assert [one.score for one in found] == pytest.approx(sorted(expected.values(), reverse=True))


async def test_less_can_be_asked_for(vector: Vector, texts: list[str], collections_made: dict[str, str]) -> None:
    collection = await _filled(vector, collections_made, "cosine", texts)
    (bare,) = await vector.query(collection, text="dragon", k=1, with_payload=False)
    assert not bare.point.HasField("chunk")
    assert not bare.point.HasField("payload")
    assert not bare.point.HasField("vector")


async def test_points_are_read_in_the_order_asked(
    vector: Vector, texts: list[str], collections_made: dict[str, str]
) -> None:
    collection = await _filled(vector, collections_made, "cosine", texts)
    found = await vector.query(collection, text="dragon", k=3, with_vector=True)
    ids = [one.point.id for one in found][::-1]
    request = point_pb2.GetPointsRequest(collection=collection, ids=[ids[0], "none", *ids[1:]], with_vector=True)
    reply = await vector.points.GetPoints(request)
    assert list(reply.points) == [one.point for one in found][::-1]
    assert list(reply.missing) == ["none"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (point_pb2.Vector(values=[1.0, 2.0]), "DIMENSION_MISMATCH"),
        (point_pb2.Vector(packed=b"\0" * 6), "INVALID_VECTOR"),
        (point_pb2.Vector(packed=np.full(384, np.nan, "<f4").tobytes()), "INVALID_VECTOR"),
        (point_pb2.Vector(packed=np.full(384, np.inf, "<f4").tobytes()), "INVALID_VECTOR"),
        (point_pb2.Vector(packed=np.zeros(384, "<f4").tobytes()), "INVALID_VECTOR"),
    ],
)
async def test_a_vector_that_can_not_be_right_is_refused_by_name(
    vector: Vector, given: point_pb2.Vector, reason: str
) -> None:
    collection = await vector.create()
    with pytest.raises(grpc.RpcError) as caught:
        await vector.query(collection, vector=given)
    assert status(caught.value) == ("INVALID_ARGUMENT", reason)
    assert violations(caught.value)[0].startswith("vector")


async def test_a_number_beyond_the_storage_is_refused(vector: Vector) -> None:
    collection = await vector.create(distance="l2", dimension=2)
    with pytest.raises(grpc.RpcError) as caught:
        await vector.query(collection, vector=point_pb2.Vector(values=[1e5, 0]))
    assert status(caught.value) == ("INVALID_ARGUMENT", "INVALID_VECTOR")
    large = await vector.create(dimension=2)
    assert await vector.query(large, vector=point_pb2.Vector(values=[3e38, 3e38])) == []


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"vector": point_pb2.Vector(values=[1.0]), "mode": "hybrid"},
        {"text": "a", "mode": "fuzzy"},
        {"text": "a", "k": 0},
    ],
)
async def test_a_query_that_asks_nothing_is_refused(vector: Vector, fields: dict[str, object]) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await vector.query("c", **fields)
    assert status(caught.value) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")


async def test_a_text_can_not_be_asked_of_a_collection_no_model_embeds_for(vector: Vector) -> None:
    collection = await vector.create(dimension=3)
    with pytest.raises(grpc.RpcError) as caught:
        await vector.query(collection, text="a")
    assert status(caught.value) == ("INVALID_ARGUMENT", "DIMENSION_MISMATCH")
    assert await vector.query(collection, text="a", mode="lexical") == []
    job = await vector.ingest(collection, "text")
    assert (job.status, job.error.reason) == ("failed", "DIMENSION_MISMATCH")


@pytest.mark.parametrize("question", ["", "!!! ???", "\0", "'; DROP TABLE pergola.jobs; --", "🔥" * 3000, "a " * 16000])
async def test_odd_questions_are_questions(
    vector: Vector, texts: list[str], collections_made: dict[str, str], question: str
) -> None:
    collection = await _filled(vector, collections_made, "cosine", texts)
    if question:
        assert len(await vector.query(collection, text=question, k=5)) == 5


def _bm25(passages: list[str], question: str) -> dict[int, float]:
    """BM25 by the book, k1 1.2 and b .75; only passages with one of the words."""
    made = [words.of_passage(passage) for passage in passages]
    average = sum(one.length for one in made) / len(made)
    scores: dict[int, float] = {}
    for term in words.of_query(question):
        holders = [place for place, one in enumerate(made) if term in one.counts]
        idf = math.log(1 + (len(made) - len(holders) + 0.5) / (len(holders) + 0.5))
        for place in holders:
            count = made[place].counts[term]
            norm = 1.2 * (1 - 0.75 + 0.75 * made[place].length / average)
            scores[place] = scores.get(place, 0.0) + idf * count * 2.2 / (count + norm)
    return scores
