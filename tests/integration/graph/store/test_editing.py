"""What callers write by hand: joined field by field, kept as long as its passages, never twice."""

from services.graph.model import Evidence, NewEntity, NewRelation, RelationKey
from services.graph.store import GraphStore
from tests.support.followed import Followed
from tests.support.graph_dump import dump

ADA = "Ada\nAda Lovelace met Charles Babbage in London. London was foggy."
BABBAGE = "Charles\nCharles Babbage was born in London."


def at(document: str, text: str = "") -> list[Evidence]:
    return [Evidence(document, 0, text)]


async def test_fields_join_and_null_removes_one(store: GraphStore, tenant: str) -> None:
    first = NewEntity("ada", "Ada", "person", ["Countess"], {"born": 1815, "tags": ["a", "b"], "odd": 1.5})
    stored = await store.upsert_entities(tenant, "g", [first, NewEntity("ada 2", "Ada 2")])
    assert stored == (["ada", "ada 2"], 2, [])
    again = await store.upsert_entities(tenant, "g", [NewEntity("ada", properties={"born": None, "died": 1852})])
    assert again == (["ada"], 0, [])
    found = (await store.entities(tenant, ["g"], ["ada"]))[0]
    assert (found.name, found.type, list(found.aliases), found.manual) == ("Ada", "person", ["Countess"], True)
    assert found.properties == {"tags": ["a", "b"], "odd": 1.5, "died": 1852}
    by_alias = await store.named(tenant, "g", "countess", (), 10, longer=False)
    assert [one.entity.key for one in by_alias] == ["ada"]


async def test_saying_it_again_changes_nothing(store: GraphStore, tenant: str) -> None:
    followed = await Followed.begin(store, tenant)
    await followed.change({"a": ADA, "b": BABBAGE})
    entities = [
        NewEntity("ada lovelace", type="person", properties={"x": 1, "none": None}, mentions=at("a")),
        NewEntity("q42", "Douglas Adams", mentions=at("b", "he")),
    ]
    relations = [NewRelation("Ada Lovelace", "Charles Babbage", "knew", 2.0, {"since": 1833}, at("a", "met"))]
    for _ in range(2):
        await store.upsert_entities(tenant, "docs", entities)
        await store.upsert_relations(tenant, "docs", relations)
    once, log = await dump(store, tenant), await store.given_since(tenant, "docs", 0, 100)
    await store.upsert_entities(tenant, "docs", entities)
    stored = await store.upsert_relations(tenant, "docs", relations)
    assert stored.created == 0
    assert await dump(store, tenant) == once
    assert await store.given_since(tenant, "docs", 0, 100) == log


async def test_one_that_names_no_passage_is_refused_alone(store: GraphStore, tenant: str) -> None:
    followed = await Followed.begin(store, tenant)
    await followed.change({"a": ADA})
    batch = [NewEntity("one", mentions=at("a")), NewEntity("two", mentions=[*at("a"), Evidence("a", 1, "")])]
    stored = await store.upsert_entities(tenant, "docs", batch)
    assert stored.keys == ["one", ""]
    assert [(one.place, one.reason) for one in stored.refused] == [(1, "PASSAGE_NOT_FOUND")]
    relations = [NewRelation("one", "two", "t", mentions=at("none")), NewRelation("one", "three", "t")]
    stored = await store.upsert_relations(tenant, "docs", relations)
    assert (stored.created, [one.place for one in stored.refused]) == (1, [0])
    assert await store.entities(tenant, ["docs"], ["two"]) == []
    assert [one.manual for one in await store.entities(tenant, ["docs"], ["one", "three"])] == [True, True]


