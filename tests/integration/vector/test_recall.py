"""How much of what is right is found: against brute force, while the points are rewritten, merged and vacuumed.

What goes on meanwhile changes no answer: points are upserted again as they are, which takes them out of the index and
puts them into the delta; others come and go far from every question.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pytest
from google.protobuf.json_format import ParseDict

from pergola.vector.v1 import filter_pb2, point_pb2, selection_pb2
from services.vector.model import Collection
from services.vector.stores import collections as collection_store
from services.vector.stores.database.connections import Database
from services.vector.stores.points import merging, nearest, search
from services.vector.stores.points.layout import Layout
from tests.stacks import Stores
from tests.support.vector import Vector, caller, database_of, vector_service

_COUNT: Final = 10_000
_DIMENSION: Final = 32
_K: Final = 10
_QUESTIONS: Final = 25
_SHARES: Final = (0.5, 0.1, 0.01, 0.001)


@dataclass(frozen=True)
class House:
    """A collection whose points are known."""

    database_name: str
    vector: Vector
    database: Database
    collection: Collection
    vectors: np.ndarray
    """(count, dimension)"""
    fields: dict[str, np.ndarray]
    """For each point a place from 0 to 1: `even`, independent of the vector; `along`, which follows it."""
    questions: np.ndarray

    def request(self, n: int) -> point_pb2.NewPoint:
        one = point_pb2.NewPoint(id=f"p{n}", text="word")
        one.vector.packed = self.vectors[n].astype("<f4").tobytes()
        one.payload.update({name: float(places[n]) for name, places in self.fields.items()})
        return one

    async def upsert(self, numbers: Sequence[int]) -> None:
        points = [self.request(n) for n in numbers]
        await self.vector.points.UpsertPoints(
            point_pb2.UpsertPointsRequest(collection=self.collection.name, points=points)
        )

    async def ask(self, question: np.ndarray, filter: filter_pb2.Filter | None, *, exact: bool = False) -> list[int]:
        found = await self.vector.query(
            self.collection.name,
            vector=point_pb2.Vector(packed=question.astype("<f4").tobytes()),
            k=_K,
            filter=filter,
            exact=exact,
            with_payload=False,
        )
        assert all(one.point.id.startswith("p") for one in found)
        return [int(one.point.id[1:]) for one in found]

    def scores(self, question: np.ndarray, among: np.ndarray) -> np.ndarray:
        """By brute force, cosines of what is stored; what does not fit is last."""
        points, asked = _stored(self.vectors), _stored(question[None, :])[0]
        return np.where(among, points @ asked / np.linalg.norm(points, axis=1) / np.linalg.norm(asked), -2.0)


def _points() -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Clustered points near a surface of few dimensions, their fields, and questions like them."""
    dice = np.random.default_rng(11)
    surface = dice.normal(size=(12, _DIMENSION))
    centres = dice.normal(size=(40, 12))
    both = _COUNT + _QUESTIONS
    whole = (centres[dice.integers(0, 40, both)] + 0.6 * dice.normal(size=(both, 12))) @ surface
    # All on one side, so that there is another one, far from every question.
    whole[:, 0] = np.abs(whole[:, 0]) + 3.0
    whole = (whole / np.linalg.norm(whole, axis=1, keepdims=True)).astype(np.float32)
    along = whole[:_COUNT] @ dice.normal(size=_DIMENSION)
    fields = {
        "even": dice.permutation(_COUNT) / _COUNT,
        "along": np.argsort(np.argsort(along)) / _COUNT,
    }
    return whole[:_COUNT], fields, whole[_COUNT:]


def _stored(vectors: np.ndarray) -> np.ndarray:
    """Of length 1, then in 16 bits."""
    wide = vectors.astype(np.float64)
    lengths = np.sqrt((wide * wide).sum(axis=1, keepdims=True))
    stored: np.ndarray = (wide / lengths).astype(np.float32).astype(np.float16).astype(np.float64)
    return stored


