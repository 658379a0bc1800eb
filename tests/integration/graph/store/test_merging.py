"""A merge is a record: what is said under each name stays apart, so that it can be taken back."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from services.graph.indexes import given
from services.graph.model import Evidence, Merge, NewEntity, NewRelation, RelationKey
from services.graph.store import GraphStore
from services.graph.stores.statements.writing import given as of_given
from services.runtime.errors import AlreadyMerged, EntityNotFound, MergedSince, MergeNotFound
from tests import bounds
from tests.support.followed import Followed
from tests.support.graph_dump import dump

A = "\nThen Ada Lovelace met Grace Hopper in New York."
B = "\nThey say that NYC is large. They say that NYC and Boston are far apart."
C = "\nThey call New York the Big Apple, or even NYC. Yet there is Boston, which is not the Big Apple."


def merge(target: str, *sources: str) -> Merge:
    return Merge(str(uuid4()), "docs", target, sources, datetime.now(UTC))


async def test_undone_a_merge_leaves_no_trace(store: GraphStore, tenant: str) -> None:
    followed = await Followed.begin(store, tenant)
    await followed.change({"a": A, "b": B, "c": C})
    await store.upsert_entities(
        tenant, "docs", [NewEntity("nyc", type="city", aliases=["N.Y.C."], properties={"x": 1})]
    )
    await store.upsert_entities(tenant, "docs", [NewEntity("new york", type="state", properties={"x": 2, "y": 2})])
    relations = [NewRelation("NYC", "New York", "part_of"), NewRelation("NYC", "Boston", "near", mentions=at("b"))]
    await store.upsert_relations(tenant, "docs", relations)
    before = await dump(store, tenant)
    one = merge("new york", "nyc", "big apple")
    merged = await store.merge(tenant, "docs", one)
    assert (merged.name, merged.type, merged.properties, merged.mention_count) == (
        "New York",
        "state",
        {"x": 2, "y": 2},
        3,
    )
    assert set(merged.aliases) >= {"NYC", "Big Apple", "N.Y.C."}
    assert await store.entities(tenant, ["docs"], ["nyc", "big apple"]) == []
    near, within = RelationKey("new york", "boston", "near"), RelationKey("new york", "new york", "part_of")
    assert [one.type for one in await store.relations(tenant, "docs", [near, within])] == ["near"]
    # In one sentence of the second document NYC stands with Boston, in one of the third the Big Apple does.
    together = await store.relations(tenant, "docs", [RelationKey("boston", "new york", "mentioned_with")])
    assert [one.weight for one in together] == [2.0]
    back = await store.undo_merge(tenant, "docs", one.id)
    assert [one.key for one in back] == ["new york", "nyc", "big apple"]
    assert await dump(store, tenant) == before


async def test_what_came_since_goes_to_whom_it_was_said_of(store: GraphStore, tenant: str) -> None:
    merged, apart = await Followed.begin(store, tenant), await Followed.begin(store, f"{tenant}-b")
    for one in (merged, apart):
        await one.change({"a": A, "b": B})
    record = merge("new york", "nyc")
    await store.merge(tenant, "docs", record)
    for one in (merged, apart):
        owner = one.claim.tenant
        await one.change({"c": C, "b": None})
        entities = [NewEntity("nyc", properties={"p": 1}, mentions=at("c")), NewEntity("new york", type="state")]
        stored = await store.upsert_entities(owner, "docs", entities)
        assert stored.keys == (["new york", "new york"] if one is merged else ["nyc", "new york"])
        await store.upsert_relations(owner, "docs", [NewRelation("nyc", "ada lovelace", "home_of")])
    found = (await store.entities(tenant, ["docs"], ["new york"]))[0]
    assert (found.mention_count, found.properties, found.type) == (2, {"p": 1}, "state")
    await store.undo_merge(tenant, "docs", record.id)
    assert await dump(store, tenant) == await dump(store, f"{tenant}-b")


async def test_a_merged_entity_that_nothing_mentions_comes_back_merged(store: GraphStore, tenant: str) -> None:
    followed = await Followed.begin(store, tenant)
    await followed.change({"a": A, "b": B})
    await store.merge(tenant, "docs", merge("new york", "nyc"))
    await followed.change({"a": None, "b": None})
    assert await store.entities(tenant, ["docs"], ["new york", "nyc"]) == []
    await followed.change({"b": B})
    found = await store.entities(tenant, ["docs"], ["new york", "nyc"])
    assert [(one.key, one.name, list(one.aliases)) for one in found] == [("new york", "NYC", ["NYC"])]
    await followed.change({"a": A})
    found = await store.entities(tenant, ["docs"], ["new york", "nyc"])
    assert [(one.key, one.name, list(one.aliases)) for one in found] == [("new york", "New York", ["NYC"])]


async def test_merges_of_merges(store: GraphStore, tenant: str) -> None:
    await store.upsert_entities(tenant, "docs", [NewEntity(key, properties={key: 1}) for key in "abcd"])
    before = await dump(store, tenant)
    first, second = merge("a", "b"), merge("c", "a", "d")
    await store.merge(tenant, "docs", first)
    with pytest.raises(AlreadyMerged):
        await store.merge(tenant, "docs", merge("d", "b"))
    with pytest.raises(AlreadyMerged):
        await store.merge(tenant, "docs", merge("b", "d"))
    with pytest.raises(EntityNotFound):
        await store.merge(tenant, "docs", merge("c", "none"))
    between = await dump(store, tenant)
    await store.merge(tenant, "docs", second)
    found = await store.resolve(tenant, "docs", list("abcd"))
    assert {key: one.key for key, one in found.items()} == dict.fromkeys("abcd", "c")
    assert found["c"].properties == {"a": 1, "b": 1, "c": 1, "d": 1}
    with pytest.raises(MergedSince):
        await store.undo_merge(tenant, "docs", first.id)
    await store.undo_merge(tenant, "docs", second.id)
    assert await dump(store, tenant) == between
    await store.undo_merge(tenant, "docs", first.id)
    assert await dump(store, tenant) == before
    with pytest.raises(MergeNotFound):
        await store.undo_merge(tenant, "docs", first.id)


async def test_deleting_a_merged_entity_forgets_the_merge(store: GraphStore, tenant: str) -> None:
    await store.upsert_entities(tenant, "docs", [NewEntity("a"), NewEntity("b")])
    record = merge("a", "b")
    await store.merge(tenant, "docs", record)
    assert (await store.delete_entities(tenant, "docs", ["b"])).deleted == ["b"]
    assert await dump(store, tenant) == []
    with pytest.raises(MergeNotFound):
        await store.undo_merge(tenant, "docs", record.id)


async def test_what_relates_two_that_are_one_now_is_not_deleted(store: GraphStore, tenant: str) -> None:
    await store.upsert_relations(tenant, "docs", [NewRelation("a", "b", "near"), NewRelation("b", "b", "like")])
    before = await dump(store, tenant)
    record = merge("a", "b")
    await store.merge(tenant, "docs", record)
    itself = RelationKey("a", "a", "near")
    refused = await store.delete_relations(tenant, "docs", [itself])
    assert [one.reason for one in refused] == ["RELATION_NOT_FOUND"]
    await store.undo_merge(tenant, "docs", record.id)
    assert await dump(store, tenant) == before
    again = merge("a", "b")
    await store.merge(tenant, "docs", again)
    assert await store.delete_relations(tenant, "docs", [itself._replace(type="like")]) == []
    await store.undo_merge(tenant, "docs", again.id)
    assert len(await store.relations(tenant, "docs", [RelationKey("a", "b", "near")])) == 1


async def test_the_log_tells_of_mentions_and_merges(store: GraphStore, tenant: str) -> None:
    followed = await Followed.begin(store, tenant)
    await followed.change({"a": A, "b": B, "c": C})
    said = [NewEntity("fog", "Fog", mentions=[*at("a"), *at("b")]), NewEntity("snow", "Snow", mentions=at("c"))]
    await store.upsert_entities(tenant, "docs", said)
    first = await store.given_since(tenant, "docs", 0, 2)
    rest = await store.given_since(tenant, "docs", first.seq, 2)
    assert [(one.passage, one.name, one.gone) for one in (*first.items, *rest.items)] == [
        ("a", "Fog", False),
        ("b", "Fog", False),
        ("c", "Snow", False),
    ]
    assert (first.more, first.merges, rest.merges) == (True, {}, None)
    await followed.change({"a": None})
    await store.merge(tenant, "docs", merge("fog", "snow"))
    page = await store.given_since(tenant, "docs", rest.seq, 10)
    assert [(one.passage, one.key, one.gone) for one in page.items] == [("a", "fog", True)]
    assert (page.merges, page.more, page.reset) == ({"snow": "fog"}, False, False)
    assert (await store.given_since(tenant, "docs", page.seq + 1, 10)).reset
    assert (await store.given_since(tenant, "none", 0, 10)).items == []


async def test_a_log_that_forgot_its_beginning_is_read_from_there(
    store: GraphStore, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_given, "KEPT", 3)
    monkeypatch.setattr(given, "_PAGE", 2)
    followed = await Followed.begin(store, tenant)
    await followed.change({"a": A, "b": B, "c": C})
    for key in ("fog", "snow", "rain"):
        await store.upsert_entities(tenant, "docs", [NewEntity(key, mentions=[*at("a"), *at("b"), *at("c")])])
    for _ in range(8):
        await store.upsert_entities(tenant, "docs", [NewEntity("mist", mentions=at("a"))])
        await store.delete_entities(tenant, "docs", ["mist"])
    assert (await store.given_since(tenant, "docs", 1, 10)).reset
    mentions = given.GivenMentions(tenant, "docs")
    async with asyncio.timeout(bounds.RECOVERY):
        await mentions.poll(store)
    assert {passage: [one.key for one in mentions.of(passage)] for passage in "abc"} == {
        passage: ["fog", "rain", "snow"] for passage in "abc"
    }
    # What went meanwhile was said before the reading ended, and is heard of.
    await store.delete_entities(tenant, "docs", ["fog"])
    await mentions.poll(store)
    assert [one.key for one in mentions.of("a")] == ["rain", "snow"]


def at(document: str) -> list[Evidence]:
    return [Evidence(document, 0, "")]