async def test_what_is_said_by_a_passage_goes_with_it(store: GraphStore, tenant: str) -> None:
    """Documents A and B and what is said of both, without A: B and what is said of it."""
    both, alone = await Followed.begin(store, tenant), await Followed.begin(store, tenant, "alone")
    await both.change({"a": ADA, "b": BABBAGE})
    await alone.change({"b": BABBAGE})

    async def say(graph: str, document: str, number: int) -> None:
        fields = {"n": number, document: 1}
        london = NewEntity("london", "", f"city{number}", [f"L{number}"], fields, at(document))
        analyst = NewEntity("the analyst", "The Analyst", mentions=at(document, "she"))
        await store.upsert_entities(tenant, graph, [london, analyst])
        relation = NewRelation("London", "The Analyst", "home_of", float(number), {document: number}, at(document))
        await store.upsert_relations(tenant, graph, [relation])

    await say("docs", "b", 1)
    await say("docs", "a", 2)
    await say("alone", "b", 1)
    london = (await store.entities(tenant, ["docs"], ["london"]))[0]
    assert (london.type, london.properties, london.mention_count) == ("city2", {"a": 1, "b": 1, "n": 2}, 2)
    relation = (await store.relations(tenant, "docs", [RelationKey("london", "the analyst", "home_of")]))[0]
    assert (relation.weight, relation.properties, relation.manual) == (2.0, {"a": 2, "b": 1}, False)
    await both.change({"a": None})
    assert await of_graph(store, tenant, "docs") == await of_graph(store, tenant, "alone")
    await both.change({"b": None})
    assert await of_graph(store, tenant, "docs") == []


async def test_another_text_takes_what_was_said_of_the_old_one(store: GraphStore, tenant: str) -> None:
    followed = await Followed.begin(store, tenant)
    await followed.change({"a": ADA})
    await store.upsert_entities(tenant, "docs", [NewEntity("fog", "Fog", mentions=at("a"))])
    await followed.change({"a": ADA})
    assert [one.mention_count for one in await store.entities(tenant, ["docs"], ["fog"])] == [1]
    await followed.change({"a": ADA + " No."})
    assert await store.entities(tenant, ["docs"], ["fog"]) == []


async def test_what_is_written_by_hand_outlives_documents(store: GraphStore, tenant: str) -> None:
    followed = await Followed.begin(store, tenant)
    await followed.change({"a": ADA})
    await store.upsert_entities(tenant, "docs", [NewEntity("ada lovelace", properties={"x": 1})])
    await store.upsert_relations(tenant, "docs", [NewRelation("Ada Lovelace", "Byron", "child_of")])
    before = (await store.entities(tenant, ["docs"], ["ada lovelace"]))[0]
    assert (before.name, before.manual, before.mention_count) == ("Ada Lovelace", True, 1)
    await followed.change({"a": None})
    left = await store.entities(tenant, ["docs"], ["ada lovelace", "byron", "london"])
    assert [(one.key, one.mention_count, one.manual) for one in left] == [("ada lovelace", 0, True), ("byron", 0, True)]
    assert len(await store.relations(tenant, "docs", [RelationKey("ada lovelace", "byron", "child_of")])) == 1
    assert await store.relations(tenant, "docs", [RelationKey("ada lovelace", "london", "mentioned_with")]) == []


async def test_deleting_takes_back_what_was_written(store: GraphStore, tenant: str) -> None:
    followed = await Followed.begin(store, tenant)
    await followed.change({"a": ADA})
    bare = await dump(store, tenant)
    await store.upsert_entities(tenant, "docs", [NewEntity("london", type="city", properties={"x": 1}, aliases=["L"])])
    await store.upsert_entities(tenant, "docs", [NewEntity("fog", mentions=at("a"))])
    await store.upsert_relations(tenant, "docs", [NewRelation("fog", "London", "in", mentions=at("a"))])
    derived = RelationKey("ada lovelace", "london", "mentioned_with")
    refused = await store.delete_relations(tenant, "docs", [derived, RelationKey("a", "b", "c")])
    assert [(one.place, one.reason) for one in refused] == [(0, "DERIVED"), (1, "RELATION_NOT_FOUND")]
    assert await store.delete_relations(tenant, "docs", [RelationKey("fog", "london", "in")]) == []
    assert await store.relations(tenant, "docs", [RelationKey("fog", "london", "in")]) == []
    gone = await store.delete_entities(tenant, "docs", ["london", "fog", "none"])
    assert gone == (["fog"], ["none"], ["london"])
    assert await dump(store, tenant) == bare


