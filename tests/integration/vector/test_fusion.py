"""How hybrid search makes one order of two, and what ExplainQuery says of it."""

import math
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from pergola.vector.v1 import document_pb2, point_pb2
from services.vector.stores import collections as collection_store
from services.vector.stores.points import merging, search
from tests.stacks import Stores
from tests.support.vector import Vector, caller, database_of, status, vector_service, violations

_ASKED = [1.0, 0.0]


def _points(count: int) -> list[dict[str, Any]]:
    """Nearer to _ASKED the lower the number; `lantern` is the rarer, the higher the number of a few."""
    return [
        {
            "id": f"p{n:03}",
            "vector": {"values": [math.cos(n / count), math.sin(n / count)]},
            "text": f"word {'lantern ' * (n % 4)} {'filler ' * (n % 7)}",
            "payload": {"n": n},
        }
        for n in range(count)
    ]


async def _made(vector: Vector, points: list[dict[str, Any]], **fields: Any) -> str:
    name = await vector.create(dimension=len(points[0]["vector"]["values"]), **fields)
    for first in range(0, len(points), 1000):
        batch = points[first : first + 1000]
        await vector.points.UpsertPoints(
            ParseDict({"collection": name, "points": batch}, point_pb2.UpsertPointsRequest())
        )
    return name


async def ask(vector: Vector, name: str, **fields: Any) -> list[point_pb2.ScoredPoint]:
    request = ParseDict({"collection": name, "vector": {"values": _ASKED}} | fields, point_pb2.QueryPointsRequest())
    return list((await vector.points.QueryPoints(request)).points)


async def explain(
    vector: Vector, name: str, /, *, with_plan: bool = False, **query: Any
) -> point_pb2.ExplainQueryResponse:
    request = ParseDict({"collection": name, "query": query, "with_plan": with_plan}, point_pb2.ExplainQueryRequest())
    found: point_pb2.ExplainQueryResponse = await vector.points.ExplainQuery(request)
    return found


@pytest.fixture(scope="module")
async def lamps(vector_address: str) -> str:
    async with caller(vector_address) as vector:
        return await _made(vector, _points(100))


async def _arms(vector: Vector, name: str) -> tuple[dict[str, float], dict[str, float]]:
    dense = {one.point.id: one.score for one in await ask(vector, name, mode="dense", k=128)}
    lexical = {one.point.id: one.score for one in await ask(vector, name, text="lantern", mode="lexical", k=128)}
    assert (len(dense), len(lexical)) == (100, 75)
    return dense, lexical


@pytest.mark.parametrize(
    ("fusion", "k", "dense_weight", "lexical_weight"),
    [
        ({}, 60, 1, 1),
        ({"method": "rrf", "rrf_k": 0}, 0, 1, 1),
        ({"rrf_k": 5.5, "dense_weight": 0.3, "lexical_weight": 2}, 5.5, 0.3, 2),
        ({"dense_weight": 0}, 60, 0, 1),
    ],
)
async def test_ranks_are_fused_by_their_weights(
    vector: Vector, lamps: str, fusion: dict[str, Any], k: float, dense_weight: float, lexical_weight: float
) -> None:
    dense, lexical = await _arms(vector, lamps)
    explained = await explain(vector, lamps, text="lantern", vector={"values": _ASKED}, fusion=fusion, k=100)
    found = await ask(vector, lamps, text="lantern", fusion=fusion, k=100)
    assert [one.scored for one in explained.points] == found
    assert {one.point.id for one in found} == dense.keys()
    for one in explained.points:
        id = one.scored.point.id
        # Points of the same score share out the ranks that fall to them.
        assert one.dense_rank == 1 + list(dense).index(id)
        same = [place for place, other in enumerate(lexical, 1) if lexical[other] == lexical.get(id)]
        assert (one.lexical_rank in same) if same else not one.HasField("lexical_rank")
        assert one.dense_part == pytest.approx(dense_weight / (k + one.dense_rank))
        assert one.lexical_part == pytest.approx(lexical_weight / (k + one.lexical_rank) if same else 0)
        assert one.scored.score == pytest.approx(one.dense_part + one.lexical_part)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


@pytest.mark.parametrize(("dense_weight", "lexical_weight"), [(1, 1), (3, 1), (0, 2)])
@pytest.mark.parametrize("distance", ["cosine", "l2"])
async def test_scores_are_fused_as_the_contract_says(
    vector: Vector, distance: str, dense_weight: float, lexical_weight: float
) -> None:
    name = await _made(vector, _points(100), distance=distance)
    dense, lexical = await _arms(vector, name)
    low, high, best = min(dense.values()), max(dense.values()), max(lexical.values())
    expected = {
        id: (dense_weight * (dense[id] - low) / (high - low) + lexical_weight * lexical.get(id, 0.0) / best)
        / (dense_weight + lexical_weight)
        for id in dense
    }
    fusion = {"method": "scores", "dense_weight": dense_weight, "lexical_weight": lexical_weight}
    found = await ask(vector, name, text="lantern", fusion=fusion, k=100)
    assert {one.point.id: one.score for one in found} == pytest.approx(expected)
    assert all(0 <= one.score <= 1 for one in found)


