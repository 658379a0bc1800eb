"""An embeddings endpoint that fails in every way, and a collection that lives by one."""

import asyncio
import base64
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest
from aiohttp import web

from pergola.vector.v1 import document_pb2, embedding_pb2
from services.providers.embedding.openai_endpoint import OpenAIEndpoint
from services.runtime.call import acting_as
from services.runtime.errors import (
    PergolaError,
    UpstreamAuthentication,
    UpstreamBadResponse,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
)
from services.runtime.settings import Secret
from tests.stacks import Stores
from tests.support.fake_embeddings import DIMENSION, FakeEmbeddings, embedding, fake_embeddings
from tests.support.fake_embeddings import status as answering
from tests.support.vector import caller, status, vector_service

_KEY = "sk-test-0123456789abcdef"


@pytest.fixture
async def fake() -> AsyncIterator[FakeEmbeddings]:
    async with fake_embeddings() as made:
        yield made


def _endpoint(fake: FakeEmbeddings, **changed: Any) -> OpenAIEndpoint:
    options: dict[str, Any] = {
        "dimension": DIMENSION,
        "window": 100,
        "key": Secret(_KEY),
        "batch": 4,
        "concurrency": 2,
        "seconds": 5.0,
    }
    return OpenAIEndpoint(fake.url, "embed-large", **(options | changed))


@pytest.fixture
async def endpoint(fake: FakeEmbeddings) -> AsyncIterator[OpenAIEndpoint]:
    made = _endpoint(fake)
    yield made
    await made.close()


@pytest.mark.parametrize("as_lists", [False, True])
async def test_texts_come_back_as_vectors_in_their_order(
    fake: FakeEmbeddings, endpoint: OpenAIEndpoint, as_lists: bool
) -> None:
    fake.as_lists = as_lists
    texts = [f"text {n}" for n in range(11)]
    made = await endpoint.embed(texts)
    assert made == pytest.approx(np.array([embedding(text) for text in texts]), abs=1e-6)
    assert sorted(len(body["input"]) for body in fake.bodies) == [3, 4, 4]
    assert {body["encoding_format"] for body in fake.bodies} == {"base64"}
    assert {body["model"] for body in fake.bodies} == {"embed-large"}
    assert set(fake.keys) == {f"Bearer {_KEY}"}
    assert (await endpoint.embed([])).shape == (0, DIMENSION)


async def test_no_more_requests_at_once_than_allowed(fake: FakeEmbeddings, endpoint: OpenAIEndpoint) -> None:
    fake.held = asyncio.Event()
    task = asyncio.create_task(endpoint.embed([str(n) for n in range(40)]))
    await fake.arrived.acquire()
    await fake.arrived.acquire()
    fake.held.set()
    await task
    assert fake.most_waiting == 2


async def test_what_is_too_large_together_is_sent_in_halves(fake: FakeEmbeddings, endpoint: OpenAIEndpoint) -> None:
    fake.largest = 1
    made = await endpoint.embed(["a", "b", "c"])
    assert made == pytest.approx(np.array([embedding(text) for text in "abc"]), abs=1e-6)


async def test_a_size_that_was_refused_is_not_tried_again(fake: FakeEmbeddings, endpoint: OpenAIEndpoint) -> None:
    fake.largest = 2
    await endpoint.embed([str(n) for n in range(8)])
    before = len(fake.bodies)
    made = await endpoint.embed([str(n) for n in range(9)])
    assert made == pytest.approx(np.array([embedding(str(n)) for n in range(9)]), abs=1e-6)
    assert sorted(len(body["input"]) for body in fake.bodies[before:]) == [1, 2, 2, 2, 2]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (400, "Requested 300123 tokens, max 300000 tokens per request"),
        (400, "'$.input' is invalid: array length is 64, at most 32"),
        (422, "batch size 4 > maximum allowed batch size 2"),
        (413, ""),
    ],
)
async def test_words_that_mean_too_large_are_understood(
    fake: FakeEmbeddings, endpoint: OpenAIEndpoint, code: int, message: str
) -> None:
    fake.script = [answering(code, message=message)]
    made = await endpoint.embed(["a", "b", "c", "d"])
    assert made == pytest.approx(np.array([embedding(text) for text in "abcd"]), abs=1e-6)
    assert [len(body["input"]) for body in fake.bodies] == [4, 2, 2]


