"""Passages that see what stands before them: conversations turn by turn, by themselves or because it was asked for."""

import json
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any, Final

import grpc
import numpy as np
import pytest
from google.protobuf import field_mask_pb2

from pergola.vector.v1 import collection_pb2, document_pb2, filter_pb2, point_pb2
from tests.stacks import Stores
from tests.support.vector import Vector, caller, database_of, status, vector_service, violations

CHAT: Final = (
    "Ada: Did the rain damage the maps of the coast?\n"
    "Grace: Only a little.\n"
    "Ada: Which harbour should the expedition leave from?\n"
    "Grace: Whitby, I would say.\n"
    "Ada: Who takes care of the mules?\n"
    "Grace: Nobody so far.\n"
)
QUESTION: Final = "which harbour should the expedition leave from"
ANSWER: Final = "Grace: Whitby, I would say."
PROSE: Final = "Mills stand by rivers. They grind corn.\n\nWindmills stand on hills. They grind it as well.\n"


async def passages(vector: Vector, collection: str, **fields: Any) -> list[point_pb2.Point]:
    request = point_pb2.ScrollPointsRequest(collection=collection, **fields)
    found = [point async for reply in vector.points.ScrollPoints(request) for point in reply.points]
    return sorted(found, key=lambda point: (point.chunk.document, point.chunk.index))


async def _update(vector: Vector, collection: str, neighbors: str, *paths: str) -> collection_pb2.Collection:
    reply = await vector.collections.UpdateCollection(
        collection_pb2.UpdateCollectionRequest(
            collection=collection_pb2.Collection(name=collection, neighbors=neighbors),
            update_mask=field_mask_pb2.FieldMask(paths=paths or ["neighbors"]),
        )
    )
    found: collection_pb2.Collection = reply.collection
    return found


async def test_an_answer_without_a_word_of_its_question_is_found_by_the_turn_before(vector: Vector) -> None:
    seeing, blind = await vector.create(), await vector.create(neighbors="off", chunking={"mode": "sentences"})
    for name in (seeing, blind):
        await vector.ingest(name, document_pb2.Document(id="chat", title="Chat", text=CHAT))
    found = await vector.query(seeing, text=QUESTION, mode="lexical", k=3)
    assert [one.point.chunk.text for one in found[:2]] == [
        "Ada: Which harbour should the expedition leave from?",
        ANSWER,
    ]
    found = await vector.query(seeing, text=QUESTION, mode="dense", k=2)
    assert ANSWER in [one.point.chunk.text for one in found]
    # The same turns by themselves: nothing in the answer leads to it.
    turns = [document_pb2.Document(id=str(n), title="Chat", text=line) for n, line in enumerate(CHAT.splitlines())]
    alone = await vector.create(neighbors="off")
    await vector.ingest(alone, *turns)
    found = await vector.query(alone, text=QUESTION, mode="lexical", k=10)
    assert ANSWER not in [one.point.chunk.text for one in found]
    found = await vector.query(alone, text=QUESTION, mode="dense", k=2)
    assert ANSWER not in [one.point.chunk.text for one in found]
    # And with the setting off a conversation is cut as everything else is.
    assert len(await passages(vector, blind)) == 1


async def test_text_places_and_phrases_stay_the_turns_own(vector: Vector) -> None:
    name = await vector.create()
    text = f"Trip to Whitby\n\n{CHAT}"
    await vector.ingest(name, document_pb2.Document(id="chat", title="Chat", text=text))
    chunks = [point.chunk for point in await passages(vector, name)]
    assert [one.text for one in chunks] == ["Trip to Whitby", *CHAT.splitlines()]
    assert [text[one.start : one.end] for one in chunks] == [one.text for one in chunks]
    assert [one.before for one in chunks] == ["", *(one.text for one in chunks[:-1])]
    phrase = filter_pb2.Filter(must=[filter_pb2.Condition(phrase="expedition leave")])
    (said,) = await passages(vector, name, filter=phrase)
    assert said.chunk.text == "Ada: Which harbour should the expedition leave from?"


async def test_a_changed_document_has_the_points_of_a_new_one(vector: Vector) -> None:
    changed, fresh = await vector.create(), await vector.create()
    other = CHAT.replace("Which harbour", "Which of the towns").replace("Only a little", "Not at all")
    await vector.ingest(changed, document_pb2.Document(id="chat", title="Chat", text=CHAT))
    for name in (changed, fresh):
        await vector.ingest(name, document_pb2.Document(id="chat", title="Chat", text=other))
    one, two = [await passages(vector, name, with_vector=True) for name in (changed, fresh)]
    assert [point.chunk for point in one] == [point.chunk for point in two]
    for old, new in zip(one, two, strict=True):
        was, is_ = (np.frombuffer(point.vector.packed, "<f4") for point in (old, new))
        assert np.allclose(was, is_, atol=1e-3)
    assert one[3].chunk.before == "Ada: Which of the towns should the expedition leave from?"