async def test_pages_of_a_fused_order_fit_together(vector: Vector) -> None:
    name = await _made(vector, _points(200))
    whole = [one.point.id for one in await ask(vector, name, text="lantern", k=60)]
    pages = [
        one.point.id
        for offset in range(0, 60, 10)
        for one in await ask(vector, name, text="lantern", k=10, offset=offset)
    ]
    assert sorted(pages) == sorted(whole)
    assert len(set(pages)) == 60


async def test_words_lead_where_the_model_knows_no_script(vector: Vector) -> None:
    name = await vector.create()
    texts = ["고양이가 집에 있다", "강아지가 마당에 있다", "An old lantern in the harbour"]
    await vector.ingest(name, *(document_pb2.Document(id=f"d{n}", text=text) for n, text in enumerate(texts)))
    korean = await explain(vector, name, text="고양이")
    assert (korean.fusion.dense_weight, korean.fusion.lexical_weight) == (0.25, 1)
    assert "Korean" in korean.fusion.reason
    assert korean.points[0].scored.point.chunk.document == "d0"
    # Most of what the collection holds is Korean, so its vectors are compared with little that means something.
    latin = await explain(vector, name, text="lantern")
    assert latin.fusion.dense_weight == 0.25
    assert "collection" in latin.fusion.reason
    given = await explain(vector, name, text="고양이", fusion={"lexical_weight": 1})
    assert (given.fusion.dense_weight, given.fusion.reason) == (1, "The weights were given.")
    english = await vector.create()
    await vector.ingest(english, *texts[2:])
    assert (await explain(vector, english, text="lantern")).fusion.dense_weight == 1
    assert (await explain(vector, english, text="фонарь")).fusion.dense_weight == 0.25


async def test_an_explanation_of_words_adds_up(vector: Vector, lamps: str) -> None:
    one = await explain(vector, lamps, text="lantern filler nowhere word", mode="lexical", k=5)
    assert (one.mode, one.HasField("dense"), one.HasField("fusion"), one.HasField("filter")) == (
        "lexical", False, False, False,
    )  # fmt: skip
    roles = {term.term: (term.point_count, term.role) for term in one.lexical.terms}
    assert roles == {
        "lantern": (75, "candidates"),
        "filler": (85, "candidates"),
        "word": (100, "candidates"),
        "nowhere": (0, "unknown"),
    }
    for term in one.lexical.terms[:3]:
        assert term.idf == pytest.approx(math.log(1 + (100 - term.point_count + 0.5) / (term.point_count + 0.5)))
    assert (one.lexical.candidate_count, one.lexical.filled_count, one.lexical.found_count) == (100, 0, 100)
    for rank, point in enumerate(one.points, 1):
        assert (point.rank, point.lexical_rank) == (rank, rank)
        assert sum(term.score for term in point.terms) == pytest.approx(point.scored.lexical_score)
        text = point.scored.point.text
        assert {term.term: term.count for term in point.terms} == {
            word: text.count(word) for word in ("lantern", "filler", "word") if word in text
        }


async def test_an_explanation_shows_filter_route_stages_and_plan(vector: Vector, lamps: str) -> None:
    one = await explain(
        vector,
        lamps,
        with_plan=True,
        vector={"values": _ASKED},
        text="lantern",
        filter={"must": [{"key": "n", "integer_range": {"lt": 25}}]},
        lexical={"phrases": ["word lantern"]},
    )
    assert MessageToDict(one.filter) == {"fittingCount": 18, "pointCount": 100, "selectivity": 0.18}
    assert (one.dense.route, one.dense.vector, one.dense.depth, one.dense.found_count) == ("exact", "given", 64, 18)
    assert "18 points fit" in one.dense.reason
    assert [stage.name for stage in one.stages] == ["lean", "probe", "search"]
    assert all(stage.milliseconds >= 0 for stage in one.stages)
    assert "Execution Time" in one.plan
    assert "fitting" in one.plan
    assert all(len(literal) < 100 for literal in one.plan.split("'")[1::2])
    assert {point.scored.point.id for point in one.points} <= {f"p{n:03}" for n in range(25) if n % 4}
    bare = await explain(vector, lamps, vector={"values": _ASKED})
    assert (bare.mode, bare.plan, bare.dense.route) == ("dense", "", "index")
    assert "no index yet" in bare.dense.reason
    assert [point.dense_rank for point in bare.points] == list(range(1, 11))


