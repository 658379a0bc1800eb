"""Searches through the real gateway, in JSON as a person writes it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.stacks import Suite

_POINTS: list[dict[str, Any]] = [
    {"id": "lamp", "text": "A red lantern hangs over the harbour.",
     "payload": {"year": 1890, "weight": 1.5, "tags": ["red", "old"], "made": "1890-05-01", "author": {"name": "Ada"},
                 "parts": [{"color": "red", "size": 3}, {"color": "green", "size": 1}]}},
    {"id": "boat", "text": "Two boats are painted in the harbour.",
     "payload": {"year": 1905, "weight": 80.0, "tags": ["blue"], "made": "1905-01-02T10:00:00Z",
                 "author": {"name": "Bo"},
                 "parts": [{"color": "red", "size": 1}], "owner": None}},
    {"id": "cat", "text": "고양이가 집에 있다", "payload": {"year": 2020, "tags": []}},
]  # fmt: skip


@pytest_asyncio.fixture(scope="module")
async def http(suite: Suite) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(suite.gateway) as session:
        yield session


@pytest_asyncio.fixture(scope="module")
async def base(http: aiohttp.ClientSession) -> str:
    """The path of a collection with points."""
    name = f"search-{uuid.uuid4().hex[:8]}"
    made = await post(http, "/api/collections", {"name": name, "lexical": {"language": "english", "b": 0.5}})
    assert made["lexical"] == {"language": "english", "k1": 1.2, "b": 0.5}
    stored = await post(http, f"/api/collections/{name}/points", {"points": _POINTS})
    assert stored == {"stored_count": 3, "failures": []}
    return f"/api/collections/{name}"


async def post(http: aiohttp.ClientSession, path: str, body: Any, status: int = 200) -> Any:
    async with http.post(path, json=body) as response:
        assert response.status == status, await response.text()
        return await response.json()


def ids(answer: Any) -> list[str]:
    return [one["point"]["id"] for one in answer["points"]]


async def test_a_dense_a_hybrid_and_a_lexical_question(http: aiohttp.ClientSession, base: str) -> None:
    dense = await post(http, f"{base}/points/query", {"text": "a lamp at the port", "mode": "dense", "k": 1})
    assert ids(dense) == ["lamp"]
    assert "lexical_score" not in dense["points"][0]
    hybrid = await post(
        http,
        f"{base}/points/query",
        {"text": "a painted boat", "k": 2, "fusion": {"method": "scores", "dense_weight": 0.5, "lexical_weight": 2}},
    )
    assert ids(hybrid)[0] == "boat"
    assert hybrid["points"][0]["score"] <= 1
    assert {"dense_score", "lexical_score"} <= hybrid["points"][0].keys()
    lexical = await post(
        http, f"{base}/points/query", {"lexical": {"phrases": ["lanterns hang"], "prefixes": ["harb"]}}
    )
    assert ids(lexical) == ["lamp"]
    korean = await post(http, f"{base}/points/query", {"text": "고양이", "k": 1})
    assert ids(korean) == ["cat"]
    vector = [0.1] * 384
    assert len(ids(await post(http, f"{base}/points/query", {"vector": {"values": vector}, "exact": True}))) == 3


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"key": "year", "match": 1890}, {"lamp"}),
        ({"key": "tags", "match": "old"}, {"lamp"}),
        ({"key": "author.name", "any_of": ["Ada", "Bo"]}, {"lamp", "boat"}),
        ({"key": "tags", "none_of": ["red", "old"]}, {"boat"}),
        ({"key": "weight", "range": {"gt": 1.25, "lte": 1.5}}, {"lamp"}),
        ({"key": "year", "integer_range": {"gte": 1905}}, {"boat", "cat"}),
        ({"key": "weight", "integer_range": {"gte": 0}}, {"boat"}),
        ({"key": "made", "datetime": {"gte": "1900-01-01T00:00:00Z"}}, {"boat"}),
        ({"key": "author.name", "prefix": "A"}, {"lamp"}),
        ({"key": "owner", "is_null": True}, {"boat"}),
        ({"key": "tags", "is_empty": True}, {"cat"}),
        ({"key": "parts", "values_count": {"gte": 2}}, {"lamp"}),
        (
            {"key": "parts", "nested": {"must": [
                {"key": "color", "match": "red"}, {"key": "size", "range": {"gt": 2}}]}},
            {"lamp"},
        ),
        ({"has_id": ["cat", "none"]}, {"cat"}),
        ({"words": "harbours"}, {"lamp", "boat"}),
        ({"phrase": "in the harbour"}, {"boat"}),
        ({"words_prefix": "lant"}, {"lamp"}),
        ({"filter": {"should": [{"has_id": ["cat"]}, {"words": "boat"}]}}, {"cat", "boat"}),
        (
            {"filter": {"min_should": {"min_count": 2, "conditions": [
                {"words": "harbour"}, {"key": "year", "match": 1890}, {"key": "year", "match": 2020}]}}},
            {"lamp"},
        ),
    ],
)  # fmt: skip
async def test_every_kind_of_filter(
    http: aiohttp.ClientSession, base: str, condition: dict[str, Any], expected: set[str]
) -> None:
    asked, but = {"must": [condition]}, {"must_not": [condition]}
    found, others, count = await asyncio.gather(
        post(http, f"{base}/points/query", {"text": "harbour", "mode": "dense", "filter": asked}),
        post(http, f"{base}/points/query", {"text": "harbour", "mode": "dense", "filter": but}),
        post(http, f"{base}/points/count", {"filter": asked}),
    )
    assert set(ids(found)) == expected
    assert set(ids(others)) == {"lamp", "boat", "cat"} - expected
    assert int(count["count"]) == len(expected)


async def test_a_query_is_explained(http: aiohttp.ClientSession, base: str) -> None:
    body = {
        "query": {"text": "red lanterns", "k": 1, "filter": {"must": [{"key": "year", "range": {"lt": 2000}}]}},
        "with_plan": True,
    }
    answer = await post(http, f"{base}/points/explain", body)
    assert answer["mode"] == "hybrid"
    assert answer["filter"]["selectivity"] == pytest.approx(2 / 3)
    assert {(one["term"], one["role"]) for one in answer["lexical"]["terms"]} == {
        ("red", "candidates"),
        ("lantern", "candidates"),
    }
    best = answer["points"][0]
    assert (best["scored"]["point"]["id"], best["rank"], best["lexical_rank"]) == ("lamp", 1, 1)
    assert best["dense_part"] + best["lexical_part"] == pytest.approx(best["scored"]["score"])
    assert [one["name"] for one in answer["stages"]] == ["embed", "lean", "probe", "search"]
    assert "Execution Time" in answer["plan"]


async def test_weights_are_changed_by_patch(http: aiohttp.ClientSession, base: str) -> None:
    body = {"collection": {"lexical": {"k1": 0.9}}, "update_mask": "lexical.k1"}
    async with http.patch(base, json=body) as response:
        answer = await response.json()
        assert (response.status, answer["lexical"]) == (200, {"language": "english", "k1": 0.9, "b": 0.5}), answer
    body = {"collection": {"lexical": {"language": "german"}}, "update_mask": "lexical.language"}
    async with http.patch(base, json=body) as response:
        error = (await response.json())["error"]
        assert (response.status, error["reason"]) == (409, "LANGUAGE_FIXED")


@pytest.mark.parametrize(
    ("path", "body", "reason", "field"),
    [
        ("/points/query", {"vector": {"values": [1, 2]}}, "DIMENSION_MISMATCH", "vector"),
        ("/points/query", {"vector": {"values": ["NaN"] * 384}}, "INVALID_ARGUMENT", "vector.values[0]"),
        ("/points/query", {"vector": {}}, "INVALID_ARGUMENT", "vector"),
        ("/points/query", {"text": "a", "filter": {"must": [{}]}}, "INVALID_ARGUMENT", "filter.must[0]"),
        (
            "/points/query-batch",
            {"queries": [{"text": "a"}, {"vector": {"values": [1]}}]},
            "DIMENSION_MISMATCH",
            "queries[1].vector",
        ),
        ("/points/explain", {"query": {"text": "a", "filter": {}}}, "INVALID_ARGUMENT", "query.filter"),
    ],
)
async def test_what_is_wrong_is_named(
    http: aiohttp.ClientSession, base: str, path: str, body: dict[str, Any], reason: str, field: str
) -> None:
    error = (await post(http, base + path, body, status=400))["error"]
    assert (error["reason"], error["violations"][0]["field"]) == (reason, field)
    missing = await post(http, "/api/collections/none/points/query", {"text": "a"}, status=404)
    assert missing["error"]["reason"] == "COLLECTION_NOT_FOUND"