async def test_a_long_turn_is_cut_and_what_is_before_it_takes_what_room_there_is(vector: Vector) -> None:
    name = await vector.create(chunking={"tokens": 240, "overlap_tokens": 0})
    long = " ".join(f"Sentence number {n} is about the weather." for n in range(60))
    text = f"Ada: {long}\n\nGrace: Really?\n\nAda: {long}\n\nGrace: I see.\n"
    await vector.ingest(name, document_pb2.Document(id="chat", title="Chat", text=text))
    chunks = [point.chunk for point in await passages(vector, name)]
    assert [text[one.start : one.end] for one in chunks] == [one.text for one in chunks]
    assert len(chunks) > 6
    assert [one.text for one in chunks if one.text.startswith("Grace")] == ["Grace: Really?", "Grace: I see."]
    for before, one in pairwise(chunks):
        assert before.text.endswith(one.before)
    # Of a long one its end, of which the model reads all.
    really = next(one for one in chunks if one.text == "Grace: Really?")
    assert really.before.endswith("Sentence number 59 is about the weather.")


async def test_what_is_no_conversation_is_left_alone_unless_it_is_asked_for(vector: Vector) -> None:
    small = {"tokens": 16, "overlap_tokens": 0}
    prose = document_pb2.Document(id="mills", title="Mills", text=PROSE * 3)
    found = {}
    for mode in ("", "auto", "off", "on"):
        name = await vector.create(neighbors=mode, chunking=small)
        await vector.ingest(name, prose)
        found[mode] = [point.chunk for point in await passages(vector, name)]
    assert found[""] == found["auto"] == found["off"]
    assert not any(one.before for one in found["off"])
    assert [one.text for one in found["on"]] == [one.text for one in found["off"]]
    assert all(before.text.endswith(one.before) and one.before
               for before, one in pairwise(found["on"]))  # fmt: skip


async def test_a_file_of_messages_is_a_conversation(vector: Vector) -> None:
    name = await vector.create()
    turns = [line.split(": ", 1) for line in CHAT.splitlines()]

    async def file() -> AsyncIterator[document_pb2.UploadDocumentRequest]:
        request = document_pb2.UploadDocumentRequest(collection=name, name="chat.jsonl")
        request.body.data = "\n".join(json.dumps({"speaker": who, "text": said}) for who, said in turns).encode()
        yield request

    reply = await vector.documents.UploadDocument(file())
    assert (await vector.ended(reply.job.id)).status == "completed"
    assert [point.chunk.text for point in await passages(vector, name)] == [
        f"speaker: {who}\ntext: {said}" for who, said in turns
    ]
    found = await vector.query(name, text=QUESTION, mode="lexical", k=2)
    assert "text: Whitby, I would say." in found[1].point.chunk.text


async def test_the_setting_is_told_changed_and_part_of_what_makes_a_document_unchanged(vector: Vector) -> None:
    name = await vector.create(neighbors="off")
    chat = document_pb2.Document(id="chat", title="Chat", text=CHAT)
    assert (await vector.get(name)).neighbors == "off"
    await vector.ingest(name, chat)
    assert (await vector.ingest(name, chat)).progress.documents_unchanged == 1
    assert (await _update(vector, name, "auto")).neighbors == "auto"
    done = await vector.ingest(name, chat)
    assert (done.progress.documents_unchanged, done.progress.chunks_done) == (0, 6)
    assert (await vector.ingest(name, chat)).progress.documents_unchanged == 1
    # Not given: back to what the settings say, which is the same.
    assert (await _update(vector, name, "")).neighbors == ""
    assert (await vector.ingest(name, chat)).progress.documents_unchanged == 1
    # What the mask does not name stays.
    assert (await _update(vector, name, "off", "lexical.k1")).neighbors == ""
    for call in (vector.create(neighbors="sometimes"), _update(vector, name, "sometimes")):
        with pytest.raises(grpc.RpcError) as caught:
            await call
        assert status(caught.value)[0] == "INVALID_ARGUMENT"
        assert violations(caught.value) == ["collection.neighbors"]


@pytest.fixture
async def environ(stores: Stores) -> dict[str, str]:
    return dict(await stores.own_database())


async def test_a_service_may_be_told_otherwise(environ: dict[str, str]) -> None:
    async with vector_service(environ, neighbors="off") as address, caller(address) as vector:
        one, other = await vector.create(), await vector.create(neighbors="auto")
        for name in (one, other):
            await vector.ingest(name, document_pb2.Document(id="chat", title="Chat", text=CHAT))
        assert (len(await passages(vector, one)), len(await passages(vector, other))) == (1, 6)


async def test_collections_of_before_learn_to_see(environ: dict[str, str]) -> None:
    chat = document_pb2.Document(id="chat", title="Chat", text=CHAT)
    async with vector_service(environ, neighbors="off") as address, caller(address) as vector:
        name = await vector.create()
        await vector.ingest(name, chat)
    async with database_of(environ) as database, database.owner_connection() as connection:
        # As the tables were before the migration.
        table = await connection.fetchval("SELECT tablename FROM pg_tables WHERE tablename ~ '^c[0-9]+_point$'")
        await connection.execute(f'ALTER TABLE points."{table}" DROP before')
        await connection.execute(
            "ALTER TABLE pergola.collections DROP neighbors;"
            "DELETE FROM pergola.migrations WHERE name LIKE '%_neighbors.sql'"
        )
    async with vector_service(environ) as address, caller(address) as vector:
        assert [point.chunk.before for point in await passages(vector, name)] == [""]
        assert (await vector.ingest(name, chat)).progress.chunks_done == 6
        assert (await passages(vector, name))[3].chunk.text == ANSWER
