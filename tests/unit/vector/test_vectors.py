"""Vectors that are checked many at once, held to those that are checked one by one."""

import datetime

import numpy as np
import pytest

from services.runtime.errors import PergolaError
from services.vector.model import Collection, Distance, Storage, Vector
from services.vector.vectors import all_checked, checked

_WRONG: dict[str, list[float]] = {
    "nan": [1, float("nan"), 0],
    "infinite": [1, float("-inf"), 0],
    "zero": [0, 0, 0],
    "large": [7e4, 0, 0],
    "short": [1, 2],
}


def _collection(distance: Distance, storage: Storage) -> Collection:
    return Collection(
        id=1,
        tenant="default",
        name="c",
        incarnation="i",
        dimension=3,
        distance=distance,
        storage=storage,
        embedding_model="m",
        graph=False,
        k1=1.2,
        b=0.75,
        created=datetime.datetime.now(datetime.UTC),
    )


def _told(collection: Collection, vectors: dict[int, Vector], *, together: bool) -> tuple[str, str] | list[list[float]]:
    """The vectors, or what is wrong with the first that is."""
    try:
        if together:
            made = all_checked(collection, vectors)
            assert list(made) == list(vectors)
        else:
            made = {place: checked(collection, one, f"points[{place}].vector") for place, one in vectors.items()}
    except PergolaError as error:
        return error.reason, error.message
    return [one.tolist() for one in made.values()]


@pytest.mark.parametrize("distance", ["cosine", "inner_product", "l2"])
@pytest.mark.parametrize("storage", ["halfvec", "vector"])
@pytest.mark.parametrize("wrong", ["", *_WRONG])
def test_what_is_wrong_with_one_of_many_is_told_as_of_one(distance: Distance, storage: Storage, wrong: str) -> None:
    collection = _collection(distance, storage)
    dice = np.random.default_rng(5)
    # More than are looked at together, and not all places: points without a vector have none.
    vectors = {place: dice.normal(size=3).astype(np.float32) for place in range(0, 1200, 2)}
    if wrong:
        vectors[700] = np.array(_WRONG[wrong], np.float32)
    together = _told(collection, vectors, together=True)
    alone = _told(collection, vectors, together=False)
    if isinstance(alone, tuple):
        assert together == alone
        assert "points[700].vector" in alone[1]
    else:
        assert isinstance(together, list)
        # The length is summed in another order.
        np.testing.assert_allclose(np.array(together), np.array(alone), rtol=1e-6)
        if distance != "cosine":
            assert together == alone


def test_none_is_none() -> None:
    assert all_checked(_collection("cosine", "halfvec"), {}) == {}
