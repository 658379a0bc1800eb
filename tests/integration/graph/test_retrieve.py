"""Retrieve and its neighbours: real documents through the vector service into the graph, and back as passages."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import grpc
import pytest
import pytest_asyncio

from tests import bounds
from tests.stacks import Stores
from tests.support import graph
from tests.support.cache import reason
from tests.support.graph import GraphDoor, VectorDoor

GRAPH_STORES: Final = ("arcadedb",)
"""What Retrieve asks of a store is tested on both by itself."""

CORPUS: Final = {
    "Ada Lovelace": "Ada Lovelace wrote the first published program. She spent summers at Ockham Park.",
    "Ockham Park": "The grounds of Ockham Park were laid out by the architect Nicholas Hawksmoor around a lake.",
    "Programming": "A program is a list of steps. The first published program was a table of operations.",
    "Summers": "Where people spend their summers differs: some like the sea, others the mountains.",
    "Writers": "The writer of a program is called a programmer. Programs are published every day.",
    "Printing": "The first published books were printed in the fifteenth century.",
    "Holidays": "Families spent whole summers by the sea once trains could carry them there.",
}
QUESTION: Final = "What lies in the grounds of the place where the author of the first published program spent summers?"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def vector(stores: Stores) -> AsyncIterator[VectorDoor]:
    async with graph.vector_service(stores) as running:
        for name in ("docs", "else"):
            await running.create(name)
        await running.create("plain", graph=False)
        await running.ingest("docs", CORPUS)
        await running.ingest("else", {"Ockham Park": "Ockham Park has a station on the railway to the coast."})
        await running.ingest("plain", CORPUS)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair(stores: Stores, vector: VectorDoor) -> AsyncIterator[GraphDoor]:
    async with graph.graph_service(stores, vector.address) as running:
        for name in ("docs", "else"):
            await vector.caught_up(name)
        yield running


def paths(answer: object) -> dict[str, list[tuple[str, str]]]:
    """Title → how it was found."""
    return {
        passage.title: [(step.kind, step.text) for step in passage.path]
        for passage in answer.passages  # type: ignore[attr-defined]
    }


async def test_the_second_hop_is_found_that_search_alone_misses(vector: VectorDoor, pair: GraphDoor) -> None:
    assert "Ockham Park" not in await vector.hybrid("docs", QUESTION, 3)
    answer = await pair.retrieve(QUESTION, ["docs"], k=3)
    assert answer.degraded == ""
    found = paths(answer)
    assert found["Ockham Park"] == [
        ("question", QUESTION),
        ("passage", "Ada Lovelace"),
        ("name", "Ockham Park"),
        ("passage", "Ockham Park"),
    ]
    assert found["Ada Lovelace"] == [("question", QUESTION), ("passage", "Ada Lovelace")]
    scores = [passage.score for passage in answer.passages]
    assert scores == sorted(scores, reverse=True)
    first = next(passage for passage in answer.passages if passage.title == "Ockham Park")
    assert first.text == CORPUS["Ockham Park"]
    assert first.path[-1].id == first.id
    assert first.path[2].id == "ockham park"


async def test_a_name_in_the_question_finds_what_bears_it(pair: GraphDoor) -> None:
    answer = await pair.retrieve("ockham park?", ["docs"], k=1)
    assert [passage.title for passage in answer.passages] == ["Ockham Park"]


async def test_as_many_as_asked_and_no_more_than_there_are(pair: GraphDoor) -> None:
    assert len((await pair.retrieve(QUESTION, ["docs"], k=1)).passages) == 1
    everything = (await pair.retrieve(QUESTION, ["docs"], k=200)).passages
    assert sorted(passage.title for passage in everything) == sorted(CORPUS)


async def test_links_stay_in_the_graphs_they_are_given(pair: GraphDoor) -> None:
    both = await pair.retrieve(QUESTION, ["docs", "else"], k=6)
    assert {(passage.collection, passage.title) for passage in both.passages} >= {
        ("docs", "Ockham Park"),
        ("else", "Ockham Park"),
    }
    for graphs in (["else"], ["nobody-wrote-to-it"]):
        unlinked = await pair.retrieve(QUESTION, ["docs"], k=7, graphs=graphs)
        assert all("name" not in [kind for kind, _ in path] for path in paths(unlinked).values())
    one = await pair.retrieve(QUESTION, ["docs"], k=7, graphs=["docs", "else"])
    assert {passage.collection for passage in one.passages} == {"docs"}


CHAT: Final = (
    "Ada: Did the rain damage the maps of the coast?\n"
    "Grace: Only a little.\n"
    "Ada: Which harbour should the expedition leave from?\n"
    "Grace: Whitby, I would say.\n"
    "Ada: Who takes care of the mules?\n"
    "Grace: Nobody so far.\n"
    "Ada: How many days will it take?\n"
    "Grace: About twelve.\n"
)
HARBOUR: Final = "Which harbour should the expedition leave from?"


async def test_an_answer_is_found_by_the_turn_before_it(vector: VectorDoor, pair: GraphDoor) -> None:
    turns = {f"Chat {n}": line for n, line in enumerate(CHAT.splitlines())}
    for name, neighbors, documents in (("seeing", "", {"Chat": CHAT}), ("blind", "off", turns)):
        await vector.create(name, neighbors=neighbors)
        await vector.ingest(name, documents)
        await vector.caught_up(name)
    seeing = await pair.retrieve(HARBOUR, ["seeing"], k=2, detail=True)
    assert seeing.degraded == ""
    assert [passage.text for passage in seeing.passages] == [f"Ada: {HARBOUR}", "Grace: Whitby, I would say."]
    # By its words too, of which none is its own.
    assert seeing.passages[1].scores["lexical"] > 0.1
    blind = await pair.retrieve(HARBOUR, ["blind"], k=2)
    assert "Grace: Whitby, I would say." not in [passage.text for passage in blind.passages]


async def test_a_collection_without_a_graph_is_searched_all_the_same(pair: GraphDoor) -> None:
    answer = await pair.retrieve(QUESTION, ["plain"], k=7)
    assert answer.degraded == ""
    assert len(answer.passages) == 7
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await pair.retrieve(QUESTION, ["docs", "missing"])
    assert reason(caught.value) == "COLLECTION_NOT_FOUND"


async def test_a_changed_document_changes_its_links(vector: VectorDoor, pair: GraphDoor) -> None:
    await vector.create("changing")
    await vector.ingest("changing", CORPUS)
    await vector.caught_up("changing")
    assert "name" in [kind for kind, _ in paths(await pair.retrieve(QUESTION, ["changing"], k=3))["Ockham Park"]]
    await vector.ingest("changing", {"Ada Lovelace": "Ada Lovelace wrote the first published program in summers."})
    await vector.caught_up("changing")
    assert await pair.search("changing", "Ockham Park") == [("ockham park", "Ockham Park", 1)]
    everything = await pair.retrieve(QUESTION, ["changing"], k=7)
    assert all("name" not in [kind for kind, _ in path] for path in paths(everything).values())
    await vector.delete("changing")
    async with asyncio.timeout(bounds.RECOVERY):
        while await pair.search("changing", "ada"):  # noqa: ASYNC110 - another service's state
            await asyncio.sleep(0.05)


async def test_korean_documents_are_found_by_names_alone(vector: VectorDoor, pair: GraphDoor) -> None:
    """The built-in model knows no Korean: to it all of these are alike."""
    await vector.create("korean")
    fillers = {f"자료 {n}": f"초원에서 소가 풀을 먹는다. 번호 {n}번." for n in range(30)}
    texts = {
        "소설": "별빛항구는 소설이다. 작가는 오다연이다.",
        "인물": "오다연은 하늘마을에서 자랐다. 직업은 변호사였다.",
        "마을": "하늘마을의 인구는 적다. 하늘마을에 강이 흐른다.",
    }
    await vector.ingest("korean", texts | fillers)
    await vector.caught_up("korean")
    question = "별빛항구를 쓴 사람의 고향은?"
    answer = await pair.retrieve(question, ["korean"], k=3)
    assert {one.title for one in answer.passages[:2]} == {"소설", "인물"}
    path = next(one.path for one in answer.passages if one.title == "인물")
    assert [(step.kind, step.text) for step in path] == [
        ("question", question),
        ("passage", "소설"),
        ("name", "오다연"),
        ("passage", "인물"),
    ]
    by_id = {one.id: texts[one.title] for one in answer.passages if one.title in texts}
    # The name without the particle behind it, in both passages.
    assert {by_id[span.passage][span.start : span.end] for span in path[2].spans} == {"오다연"}
    assert len(path[2].spans) == 2


async def test_without_the_graph_store_passages_are_found_all_the_same(
    stores: Stores, vector: VectorDoor, pair: GraphDoor
) -> None:
    before = paths(await pair.retrieve(QUESTION, ["docs"], k=3))
    async with graph.graph_service(stores, vector.address, follow="false", retrieve_link_seconds=3) as door:
        assert paths(await door.retrieve(QUESTION, ["docs"], k=3)) == before
        with stores.frozen("graph-store"):
            began = asyncio.get_running_loop().time()
            answer = await door.retrieve(QUESTION, ["docs"], k=3)
            assert (paths(answer), answer.degraded) == (before, "")
            answer = await door.retrieve(QUESTION, ["docs"], k=3, mode="both")
            assert (paths(answer), list(answer.entities)) == (before, [])
            assert "entities are left out" in answer.degraded
            assert asyncio.get_running_loop().time() - began < bounds.RECOVERY
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await door.search("docs", "ada", timeout=1)
            assert caught.value.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
        await _works_again(door)
        stores.kill("graph-store")
        assert paths(await door.retrieve(QUESTION, ["docs"], k=3)) == before
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.search("docs", "ada")
        assert reason(caught.value) == "STORE_UNAVAILABLE"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.rows("RETURN 1")
        assert reason(caught.value) == "STORE_UNAVAILABLE"
        stores.restart("graph-store")
        await _works_again(door)


async def _works_again(door: GraphDoor) -> None:
    async with asyncio.timeout(bounds.COLD_STORE):
        while (await door.retrieve(QUESTION, ["docs"], k=3, mode="both")).degraded:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.1)
        assert await door.rows("RETURN 1") == [[1]]
        assert await door.search("docs", "ada")


async def test_without_vector_there_is_no_answer(stores: Stores) -> None:
    async with graph.graph_service(stores, follow="false") as door:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.retrieve(QUESTION, ["docs"])
        assert reason(caught.value) == "PEER_UNAVAILABLE"


async def test_without_the_vector_services_database_there_is_none_either(stores: Stores, pair: GraphDoor) -> None:
    stores.kill("postgres")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await pair.retrieve(QUESTION, ["docs"], k=3)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    stores.restart("postgres")
    async with asyncio.timeout(bounds.RECOVERY):
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                answer = await pair.retrieve(QUESTION, ["docs"], k=3)
                assert "Ockham Park" in paths(answer)
                return
            await asyncio.sleep(0.1)


async def test_tenants_see_nothing_of_each_other(stores: Stores, tmp_path: Path) -> None:
    keys = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("red", "blue", "suite")}
    callers = [
        {"name": name, "key_sha256": hashlib.sha256(key.encode()).hexdigest(), "tenants": [name], "roles": ["writer"]}
        for name, key in keys.items()
    ]
    callers[2] |= {"tenants": "*", "roles": ["service"]}
    (tmp_path / "callers.json").write_text(json.dumps({"callers": callers}))
    known = {"PERGOLA_CALLERS_FILE": str(tmp_path / "callers.json"), "PERGOLA_SERVICE_KEY": keys["suite"]}
    environ = await stores.own_database("vector") | known
    more = {name.removeprefix("PERGOLA_").lower(): value for name, value in known.items()}
    async with (
        graph.vector_service(stores, environ) as vector,
        graph.graph_service(stores, vector.address, **more) as door,
    ):
        secrets = {"red": "The Crimson Ledger is kept in Vienna.", "blue": "The Azure Ledger is kept in Lisbon."}
        for name, text in secrets.items():
            mine, theirs = vector.acting(keys[name]), door.acting(keys[name])
            await mine.create("docs")
            await mine.ingest("docs", {f"Ledger of {name}": text})
            await vector.acting(keys["suite"], name).caught_up("docs")
            assert await theirs.search("docs", "vienna") == ([("vienna", "Vienna", 1)] if name == "red" else [])
        for name, other in (("red", "Lisbon"), ("blue", "Vienna")):
            own = door.acting(keys[name])
            assert await own.search("docs", other) == []
            answer = await own.retrieve("Where are the ledgers kept?", ["docs"], k=200)
            assert [passage.text for passage in answer.passages] == [secrets[name]]
            rows = str(await own.rows("MATCH (n) OPTIONAL MATCH (n)-[m]-() RETURN n, m"))
            assert f"Ledger of {name}" in rows
            assert other not in rows
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.acting(keys["red"], "blue").search("docs", "azure")
        assert reason(caught.value) == "TENANT_FORBIDDEN"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.search("docs", "azure")
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
