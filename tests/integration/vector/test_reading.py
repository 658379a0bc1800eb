"""Scrolling, and what a question says about its answer: offset, threshold, exactness, fields."""

import random
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from pergola.vector.v1 import point_pb2 as pb
from tests.support.vector import Vector, caller, status, violations

_COUNT = 300


@pytest.fixture(scope="module")
async def filled(vector_address: str) -> Any:
    """A collection whose points have years, some none, and a color."""
    dice = random.Random(11)
    async with caller(vector_address) as vector:
        name = await vector.create(dimension=3)
        points = []
        for n in range(_COUNT):
            payload: dict[str, Any] = {"color": dice.choice(["red", "blue"]), "deep": {"n": n}}
            if n % 3:
                payload["year"] = dice.choice([1800, 1900.5, "unknown", None, True, 2000])
            numbers = [dice.gauss(0, 1) for _ in range(3)]
            points.append({"id": f"p{n:03}", "vector": {"values": numbers}, "payload": payload, "text": "a word"})
        await vector.points.UpsertPoints(ParseDict({"collection": name, "points": points}, pb.UpsertPointsRequest()))
        yield vector, name, points


async def scroll(vector: Vector, collection: str, **fields: Any) -> list[pb.ScrollPointsResponse]:
    request = ParseDict({"collection": collection} | fields, pb.ScrollPointsRequest())
    return [message async for message in vector.points.ScrollPoints(request)]


def ids(messages: list[pb.ScrollPointsResponse]) -> list[str]:
    return [one.id for message in messages for one in message.points]


async def test_a_scroll_brings_every_point_once_in_order(filled: Any) -> None:
    vector, name, points = filled
    messages = await scroll(vector, name, batch_size=70, with_vector=True)
    assert [len(one.points) for one in messages] == [70, 70, 70, 70, 20]
    assert ids(messages) == sorted(one["id"] for one in points)
    assert len(messages[0].points[0].vector.packed) == 12
    red = await scroll(vector, name, filter={"must": [{"key": "color", "match": "red"}]}, limit=20)
    assert ids(red) == [one["id"] for one in points if one["payload"]["color"] == "red"][:20]


