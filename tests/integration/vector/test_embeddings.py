"""The built-in model, by itself and through the service, with and without the cache."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from pergola.vector.v1 import embedding_pb2 as pb
from services.providers.embedding import graph, weights
from services.providers.embedding.minilm import MiniLM
from tests.stacks import CHECKOUT, Stores
from tests.support.cache import redis_client, replica
from tests.support.vector import Vector, caller, status, vector_service

_REFERENCE = ["The cat sits outside", "The dog plays in the garden", "A feline is resting outdoors"]


@pytest.fixture(scope="module")
async def model() -> AsyncIterator[MiniLM]:
    made = await asyncio.to_thread(MiniLM, CHECKOUT / "build" / "models", threads=2)
    yield made
    await made.close()


async def test_the_built_in_model_is_the_original(model: MiniLM) -> None:
    made = await model.embed(_REFERENCE)
    assert np.linalg.norm(made, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert made[0] @ made[1] == pytest.approx(0.284, abs=0.001)
    assert made[0] @ made[2] == pytest.approx(0.627, abs=0.001)


async def test_a_text_has_one_vector_in_any_company(model: MiniLM) -> None:
    texts = [" ".join(f"word{n}" for n in range(length)) for length in (1, 300, 7, 50, 120, 3, 90)]
    together = await model.embed(texts)
    alone = np.concatenate([await model.embed([text], urgent=True) for text in texts])
    assert together == pytest.approx(alone, abs=1e-4)


async def test_what_exceeds_the_window_is_cut(model: MiniLM) -> None:
    whole = "word " * 400
    cut, same = await model.embed([whole, whole + "and nothing of this counts"])
    assert cut == pytest.approx(same, abs=1e-5)


async def test_a_question_passes_a_long_queue(model: MiniLM) -> None:
    queue = asyncio.create_task(model.embed(["A long text about many things. " * 40 + str(n) for n in range(200)]))
    for n in range(3):
        await model.embed([f"a question {n}"], urgent=True)
    assert not queue.done()
    began = time.monotonic()
    queue.cancel()
    await asyncio.wait({queue})
    await model.embed(["the threads are free again"])
    assert time.monotonic() - began < 10


async def test_two_processes_build_one_graph(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from services.providers.embedding import graph; "
    code += "graph.ensure(Path(sys.argv[1]), 'float32')"
    build = [asyncio.create_subprocess_exec(sys.executable, "-c", code, str(tmp_path), cwd=CHECKOUT) for _ in range(2)]
    for process in await asyncio.gather(*build):
        assert await process.wait() == 0
    built = graph.ensure(tmp_path, "float32")
    assert _files(tmp_path) == [built.name]
    assert weights.SHA256[:12] in built.name
    made = MiniLM(tmp_path, threads=1)
    vector, other, _ = await made.embed(_REFERENCE)
    assert vector @ other == pytest.approx(0.284, abs=0.001)
    await made.close()


async def test_in_8_bits_the_model_is_another_one_with_nearly_the_same_vectors(model: MiniLM) -> None:
    short = await asyncio.to_thread(MiniLM, CHECKOUT / "build" / "models", threads=1, precision="int8")
    texts = _REFERENCE + [f"{text}, or so it is told in chapter {n}." for n, text in enumerate(_REFERENCE * 4)]
    whole, rounded = await model.embed(texts), await short.embed(texts)
    await short.close()
    assert np.linalg.norm(rounded, axis=1) == pytest.approx(np.ones(len(texts)), abs=1e-5)
    assert (whole * rounded).sum(axis=1).min() > 0.97
    moved = np.abs(whole @ whole.T - rounded @ rounded.T)
    assert 0 < moved.max() < 0.08
    assert {short.name, short.fingerprint}.isdisjoint({model.name, model.fingerprint})


async def test_precisions_are_never_mixed(stores: Stores) -> None:
    environ = await stores.own_database()
    fresh = [f"{text} in bits at {time.time_ns()}" for text in _REFERENCE]
    async with (
        replica(stores, "embeddings") as cache,
        vector_service(environ, cache_address=cache.address, embedding_model="all-minilm-l6-v2-int8") as address,
        caller(address) as vector,
    ):
        short = await vector.embeddings.Embed(pb.EmbedRequest(texts=fresh))
        whole = await vector.embeddings.Embed(pb.EmbedRequest(texts=fresh, model="all-minilm-l6-v2"))
        assert (short.model, whole.model) == ("all-minilm-l6-v2-int8", "all-minilm-l6-v2")
        assert (short.cached_count, whole.cached_count) == (0, 0)
        assert short.embeddings[0].packed != whole.embeddings[0].packed
        names = [await vector.create(), await vector.create(embedding_model="all-minilm-l6-v2")]
        scores = []
        for name in names:
            assert (await vector.ingest(name, fresh[0])).status == "completed"
            (found,) = await vector.query(name, text=fresh[0], mode="dense", with_vector=True)
            scores.append(found.point.vector.packed)
        assert scores[0] != scores[1]
        assert [(await vector.get(name)).embedding_model for name in names] == [short.model, whole.model]


def test_other_weights_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "model.safetensors"
    other.write_bytes(b"not the weights")
    with pytest.raises(weights.WeightsError, match="not the original"):
        weights.checked(other)
    assert graph.DIMENSION == 384


async def test_embed_answers_in_both_shapes(vector: Vector) -> None:
    packed = await vector.embeddings.Embed(pb.EmbedRequest(texts=_REFERENCE))
    values = await vector.embeddings.Embed(pb.EmbedRequest(texts=_REFERENCE, format="values", model="all-minilm-l6-v2"))
    assert (packed.model, packed.dimension, packed.cached_count) == ("all-minilm-l6-v2", 384, 0)
    for one, other in zip(packed.embeddings, values.embeddings, strict=True):
        assert np.frombuffer(one.packed, "<f4").tolist() == pytest.approx(list(other.values))


async def test_an_unknown_model_is_named(vector: Vector) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await vector.embeddings.Embed(pb.EmbedRequest(texts=["a"], model="none"))
    assert status(caught.value) == ("NOT_FOUND", "MODEL_NOT_FOUND")


@pytest.mark.parametrize("texts", [[], [""], ["a"] * 1001])
async def test_too_little_and_too_much_is_refused(vector: Vector, texts: list[str]) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await vector.embeddings.Embed(pb.EmbedRequest(texts=texts))
    assert status(caught.value)[0] == "INVALID_ARGUMENT"


async def test_embeddings_come_from_the_cache_and_go_on_without_it(stores: Stores) -> None:
    environ = await stores.own_database()
    fresh = [f"{text} at {time.time_ns()}" for text in _REFERENCE]
    async with (
        replica(stores, "embeddings") as cache,
        vector_service(environ, cache_address=cache.address) as address,
        caller(address) as vector,
        redis_client(stores) as redis,
    ):
        request = pb.EmbedRequest(texts=[*fresh, fresh[0]])
        first = await vector.embeddings.Embed(request)
        assert first.cached_count == 0
        again = await vector.embeddings.Embed(request)
        assert again.cached_count == 4
        assert again.embeddings == first.embeddings
        keys = [key async for key in redis.scan_iter(match="*embeddings*")]
        assert keys
        with stores.frozen("redis-values"):
            more = [f"{text} without a cache" for text in fresh]
            alone = await vector.embeddings.Embed(pb.EmbedRequest(texts=more), timeout=20)
            assert alone.cached_count == 0
    async with vector_service(environ, cache_address="127.0.0.1:1") as address, caller(address) as vector:
        alone = await vector.embeddings.Embed(pb.EmbedRequest(texts=fresh))
        assert alone.cached_count == 0
        assert alone.embeddings == first.embeddings[:3]


def _files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]
