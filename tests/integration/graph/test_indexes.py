"""The indexes behind Retrieve: kept by the feed, equal to ones built anew; nothing embedded twice."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Final

import grpc
import pytest
import pytest_asyncio
from google.protobuf import struct_pb2

from pergola.vector.v1 import document_pb2, filter_pb2, point_pb2
from services.graph.model import Evidence, NewEntity
from tests import bounds
from tests.stacks import Stores
from tests.support import graph
from tests.support.fake_embeddings import FakeEmbeddings, fake_embeddings
from tests.support.found import everything, until_all_are_read, vector_service
from tests.support.graph import GraphDoor, VectorDoor

_PEOPLE: Final = ["Ada Lovelace", "Alan Turing", "Grace Hopper", "Karl Weierstrass", "Sofia Kovalevskaya"]
_PLACES: Final = ["Ockham Park", "Bletchley", "New York", "Berlin", "Kraków"]
_QUESTIONS: Final = [
    "What lies in the place where Ada Lovelace worked?",
    "who lived in berlin and met alan turing",
    "Which machine stands in Bletchley?",
    "What is it?",
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def fake() -> AsyncIterator[FakeEmbeddings]:
    async with fake_embeddings() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def vector(stores: Stores, fake: FakeEmbeddings) -> AsyncIterator[VectorDoor]:
    async with vector_service(stores, fake) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def door(stores: Stores, vector: VectorDoor) -> AsyncIterator[GraphDoor]:
    async with graph.graph_service(stores, vector.address) as running:
        yield running


def _documents(draw: random.Random, count: int) -> dict[str, str]:
    """Titles to texts, some of which are conversations: the turns see each other."""
    return {
        f"{draw.choice(_PLACES)} {number}": (
            f"{draw.choice(_PEOPLE)} worked in {draw.choice(_PLACES)} with {draw.choice(_PEOPLE)}. "
            f"In {draw.choice(_PLACES)} stands a machine."
            if draw.random() < 0.7
            else f"Ada: Who was in {draw.choice(_PLACES)}?\nAlan: {draw.choice(_PEOPLE)} was.\n"
            f"Ada: Where does the machine stand?\nAlan: In {draw.choice(_PLACES)}, I would say.\n"
        )
        for number in draw.sample(range(30), count)
    }


async def _delete_document(vector: VectorDoor, collection: str, id: str) -> None:
    await vector.documents.DeleteDocument(document_pb2.DeleteDocumentRequest(collection=collection, id=id))


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_after_any_changes_it_answers_as_one_built_anew(
    stores: Stores, vector: VectorDoor, door: GraphDoor, seed: int
) -> None:
    draw = random.Random(seed)
    name = f"changes-{seed}"
    await vector.create(name)
    held: set[str] = set()
    for _ in range(8):
        step = draw.random()
        if step < 0.6 or not held:
            documents = _documents(draw, draw.randint(1, 6))
            await vector.ingest(name, documents)
            held |= documents.keys()
        elif step < 0.85:
            for gone in draw.sample(sorted(held), min(len(held), 3)):
                await _delete_document(vector, name, gone)
                held.discard(gone)
        else:
            points = [point_pb2.NewPoint(id=f"p{n}", text=text) for n, text in enumerate(_documents(draw, 2).values())]
            await vector.points.UpsertPoints(point_pb2.UpsertPointsRequest(collection=name, points=points))
    await vector.caught_up(name)
    async with graph.graph_service(stores, vector.address, follow="false") as fresh:
        await until_all_are_read(fresh, vector)
        assert await everything(door, [name], _QUESTIONS) == await everything(fresh, [name], _QUESTIONS)


async def test_a_restart_embeds_nothing_again(
    stores: Stores, vector: VectorDoor, door: GraphDoor, fake: FakeEmbeddings
) -> None:
    await vector.create("kept")
    await vector.ingest("kept", _documents(random.Random(7), 20))
    await vector.caught_up("kept")
    before = [text for body in fake.bodies for text in body["input"]]
    async with graph.graph_service(stores, vector.address, follow="false") as fresh:
        answer = await fresh.retrieve("Where does nobody work?", ["kept"], k=20)
        assert (answer.degraded, len(answer.passages)) == ("", 20)
    after = [text for body in fake.bodies for text in body["input"]]
    assert after[len(before) :] == ["Where does nobody work?"]


async def test_what_is_acknowledged_is_found(vector: VectorDoor, door: GraphDoor) -> None:
    await vector.create("found")
    for number in range(5):
        await vector.ingest("found", {f"Title {number}": f"Passage number {number} of Berlin."})
        await vector.caught_up("found")
        answer = await door.retrieve("Passage?", ["found"], k=50)
        assert len(answer.passages) == number + 1
    await vector.delete("found")
    async with asyncio.timeout(bounds.RECOVERY):
        while await _code(door, "found") is not grpc.StatusCode.NOT_FOUND:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
    # Made anew, nothing of the old one is there.
    await vector.create("found")
    await vector.ingest("found", {"New": "A new passage of Berlin."})
    await vector.caught_up("found")
    answer = await door.retrieve("Passage?", ["found"], k=50)
    assert [one.title for one in answer.passages] == ["New"]


async def _code(door: GraphDoor, collection: str) -> grpc.StatusCode:
    try:
        await door.retrieve("Passage?", [collection])
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_a_collection_answers_as_if_there_were_no_others(vector: VectorDoor, door: GraphDoor) -> None:
    draw = random.Random(11)
    documents = _documents(draw, 12)
    for name in ("alone", "beside"):
        await vector.create(name)
    await vector.ingest("alone", documents)
    await vector.caught_up("alone")
    before = await everything(door, ["alone"], _QUESTIONS)
    await vector.ingest("beside", {title: text.replace("Berlin", "Vienna") for title, text in documents.items()})
    await vector.caught_up("beside")
    assert await everything(door, ["alone"], _QUESTIONS) == before
    both = await door.retrieve(_QUESTIONS[0], ["alone", "beside"], k=24)
    assert {one.collection for one in both.passages} == {"alone", "beside"}


async def test_a_filter_bounds_what_is_found_and_walked_through(vector: VectorDoor, door: GraphDoor) -> None:
    await vector.create("filtered")
    points = [point_pb2.NewPoint(id=f"{n}", text=f"Ada Lovelace was in {place}.") for n, place in enumerate(_PLACES)]
    for number, one in enumerate(points):
        one.payload.update({"even": number % 2 == 0})
    await vector.points.UpsertPoints(point_pb2.UpsertPointsRequest(collection="filtered", points=points))
    await vector.caught_up("filtered")
    even = filter_pb2.Filter(must=[filter_pb2.Condition(key="even", match=struct_pb2.Value(bool_value=True))])
    answer = await door.retrieve("Where was Ada Lovelace?", ["filtered"], k=10, filter=even)
    assert {one.id for one in answer.passages} == {"0", "2", "4"}
    assert {span.passage for one in answer.passages for step in one.path for span in step.spans} <= {"0", "2", "4"}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await door.retrieve("Where?", ["filtered"], filter=filter_pb2.Filter(must=[filter_pb2.Condition(key="even")]))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_modes_hops_and_detail(vector: VectorDoor, door: GraphDoor) -> None:
    await vector.create("modes")
    await vector.ingest(
        "modes",
        {
            "Ada Lovelace": "Ada Lovelace spent her summers at Ockham Park.",
            "Ockham Park": "Ockham Park was laid out by Nicholas Hawksmoor.",
            "Nicholas Hawksmoor": "Nicholas Hawksmoor was born in East Drayton.",
            "Weather": "It rained.",
        },
    )
    await vector.caught_up("modes")
    question = "What about Ada Lovelace?"
    entities = await door.retrieve(question, ["modes"], mode="entities", k=2)
    assert (list(entities.passages), len(entities.entities)) == ([], 2)
    first = entities.entities[0]
    assert (first.key, first.name, first.mention_count, first.named) == ("ada lovelace", "Ada Lovelace", 1, True)
    assert [one.score for one in entities.entities] == sorted((one.score for one in entities.entities), reverse=True)
    both = await door.retrieve(question, ["modes"], mode="both", k=4, detail=True)
    assert (len(both.passages), both.detail.passage_count) == (4, 4)
    assert list(both.detail.phrases) == ["ada lovelace"]
    assert {"question", "base", "walk", "paths", "choice", "evidence"} == set(both.detail.milliseconds)
    assert both.passages[0].title == "Ada Lovelace"
    assert {"semantic", "lexical", "named"} <= set(both.passages[0].scores)
    plain = await door.retrieve(question, ["modes"], max_hops=0, k=4)
    assert (plain.degraded, len(plain.passages)) == ("", 4)
    assert not plain.HasField("detail")
    assert all(len(one.path) == 2 for one in plain.passages if one.title != "Ada Lovelace")
    reached = {
        hops: {
            one.key for one in (await door.retrieve(question, ["modes"], max_hops=hops, mode="entities", k=20)).entities
        }
        for hops in (0, 1, 2)
    }
    assert reached[0] == {"ada lovelace"}
    assert reached[0] < reached[1] <= reached[2]


async def test_spans_say_where_it_stands(vector: VectorDoor, door: GraphDoor) -> None:
    await vector.create("spans")
    texts = {
        "First": "Some words stand before. Ada Lovelace spent her summers at Ockham Park. Some stand behind.",
        "Second": "Nobody knows it. The lake of Ockham Park was dug by Nicholas Hawksmoor.",
    }
    await vector.ingest("spans", texts)
    await vector.caught_up("spans")
    answer = await door.retrieve("ada lovelace?", ["spans"], k=2)
    by_id = {one.id: texts[one.title] for one in answer.passages}
    steps = [step for one in answer.passages for step in one.path]
    names = [step for step in steps if step.kind == "name"]
    assert names
    for step in steps:
        for span in step.spans:
            part = by_id[span.passage][span.start : span.end]
            assert part == step.text if step.kind == "name" else part.endswith(".")


async def test_when_time_is_short_the_answer_is_that_of_search(stores: Stores, vector: VectorDoor) -> None:
    await vector.create("short")
    await vector.ingest("short", _documents(random.Random(5), 8))
    hybrid = await vector.hybrid("short", _QUESTIONS[1], 20)
    async with graph.graph_service(stores, vector.address, follow="false", retrieve_link_seconds=0.00001) as hurried:
        answer = await hurried.retrieve(_QUESTIONS[1], ["short"], k=20)
        assert "without links" in answer.degraded
        assert {one.title for one in answer.passages} == set(hybrid)
        assert all([step.kind for step in one.path] == ["question", "passage"] for one in answer.passages)


async def test_what_callers_say_leads_on_too(stores: Stores, vector: VectorDoor, door: GraphDoor) -> None:
    await vector.create("said")
    texts = {
        "First": "The engine was described by a countess.",
        "Second": "A park by a lake was her home.",
        **{f"Filler {n}": f"Nothing of interest happened in year {n}." for n in range(20)},
    }
    await vector.ingest("said", texts)
    await vector.caught_up("said")
    question = "Where did the person live who described the engine?"
    assert not await _leads(door, question)
    said = [Evidence(title, 0, "ada lovelace") for title in ("First", "Second")]
    async with graph.graph_store(stores) as store:
        stored = await store.upsert_entities(
            "default", "said", [NewEntity("ada lovelace", "Ada Lovelace", mentions=said)]
        )
        assert list(stored.refused) == []
        async with asyncio.timeout(bounds.RECOVERY):
            while not await _leads(door, question):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
        # What is taken back is gone.
        await store.delete_entities("default", "said", ["ada lovelace"])
        async with asyncio.timeout(bounds.RECOVERY):
            while await _leads(door, question):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)


async def _leads(door: GraphDoor, question: str) -> bool:
    found = (await door.retrieve(question, ["said"], k=30)).passages
    return any(step.id == "ada lovelace" for one in found for step in one.path)
