"""Which texts a model is asked for, and which come from the cache."""

from collections.abc import Sequence

import numpy as np
import pytest

from services.providers.embedding.estimate import Estimate
from services.providers.embedding.minilm import batches
from services.providers.embedding.model import Vectors
from services.providers.embedding.registry import EmbeddingModels
from services.runtime.errors import ModelNotFound
from services.vector.embedding import Embedder
from services.vector.meters import Meters


class Lengths:
    """A model of two dimensions: a text's length, and one."""

    name = "lengths"
    fingerprint = "lengths@1"
    dimension = 2
    window = 100
    latin_only = False
    tokenizer = Estimate()

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        self.asked.extend(texts)
        assert not urgent
        return np.array([[len(text), 1] for text in texts], np.float32)

    async def close(self) -> None:
        pass


class Shelf:
    """A cache in a dictionary."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    async def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        return {key: self.values[key] for key in keys if key in self.values}

    async def set(self, values: dict[str, bytes]) -> None:
        self.values.update(values)


async def test_each_different_text_is_embedded_once() -> None:
    model, shelf = Lengths(), Shelf()
    embedder = Embedder(EmbeddingModels({"lengths": model}, "lengths"), shelf, Meters())
    first = await embedder.embed(model, ["a", "bb", "a"])
    assert first.vectors.tolist() == [[1, 1], [2, 1], [1, 1]]
    assert (first.cached, model.asked) == (0, ["a", "bb"])
    second = await embedder.embed(model, ["ccc", "bb", "a"])
    assert second.vectors.tolist() == [[3, 1], [2, 1], [1, 1]]
    assert (second.cached, model.asked) == (2, ["a", "bb", "ccc"])
    assert (await embedder.embed(model, [])).vectors.shape == (0, 2)


@pytest.mark.parametrize("spoiled", [b"", b"\0" * 4, b"\0" * 12, np.array([np.nan, 1], "<f4").tobytes()])
async def test_what_is_no_vector_in_the_cache_is_made_anew(spoiled: bytes) -> None:
    model, shelf = Lengths(), Shelf()
    embedder = Embedder(EmbeddingModels({"lengths": model}, "lengths"), shelf, Meters())
    await embedder.embed(model, ["a"])
    shelf.values = dict.fromkeys(shelf.values, spoiled)
    again = await embedder.embed(model, ["a"])
    assert again.vectors.tolist() == [[1, 1]]
    assert again.cached == 0


async def test_without_a_cache_everything_is_made() -> None:
    model = Lengths()
    embedder = Embedder(EmbeddingModels({"lengths": model}, "lengths"), None, Meters())
    await embedder.embed(model, ["a"])
    await embedder.embed(model, ["a"])
    assert model.asked == ["a", "a"]
    assert embedder.model() is embedder.model("lengths")
    with pytest.raises(ModelNotFound, match="lengths"):
        embedder.model("other")


def test_batches_hold_every_text_once_and_little_padding() -> None:
    lengths = [5, 700, 3, 256, 256, 256, 10, 1000, 4]
    made = batches(lengths)
    assert sorted(place for batch in made for place in batch) == list(range(len(lengths)))
    for batch in made:
        assert len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= 768
    assert batches([]) == []