async def test_an_explanation_tells_common_words_from_rare_ones_and_the_index_from_the_rest(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "FEW", 50)
    environ = await stores.own_database()
    points = [
        {"id": f"p{n}", "vector": {"values": [n + 1, 1]}, "text": "common" + " rare" * (n < 30), "payload": {"n": n}}
        for n in range(2500)
    ]
    async with (
        vector_service(environ, delta_rows="1000000") as address,
        caller(address) as vector,
        database_of(environ) as database,
    ):
        name = await _made(vector, points[:2400])
        async with database.transaction("default") as session:
            collection = await collection_store.find(session, name)
        assert collection is not None
        await merging.merge(database, collection)
        await vector.points.UpsertPoints(
            ParseDict({"collection": name, "points": points[2400:]}, point_pb2.UpsertPointsRequest())
        )
        few = await explain(vector, name, text="common rare", mode="lexical", k=10)
        assert {term.term: term.role for term in few.lexical.terms} == {"rare": "candidates", "common": "scores"}
        assert (few.lexical.candidate_count, few.lexical.filled_count) == (30, 0)
        more = await explain(vector, name, text="common rare", mode="lexical", k=40)
        assert {term.term: term.role for term in more.lexical.terms} == {"rare": "candidates", "common": "fills"}
        assert more.lexical.candidate_count == 30
        assert more.lexical.filled_count > 1000
        dense = await explain(vector, name, vector={"values": _ASKED}, k=10, ef=77)
        assert (dense.dense.indexed_count, dense.dense.unindexed_count, dense.dense.ef) == (2400, 100, 77)
        assert dense.dense.reason == "The index is asked."
        many = await explain(
            vector, name, vector={"values": _ASKED}, filter={"must": [{"key": "n", "range": {"gte": 0}}]}
        )
        assert (many.filter.more, many.filter.fitting_count, many.dense.route) == (True, 51, "index")
        exact = await explain(vector, name, vector={"values": _ASKED}, exact=True)
        assert (exact.dense.route, exact.dense.ef, exact.dense.reason) == ("exact", 0, "It was asked for.")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"text": "a", "fusion": {"method": "best"}}, "fusion.method"),
        ({"text": "a", "fusion": {"rrf_k": -1}}, "fusion.rrf_k"),
        ({"text": "a", "fusion": {"method": "scores", "rrf_k": 1}}, "fusion"),
        ({"text": "a", "fusion": {"dense_weight": 0, "lexical_weight": 0}}, "fusion"),
        ({"text": "a", "fusion": {"dense_weight": "NaN"}}, "fusion.dense_weight"),
        ({"text": "a", "mode": "lexical", "fusion": {"rrf_k": 1}}, ""),
        ({"vector": {"values": _ASKED}, "fusion": {"rrf_k": 1}}, ""),
        ({"vector": {"values": _ASKED}, "mode": "dense", "lexical": {"phrases": ["a"]}}, ""),
        ({"lexical": {"phrases": ["a"]}, "mode": "hybrid"}, ""),
        ({"text": "a", "lexical": {"phrases": ["?"]}}, "lexical.phrases[0]"),
        ({"text": "a", "lexical": {"prefixes": ["a", "b c"]}}, "lexical.prefixes[1]"),
        ({"vector": {}}, "vector"),
        ({"vector": {"values": []}}, "vector"),
        ({"vector": {"values": ["NaN", 1]}}, "vector.values[0]"),
        ({"vector": {"values": [1, "-Infinity"]}}, "vector.values[1]"),
        ({"vector": {"values": [1, 2, 3]}}, "vector"),
        ({"vector": {"values": [0, 0]}}, "vector"),
        ({"text": "a", "filter": {"must": [{"filter": {}}]}}, "filter.must[0].filter"),
    ],
)
async def test_what_is_wrong_is_named_by_every_way_to_ask(
    vector: Vector, lamps: str, fields: dict[str, Any], field: str
) -> None:
    asked = ParseDict({"collection": lamps} | fields, point_pb2.QueryPointsRequest())
    batch = ParseDict({"collection": lamps, "queries": [{"text": "a", "mode": "lexical"}, fields]},
                      point_pb2.QueryBatchRequest())  # fmt: skip
    explained = ParseDict({"collection": lamps, "query": fields}, point_pb2.ExplainQueryRequest())
    for call, request, prefix in (
        (vector.points.QueryPoints, asked, ""),
        (vector.points.QueryBatch, batch, "queries[1]"),
        (vector.points.ExplainQuery, explained, "query"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            await call(request)
        assert status(caught.value)[0] == "INVALID_ARGUMENT"
        assert violations(caught.value)[0] == ".".join(part for part in (prefix, field) if part)


async def test_an_explanation_is_of_its_collection(vector: Vector, lamps: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await explain(vector, lamps, collection="other", text="a")
    assert violations(caught.value) == ["query.collection"]
    with pytest.raises(grpc.RpcError) as caught:
        await explain(vector, "nowhere", text="a")
    assert status(caught.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")
