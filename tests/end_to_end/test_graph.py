"""The knowledge graph as curl sees it: written and read through the real gateway."""

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest_asyncio

from tests.stacks import Suite

ENTITIES = [
    {"name": "Ada Lovelace", "type": "person", "aliases": ["The Enchantress"], "properties": {"born": 1815}},
    {"name": "Charles Babbage", "type": "person", "properties": {"born": 1791}},
    {"name": "Analytical Engine", "type": "machine"},
]
RELATIONS = [
    {"source": "Ada Lovelace", "target": "Charles Babbage", "type": "knows", "weight": 3},
    {"source": "Charles Babbage", "target": "Analytical Engine", "type": "designed", "weight": 5},
    {"source": "Analytical Engine", "target": "Punched Cards", "type": "reads"},
]


@pytest_asyncio.fixture(scope="module")
async def http(suite: Suite) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(suite.gateway) as session:
        yield session


@pytest_asyncio.fixture(scope="module")
async def graph(http: aiohttp.ClientSession) -> str:
    """The path of a graph with some entities."""
    path = f"/api/graph/known-{uuid.uuid4().hex[:8]}"
    for what, items in (("entities", ENTITIES), ("relations", RELATIONS)):
        status, text = await post(http, f"{path}/{what}", {what: items})
        assert status == 200, text
    return path


async def post(http: aiohttp.ClientSession, path: str, body: Any) -> tuple[int, str]:
    async with http.post(path, json=body) as response:
        return response.status, await response.text()


async def get(http: aiohttp.ClientSession, path: str, **params: str) -> tuple[int, str]:
    async with http.get(path, params=params) as response:
        return response.status, await response.text()


async def test_entities_by_key_and_by_name(http: aiohttp.ClientSession, graph: str) -> None:
    _, text = await post(http, f"{graph}/entities/get", {"keys": ["ada lovelace", "nobody"]})
    answer = json.loads(text)
    assert answer["missing"] == ["nobody"]
    (ada,) = answer["entities"]
    assert (ada["name"], ada["type"], ada["properties"], ada["manual"]) == (
        "Ada Lovelace",
        "person",
        {"born": 1815},
        True,
    )
    _, text = await get(http, f"{graph}/entities", query="ada lovelcae", match="fuzzy")
    answer = json.loads(text)
    assert [one["key"] for one in answer["entities"]] == ["ada lovelace"]
    assert 0.9 < answer["scores"][0] < 1
    _, text = await get(http, f"{graph}/entities", query="a device that computes", match="meaning", limit="1")
    assert [one["key"] for one in json.loads(text)["entities"]] == ["analytical engine"]
    status, text = await get(http, f"{graph}/entities", query="ada", match="sounds")
    assert (status, json.loads(text)["error"]["violations"][0]["field"]) == (400, "match")


async def test_neighbours_ways_and_a_traversal(http: aiohttp.ClientSession, graph: str) -> None:
    _, text = await post(http, f"{graph}/neighbors", {"key": "charles babbage", "page_size": 1})
    answer = json.loads(text)
    assert [(one["relation"]["type"], one["entity"]["key"]) for one in answer["neighbors"]] == [
        ("designed", "analytical engine")
    ]
    again = {"key": "charles babbage", "page_size": 1, "page_token": answer["next_page_token"]}
    _, text = await post(http, f"{graph}/neighbors", again)
    assert json.loads(text)["neighbors"][0]["relation"]["type"] == "knows"
    status, text = await post(http, f"{graph}/neighbors", again | {"key": "ada lovelace"})
    assert (status, json.loads(text)["error"]["reason"]) == (400, "INVALID_PAGE_TOKEN")
    _, text = await post(http, f"{graph}/paths", {"source": "ada lovelace", "target": "punched cards"})
    (path,) = json.loads(text)["paths"]
    assert [one["name"] for one in path["entities"]] == [
        "Ada Lovelace",
        "Charles Babbage",
        "Analytical Engine",
        "Punched Cards",
    ]
    _, text = await post(http, f"{graph}/traverse", {"keys": ["ada lovelace"], "along": {"direction": "out"}})
    events = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
    assert [one["visit"]["entity"]["key"] for one in events[:-1]] == [
        "ada lovelace",
        "charles babbage",
        "analytical engine",
    ]
    assert events[-1]["done"]["entity_count"] == 3


async def test_an_export_is_jsonl_and_counts_agree(http: aiohttp.ClientSession, graph: str) -> None:
    async with http.get(f"{graph}/export") as response:
        assert response.content_type == "application/jsonl"
        lines = [next(iter(json.loads(line).items())) for line in (await response.text()).splitlines()]
    assert [kind for kind, _ in lines] == ["entity"] * 4 + ["relation"] * 3 + ["summary"]
    _, text = await get(http, f"{graph}/stats")
    counted = json.loads(text)
    assert (counted["entity_count"], counted["relation_count"]) == ("4", "3")
    assert lines[-1][1]["entity_count"] == 4


async def test_a_plan_is_told_and_nothing_is_run(http: aiohttp.ClientSession) -> None:
    query = "MATCH (e:Entity) WHERE e.uid = $uid RETURN e.name"
    status, text = await post(http, "/api/graph/query/explain", {"query": query, "parameters": {"uid": "a/b"}})
    assert status == 200
    assert "Entity" in json.loads(text)["plan"]
    status, text = await post(http, "/api/graph/query/explain", {"query": "MATCH (e RETURN e"})
    assert (status, json.loads(text)["error"]["reason"]) == (400, "INVALID_CYPHER")
