"""A graph written through the gateway, in JSON as a person would write it."""

import json
from typing import Any

import aiohttp

from tests.stacks import Suite


async def test_entities_relations_and_merges_in_json(suite: Suite) -> None:
    async with aiohttp.ClientSession(suite.gateway) as session:

        async def post(path: str, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
            async with session.post(f"/api/graph/people/{path}", json=body) as answer:
                text = await answer.text()
                assert answer.status == status, text
                return dict(json.loads(text))

        ada = {"name": "Ada Lovelace", "type": "person", "properties": {"born": 1815, "fields": ["mathematics"]}}
        stored = await post("entities", {"entities": [ada, {"name": "Ada", "properties": {"uid": "x"}}]})
        assert stored["keys"] == ["ada lovelace", ""]
        assert [one["reason"] for one in stored["failures"]] == ["RESERVED_PROPERTY"]
        relation = {"source": "Countess of Lovelace", "target": "Lord Byron", "type": "child_of", "weight": 0.5}
        assert (await post("relations", {"relations": [relation]}))["created_count"] == 1
        merged = await post("merges", {"target": "ada lovelace", "sources": ["countess of lovelace"]})
        assert merged["entity"]["aliases"] == ["Countess of Lovelace"]
        assert merged["entity"]["properties"] == {"born": 1815, "fields": ["mathematics"]}
        near = await post("neighbors", {"key": "ada lovelace"})
        assert [(one["entity"]["key"], one["relation"]["weight"]) for one in near["neighbors"]] == [("lord byron", 0.5)]
        back = await post(f"merges/{merged['merge']['id']}/undo", {})
        assert [one["key"] for one in back["entities"]] == ["ada lovelace", "countess of lovelace"]
        gone = await post(f"merges/{merged['merge']['id']}/undo", {}, 404)
        assert gone["error"]["reason"] == "MERGE_NOT_FOUND"
        unsaid = {"entities": [{"name": "x", "mentions": [{"document": "none", "chunk": 0}]}]}
        assert (await post("entities", unsaid))["failures"][0]["reason"] == "PASSAGE_NOT_FOUND"
        keys = ["ada lovelace", "countess of lovelace", "lord byron"]
        assert (await post("entities/delete", {"keys": keys}))["deleted_count"] == 3