async def test_another_refusal_is_not_tried_in_halves(fake: FakeEmbeddings, endpoint: OpenAIEndpoint) -> None:
    fake.script = [answering(400, message="unknown encoding")]
    with pytest.raises(UpstreamRejected):
        await endpoint.embed(["a", "b"])
    assert len(fake.bodies) == 1


async def test_after_429_fewer_requests_are_sent_at_once_and_then_more_again(fake: FakeEmbeddings) -> None:
    endpoint = _endpoint(fake, batch=1, concurrency=8)
    try:
        fake.script = [answering(429, {"retry-after-ms": "1"})]
        await endpoint.embed(["a"])
        fake.held = asyncio.Event()
        task = asyncio.create_task(endpoint.embed([str(n) for n in range(60)]))
        for _ in range(4):
            await fake.arrived.acquire()
        assert fake.waiting == 4
        fake.held.set()
        await task
        assert fake.most_waiting <= endpoint.pace.at_once == 8
    finally:
        await endpoint.close()


async def test_nobody_asks_before_the_wait_is_over_that_the_endpoint_wants(fake: FakeEmbeddings) -> None:
    endpoint = _endpoint(fake, concurrency=1)
    fake.held = asyncio.Event()
    fake.script = [answering(429, {"retry-after": "15"})]
    first = asyncio.create_task(endpoint.embed(["a"]))
    try:
        await fake.arrived.acquire()
        with acting_as("default", deadline=time.monotonic() + 2):
            # Waits for its turn, and gets none.
            second = asyncio.create_task(endpoint.embed(["b"]))
            fake.held.set()
            with pytest.raises(UpstreamRateLimited) as caught:
                await second
        assert 13 < (caught.value.retry_after or 0) <= 15
        assert len(fake.bodies) == 1
    finally:
        first.cancel()
        await asyncio.wait({first})
        await endpoint.close()


async def test_a_long_text_is_cut_to_the_window(fake: FakeEmbeddings, endpoint: OpenAIEndpoint) -> None:
    await endpoint.embed(["word " * 1000])
    (sent,) = fake.bodies[0]["input"]
    assert 0 < len(sent) < 600


@pytest.mark.parametrize("code", [429, 500, 503])
async def test_what_may_pass_is_tried_again(fake: FakeEmbeddings, endpoint: OpenAIEndpoint, code: int) -> None:
    fake.script = [answering(code, {"retry-after": "0"}), answering(code, {"retry-after-ms": "10"})]
    assert (await endpoint.embed(["a"])).shape == (1, DIMENSION)
    assert len(fake.bodies) == 3


async def test_no_wait_goes_beyond_the_deadline(fake: FakeEmbeddings, endpoint: OpenAIEndpoint) -> None:
    fake.script = [answering(429, {"retry-after": "15"})]
    with acting_as("default", deadline=time.monotonic() + 2), pytest.raises(UpstreamRateLimited) as caught:
        await endpoint.embed(["a"])
    assert caught.value.retry_after == 15
    assert len(fake.bodies) == 1


def _answer(data: Any) -> Any:
    return lambda _: web.json_response({"data": data})