def _rank(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, 0
    if isinstance(value, str):
        return 1, value
    return (3, value) if isinstance(value, bool) else (2, value)


@pytest.mark.parametrize("descending", [False, True])
async def test_a_scroll_goes_by_a_field_and_goes_on_where_another_ended(filled: Any, descending: bool) -> None:
    vector, name, points = filled
    order = {"order_by": {"key": "year", "descending": descending}}
    expected = [
        one["id"]
        for one in sorted(
            sorted(points, key=lambda one: one["id"]),
            key=lambda one: _rank(one["payload"].get("year")),
            reverse=descending,
        )
    ]
    if descending:
        # The ids of equal values still go up.
        expected = [
            one["id"]
            for one in sorted(
                sorted(points, key=lambda one: one["id"], reverse=True),
                key=lambda one: _rank(one["payload"].get("year")),
            )
        ][::-1]
    assert ids(await scroll(vector, name, **order)) == expected
    for stop in (1, 99, 250):
        first = await scroll(vector, name, limit=stop, batch_size=40, **order)
        rest = await scroll(vector, name, page_token=first[-1].next_page_token, **order)
        assert ids(first) + ids(rest) == expected
    assert [one["id"] for one in points if one["payload"]["deep"]["n"] >= 290] == ids(
        await scroll(vector, name, limit=10, order_by={"key": "deep.n", "descending": True})
    )[::-1]


async def test_points_written_before_the_place_are_not_met(vector: Vector) -> None:
    name = await vector.create(dimension=2)

    async def upsert(*names: str) -> None:
        points = [pb.NewPoint(id=one, vector=pb.Vector(values=[1, 2])) for one in names]
        await vector.points.UpsertPoints(pb.UpsertPointsRequest(collection=name, points=points))

    await upsert("b", "d")
    first = await scroll(vector, name, limit=1)
    await upsert("a", "c")
    assert ids(await scroll(vector, name, page_token=first[0].next_page_token)) == ["c", "d"]


async def test_a_token_of_another_scroll_is_refused(filled: Any) -> None:
    vector, name, _ = filled
    (first,) = await scroll(vector, name, limit=1)
    with pytest.raises(grpc.RpcError) as error:
        await scroll(vector, name, page_token=first.next_page_token, order_by={"key": "year"})
    assert status(error.value) == ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")
    for fields, field in (({"order_by": {"key": "a..b"}}, "order_by.key"), ({"filter": {}}, "filter")):
        with pytest.raises(grpc.RpcError) as error:
            await scroll(vector, name, **fields)
        assert violations(error.value) == [field]
    with pytest.raises(grpc.RpcError) as error:
        await scroll(vector, "nowhere")
    assert status(error.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")


async def query(vector: Vector, collection: str, /, **fields: Any) -> list[pb.ScoredPoint]:
    request = ParseDict({"collection": collection} | fields, pb.QueryPointsRequest())
    return list((await vector.points.QueryPoints(request)).points)


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
async def test_pages_of_an_answer_make_the_answer(filled: Any, mode: str) -> None:
    vector, name, _ = filled
    asked: dict[str, Any] = {"text": "word", "mode": mode, "vector": {"values": [1, 0, 0]}}
    # Both arms of a hybrid search look as deep for each of these.
    whole = await query(vector, name, k=50, **asked)
    pages = [await query(vector, name, k=10, offset=offset, **asked) for offset in range(0, 50, 10)]
    assert [one.score for page in pages for one in page] == [one.score for one in whole]
    threshold = whole[40].score
    cut = await query(vector, name, k=50, score_threshold=threshold, **asked)
    assert [one.point.id for one in cut] == [one.point.id for one in whole if one.score >= threshold]


async def test_exact_and_wide_searches_agree_on_a_small_collection(filled: Any) -> None:
    vector, name, _ = filled
    asked: dict[str, Any] = {"vector": {"values": [0.5, 1, 0]}, "k": 30}
    exact = await query(vector, name, exact=True, **asked)
    assert len(exact) == 30
    assert exact == await query(vector, name, ef=400, **asked) == await query(vector, name, **asked)


async def test_only_the_fields_asked_for_come(filled: Any) -> None:
    vector, name, _ = filled
    (found,) = await query(vector, name, vector={"values": [1, 0, 0]}, k=1, payload_fields=["color", "nothing"])
    assert set(MessageToDict(found.point.payload)) == {"color"}
    (message,) = await scroll(vector, name, limit=1, payload_fields=["deep"])
    assert MessageToDict(message.points[0].payload) == {"deep": {"n": 0.0}}
    (message,) = await scroll(vector, name, limit=1, with_payload=False)
    assert not message.points[0].payload.fields
    assert not message.points[0].text


@pytest.mark.parametrize(
    "fields",
    [
        {"exact": True, "ef": 10},
        {"mode": "lexical", "exact": True},
        {"with_payload": False, "payload_fields": ["a"]},
        {"offset": 10_001},
        {"offset": -1},
        {"ef": 0},
        {"score_threshold": "NaN"},
    ],
)
async def test_what_has_no_meaning_is_refused(filled: Any, fields: dict[str, Any]) -> None:
    vector, name, _ = filled
    with pytest.raises(grpc.RpcError) as error:
        await query(vector, name, text="word", vector={"values": [1, 0, 0]}, **fields)
    assert status(error.value) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")


async def batch(vector: Vector, collection: str, *queries: dict[str, Any]) -> list[pb.QueryPointsResponse]:
    request = ParseDict({"collection": collection, "queries": list(queries)}, pb.QueryBatchRequest())
    return list((await vector.points.QueryBatch(request)).answers)


async def test_a_batch_answers_what_each_question_alone_would(filled: Any) -> None:
    vector, name, _ = filled
    queries: list[dict[str, Any]] = [
        {"vector": {"values": [1, 0, n / 10]}, "k": 1 + n, "filter": {"must": [{"key": "color", "match": "red"}]}}
        for n in range(12)
    ] + [{"text": "word", "mode": "lexical", "payload_fields": ["color"]}, {"collection": name, "text": "no such thing",
         "mode": "lexical"}]  # fmt: skip
    answers = await batch(vector, name, *queries)
    alone = [await query(vector, name, **{key: value for key, value in one.items() if key != "collection"})
             for one in queries]  # fmt: skip
    assert [list(one.points) for one in answers] == alone
    assert [len(one.points) for one in answers] == [*range(1, 13), 10, 0]


@pytest.mark.parametrize(
    ("wrong", "reason", "field"),
    [
        ({"vector": {"values": [1, 0]}}, "DIMENSION_MISMATCH", "queries[1].vector"),
        ({"vector": {"values": [0, 0, 0]}}, "INVALID_VECTOR", "queries[1].vector"),
        ({"text": "needs a model of three numbers"}, "DIMENSION_MISMATCH", "queries[1].vector"),
        ({"vector": {"values": [1, 0, 0]}, "filter": {"must": [{}]}}, "INVALID_ARGUMENT", "queries[1].filter.must[0]"),
        ({"vector": {"values": [1, 0, 0]}, "k": 0}, "INVALID_ARGUMENT", "queries[1].k"),
        ({"vector": {"values": [1, 0, 0]}, "collection": "other"}, "INVALID_ARGUMENT", "queries[1].collection"),
        ({}, "INVALID_ARGUMENT", "queries[1]"),
    ],
)
async def test_a_batch_names_the_question_that_is_wrong(
    filled: Any, wrong: dict[str, Any], reason: str, field: str
) -> None:
    vector, name, _ = filled
    with pytest.raises(grpc.RpcError) as error:
        await batch(vector, name, {"vector": {"values": [1, 0, 0]}}, wrong)
    assert status(error.value) == ("INVALID_ARGUMENT", reason)
    assert violations(error.value) == [field]


async def test_a_batch_is_neither_empty_nor_of_a_collection_that_is_missing(filled: Any) -> None:
    vector, name, _ = filled
    for collection, queries, expected in (
        (name, [], ("INVALID_ARGUMENT", "INVALID_ARGUMENT")),
        ("", [{"vector": {"values": [1]}}], ("INVALID_ARGUMENT", "INVALID_ARGUMENT")),
        ("nowhere", [{"vector": {"values": [1]}}] * 9, ("NOT_FOUND", "COLLECTION_NOT_FOUND")),
    ):
        with pytest.raises(grpc.RpcError) as error:
            await batch(vector, collection, *queries)
        assert status(error.value) == expected