async def test_an_entity_goes_with_the_relations_written_at_it(store: GraphStore, tenant: str) -> None:
    await store.upsert_relations(tenant, "g", [NewRelation("a", "b", "t"), NewRelation("b", "c", "t")])
    assert (await store.delete_entities(tenant, "g", ["b"])).deleted == ["b"]
    assert [one.key for one in await store.entities(tenant, ["g"], ["a", "b", "c"])] == ["a", "c"]
    await store.upsert_entities(tenant, "g", [NewEntity("b")])
    assert await store.relations(tenant, "g", [RelationKey("a", "b", "t"), RelationKey("b", "c", "t")]) == []


async def test_a_reset_keeps_what_was_said_of_passages_that_come_again(store: GraphStore, tenant: str) -> None:
    followed = await Followed.begin(store, tenant)
    await followed.change({"a": ADA, "b": BABBAGE})
    said = [NewEntity("fog", type="weather", mentions=at("a")), NewEntity("rain", mentions=at("b"))]
    await store.upsert_entities(tenant, "docs", said)
    before = await dump(store, tenant)
    await followed.reset("one", given=False)
    # What was said waits for its passages, and shows nowhere.
    assert all(row.endswith(", False]") for row in await of_graph(store, tenant, "docs"))
    assert await store.entities(tenant, ["docs"], ["fog", "rain"]) == []
    await followed.change({"a": ADA, "b": BABBAGE})
    assert await dump(store, tenant) == before
    # Another collection of this name has passages of the same ids, of which nobody said anything.
    await followed.reset("two", given=True)
    await followed.change({"a": ADA})
    assert await store.entities(tenant, ["docs"], ["fog", "rain"]) == []
    page = await store.given_since(tenant, "docs", 1, 100)
    assert (page.reset, page.items) == (True, [])


async def test_what_is_said_while_passages_are_away_is_the_last_word(store: GraphStore, tenant: str) -> None:
    followed = await Followed.begin(store, tenant)
    await followed.change({"a": ADA, "b": BABBAGE})
    await store.upsert_entities(tenant, "docs", [NewEntity("fog", properties={"x": 1}, mentions=at("a"))])
    await store.upsert_entities(tenant, "docs", [NewEntity("fog", properties={"x": 2, "y": 2}, mentions=at("b"))])
    await followed.reset("one", given=False)
    await followed.change({"a": ADA})
    said = NewEntity("fog", properties={"x": 1, "y": None}, mentions=at("a"))
    await store.upsert_entities(tenant, "docs", [said])
    await followed.change({"b": BABBAGE})
    found = await store.entities(tenant, ["docs"], ["fog"])
    assert [(one.properties, one.mention_count) for one in found] == [({"x": 1}, 2)]


async def test_names_a_caller_gives_stay_and_those_of_documents_come_back(store: GraphStore, tenant: str) -> None:
    followed = await Followed.begin(store, tenant)
    await followed.change({"a": "\nIt was LONDON again.", "b": "\nIt was London again."})
    await store.upsert_entities(tenant, "docs", [NewEntity("london", "Greater London", mentions=at("b"))])
    assert [one.name for one in await store.entities(tenant, ["docs"], ["london"])] == ["Greater London"]
    assert [one.entity.key for one in await store.named(tenant, "docs", "greater london", (), 5, longer=False)] == [
        "london"
    ]
    await followed.change({"b": None})
    assert [one.name for one in await store.entities(tenant, ["docs"], ["london"])] == ["LONDON"]


async def of_graph(store: GraphStore, tenant: str, graph: str) -> list[str]:
    """What one graph of the tenant holds, without its name."""
    rows = [repr(row) for row in await dump(store, tenant)]
    mine = [row for row in rows if f"'{graph}" in row]
    return [row.replace(f"'{graph}", "'") for row in mine if not row.startswith(f"['{graph}', ")]