_PACKED = base64.b64encode(np.ones(DIMENSION, "<f4").tobytes()).decode()


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([answering(401)], UpstreamAuthentication),
        ([answering(400, message="input is too long")], UpstreamRejected),
        ([answering(404)], UpstreamRejected),
        ([answering(302, {"location": "http://127.0.0.1:1/"})], UpstreamBadResponse),
        ([answering(500, {"retry-after": "0"})] * 4, UpstreamError),
        ([answering(429, {"retry-after": "0"})] * 4, UpstreamRateLimited),
        ([lambda _: web.Response(text="<html>")], UpstreamBadResponse),
        ([_answer([])], UpstreamBadResponse),
        ([_answer([{"index": 1, "embedding": _PACKED}])], UpstreamBadResponse),
        ([_answer([{"index": 0, "embedding": [1.0, 2.0]}])], UpstreamBadResponse),
        ([_answer([{"index": 0, "embedding": "!!!"}])], UpstreamBadResponse),
        ([_answer([{"index": 0, "embedding": base64.b64encode(b"abc").decode()}])], UpstreamBadResponse),
        ([_answer([{"index": 0, "embedding": base64.b64encode(np.full(8, np.nan, "<f4").tobytes()).decode()}])],
         UpstreamBadResponse),
        ([lambda _: web.Response(body=b"x" * 300_000)], UpstreamBadResponse),
    ],
)  # fmt: skip
async def test_each_failure_has_its_error(
    fake: FakeEmbeddings, endpoint: OpenAIEndpoint, script: list[Any], error: type[PergolaError]
) -> None:
    fake.script = script
    with pytest.raises(error) as caught:
        await endpoint.embed(["a"])
    assert type(caught.value) is error
    assert _KEY not in caught.value.message


async def test_an_endpoint_that_does_not_answer_is_left(fake: FakeEmbeddings) -> None:
    fake.held = asyncio.Event()
    endpoint = _endpoint(fake, seconds=0.2)
    with acting_as("default", deadline=time.monotonic() + 1), pytest.raises(UpstreamTimeout):
        await endpoint.embed(["a"])
    await endpoint.close()


async def test_an_endpoint_that_is_not_there_is_said_to_be(fake: FakeEmbeddings) -> None:
    fake.url = "http://127.0.0.1:1/v1"
    endpoint = _endpoint(fake)
    with acting_as("default", deadline=time.monotonic() + 0.4), pytest.raises(UpstreamError):
        await endpoint.embed(["a"])
    await endpoint.close()


async def test_a_collection_lives_by_its_own_model(
    stores: Stores, fake: FakeEmbeddings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = {
        "embedding_endpoint_url": fake.url,
        "embedding_endpoint_model": "embed-large",
        "embedding_endpoint_dimension": str(DIMENSION),
        "embedding_endpoint_key": _KEY,
        "job_retry_seconds": "0.1",
        "poll_seconds": "0.2",
    }
    async with vector_service(await stores.own_database(), **settings) as address, caller(address) as vector:
        collection = await vector.create(embedding_model="embed-large")
        assert (await vector.get(collection)).dimension == DIMENSION
        # The first attempt of the job fails after all its retries, the second one succeeds.
        fake.script = [answering(503, {"retry-after": "0"})] * 4
        job = await vector.ingest(collection, document_pb2.Document(id="d", title="한국", text="서울은 수도이다."))
        assert (job.status, job.attempt, list(job.warnings)) == ("completed", 2, [])
        (found,) = await vector.query(collection, text="서울", mode="dense")
        assert found.dense_score == pytest.approx(
            float(embedding("한국\n서울은 수도이다.") @ embedding("서울")), abs=0.01
        )
        fake.script = [answering(401)] * 2
        with pytest.raises(grpc.RpcError) as caught:
            await vector.query(collection, text="another question")
        assert status(caught.value) == ("UNAVAILABLE", "UPSTREAM_AUTHENTICATION")
        job = await vector.ingest(collection, "This can't be embedded.")
        assert (job.status, job.error.reason, job.attempt) == ("failed", "UPSTREAM_AUTHENTICATION", 1)
        reply = await vector.embeddings.Embed(embedding_pb2.EmbedRequest(texts=["a"], model="embed-large"))
        assert reply.dimension == DIMENSION
        built_in = await vector.create()
        assert (await vector.get(built_in)).embedding_model == "all-minilm-l6-v2"
    assert _KEY not in caplog.text