@pytest.fixture(scope="module", params=["force_custom_plan", "force_generic_plan"])
async def house(stores: Stores, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    environ = await stores.own_database()
    name = environ["PERGOLA_VECTOR_POSTGRES_URL"].rpartition("/")[2]
    superuser = await stores.postgres(name)
    await superuser.execute(f"ALTER DATABASE {name} SET plan_cache_mode = {request.param}")
    await superuser.close()
    async with (
        # So high that only the tests merge.
        vector_service(environ, delta_rows="1000000") as address,
        caller(address) as vector,
        database_of(environ) as database,
    ):
        made = await vector.create(dimension=_DIMENSION)
        async with database.transaction("default") as session:
            assert await session.value("SHOW plan_cache_mode") == request.param
            collection = await collection_store.find(session, made)
        assert collection is not None
        found = House(name, vector, database, collection, *_points())
        for first in range(0, _COUNT, 1000):
            await found.upsert(range(first, first + 1000))
        await merging.merge(database, collection)
        yield found


@contextlib.asynccontextmanager
async def _unrest(stores: Stores, house: House) -> AsyncIterator[dict[str, int]]:
    """Points are upserted as they are, others come and go, the delta is merged, the tables are vacuumed."""
    done = asyncio.Event()
    turns = {"rewritten": 0, "merged": 0, "vacuumed": 0}
    tables = await stores.postgres(house.database_name)

    async def rewrite() -> None:
        dice = np.random.default_rng(12)
        while not done.is_set():
            await house.upsert([int(n) for n in dice.choice(_COUNT, 150, replace=False)])
            far = [_far(dice, n) for n in range(50)]
            await house.vector.points.UpsertPoints(
                point_pb2.UpsertPointsRequest(collection=house.collection.name, points=far)
            )
            await house.vector.points.DeletePoints(
                selection_pb2.DeletePointsRequest(collection=house.collection.name, ids=[one.id for one in far[:25]])
            )
            turns["rewritten"] += 1

    async def merge() -> None:
        while not done.is_set():
            await merging.merge(house.database, house.collection)
            turns["merged"] += 1

    async def vacuum() -> None:
        while not done.is_set():
            await tables.execute("VACUUM")
            turns["vacuumed"] += 1

    tasks = [asyncio.create_task(work()) for work in (rewrite, merge, vacuum)]
    try:
        yield turns
    finally:
        done.set()
        await asyncio.gather(*tasks)
        await tables.close()


def _far(dice: np.random.Generator, n: int) -> point_pb2.NewPoint:
    one = dice.normal(size=_DIMENSION) * 0.05
    one[0] = -1.0
    return point_pb2.NewPoint(id=f"f{n}", vector=point_pb2.Vector(packed=one.astype("<f4").tobytes()))


async def _recall(house: House, field: str, share: float) -> float:
    """Of windows of the field's places that hold this share of the points, one a question; of all, without a field."""
    dice = np.random.default_rng(13)
    right = 0
    for question in house.questions:
        filter, among = None, np.ones(_COUNT, bool)
        if field:
            start = dice.uniform(0, 1 - share)
            within = {"gte": start, "lt": start + share}
            filter = ParseDict({"must": [{"key": field, "range": within}]}, filter_pb2.Filter())
            among = (house.fields[field] >= within["gte"]) & (house.fields[field] < within["lt"])
        scores = house.scores(question, among)
        least = np.sort(scores)[::-1][min(_K, among.sum()) - 1]
        for exact in (False, True):
            found = await house.ask(question, filter, exact=exact)
            # Never fewer than fit, each once, and none that does not.
            assert len(set(found)) == len(found) == min(_K, among.sum())
            assert among[found].all()
            if exact:
                # Those that are right, but for ties within the precision of 32 bits.
                assert (scores[found] >= least - 1e-6).all()
            else:
                right += (scores[found] >= least - 1e-6).sum() * _K / len(found)
    return float(right / (_K * _QUESTIONS))


async def test_what_is_right_is_found_whatever_else_goes_on(
    stores: Stores, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a collection fifty times as large: half and a tenth of the points are too many to be compared one by one.
    monkeypatch.setattr(search, "FEW", 200)
    async with _unrest(stores, house) as turns:
        assert await _recall(house, "", 1.0) >= 0.98
        for field in ("even", "along"):
            for share in _SHARES:
                assert await _recall(house, field, share) >= 0.99, (field, share)
        assert min(turns.values()) > 1
    async with house.database.session() as session:
        t = Layout(house.collection.id)
        plans = await session.fetch(
            "EXPLAIN " + nearest.statement(house.collection, _K).replace("$1", f"'{house.questions[0].tolist()}'")
        )
        assert any(t.bare("hnsw") in row[0] for row in plans)


async def test_questions_that_are_gathered_are_answered_as_those_asked_alone(house: House) -> None:
    alone = [await house.ask(question, None) for question in house.questions]
    together = await asyncio.gather(*(house.ask(question, None) for question in house.questions))
    assert together == alone
    queries = [
        point_pb2.QueryPointsRequest(vector=point_pb2.Vector(packed=one.tobytes()), with_payload=False)
        for one in house.questions
    ]
    batch = await house.vector.points.QueryBatch(
        point_pb2.QueryBatchRequest(collection=house.collection.name, queries=queries)
    )
    assert [[int(one.point.id[1:]) for one in answer.points] for answer in batch.answers] == alone
