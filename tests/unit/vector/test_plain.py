"""What passes without its rules being evaluated, held to protovalidate: every message with up to two things changed."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pytest

from pergola.vector.v1 import filter_pb2, querying_pb2
from pergola.vector.v1 import point_pb2 as pb
from services.runtime.server import validation
from services.vector.handlers import plain

_VECTOR: Final = pb.Vector(packed=bytes(8))
_VECTORS: Final = (
    None,
    pb.Vector(),
    pb.Vector(values=[1.0]),
    pb.Vector(values=[float("nan")]),
    pb.Vector(packed=bytes(8), values=[1.0]),
    *(pb.Vector(packed=bytes(size)) for size in (7, 16_000, 16_001)),
)


def _texts(most: int) -> list[str]:
    """About a limit of so many characters, of one to four bytes each."""
    return ["", *(letter * length for letter in ("a", "é", "\U00020000") for length in (1, most, most + 1))]


_NAMES: Final = ("", "c", "a" * 63, "a" * 64, "A", "a\n", "a b", "-a", "a_-9")
_POINTS: Final[Mapping[str, Sequence[Any]]] = {
    "id": _texts(256),
    "text": _texts(32_768),
    "vector": _VECTORS,
    "payload": ({"a": [1, {"b": None}]},),
}
_QUESTIONS: Final[Mapping[str, Sequence[Any]]] = {
    "collection": _NAMES,
    "text": _texts(32_768),
    "vector": _VECTORS,
    "mode": ("dense", "hybrid", "lexical", "other"),
    "k": (-1, 0, 1, 1000, 1001),
    "offset": (-1, 10_000, 10_001),
    "exact": (True,),
    "ef": (0, 1, 1000, 1001),
    "with_payload": (False, True),
    "with_vector": (True,),
    "payload_fields": (["a"], [""]),
    "score_threshold": (0.5, float("inf")),
    "lexical": (querying_pb2.LexicalOptions(), querying_pb2.LexicalOptions(phrases=["a"])),
    "fusion": (querying_pb2.Fusion(method="rrf"), querying_pb2.Fusion(method="scores", rrf_k=1)),
    "filter": (filter_pb2.Filter(),),
}


def _changed(right: Mapping[str, Any], options: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """`right` as it is, with each field changed in each way, and with each two."""
    yield dict(right)
    single = [(field, value) for field, values in options.items() for value in values]
    for field, value in single:
        yield {**right, field: value}
    for (one, first), (other, second) in itertools.combinations(single, 2):
        if one != other:
            yield {**right, one: first, other: second}


@pytest.mark.parametrize("given", [{"vector": _VECTOR}, {"text": "a"}, {"text": "a", "vector": _VECTOR}])
def test_points_that_pass_break_no_rule(given: dict[str, Any]) -> None:
    passed = 0
    for fields in _changed({"id": "a", **given}, _POINTS):
        point = pb.NewPoint(**fields)
        if plain.point(point):
            passed += 1
            assert validation.violations(point) == []
            assert plain.points(pb.UpsertPointsRequest(collection="c", points=[point]))
    assert passed > 1


@pytest.mark.parametrize("given", [{"vector": _VECTOR}, {"text": "a"}, {"text": "a", "vector": _VECTOR}])
def test_questions_that_pass_break_no_rule(given: dict[str, Any]) -> None:
    passed = 0
    for fields in _changed({"collection": "c", **given}, _QUESTIONS):
        question = pb.QueryPointsRequest(**fields)
        if plain.question(question):
            passed += 1
            assert validation.violations(question) == []
            assert plain.questions(pb.QueryBatchRequest(collection="c", queries=[question]))
    assert passed > 1


def test_filters_have_no_rules_to_keep() -> None:
    assert "buf/validate/validate.proto" not in [one.name for one in filter_pb2.DESCRIPTOR.dependencies]
    assert "buf/validate/validate.proto" in [one.name for one in pb.DESCRIPTOR.dependencies]


@pytest.mark.parametrize("name", _NAMES)
@pytest.mark.parametrize("count", [0, 1, 1000, 1001])
def test_whole_requests_pass_just_when_they_are_right(name: str, count: int) -> None:
    points = pb.UpsertPointsRequest(collection=name, points=[pb.NewPoint(id="a", text="b")] * count)
    assert plain.points(points) == (validation.violations(points) == [])
    question = pb.QueryPointsRequest(collection="c", vector=_VECTOR)
    queries = pb.QueryBatchRequest(collection=name, queries=[question] * (count // 10 + count % 10))
    assert plain.questions(queries) == (validation.violations(queries) == [])


@pytest.mark.parametrize(
    "asked",
    [
        {"vector": _VECTOR},
        {"vector": _VECTOR, "mode": "dense", "k": 1000, "offset": 10_000, "with_payload": False, "with_vector": True},
        {"vector": _VECTOR, "text": "a", "mode": "hybrid"},
        {"text": "a", "mode": "lexical", "k": 1},
        {"text": "a"},
    ],
)
def test_the_usual_questions_pass(asked: dict[str, Any]) -> None:
    assert plain.question(pb.QueryPointsRequest(collection="c", **asked))


def test_the_usual_points_pass() -> None:
    points = [pb.NewPoint(id="a", text="b"), pb.NewPoint(id="c", vector=_VECTOR)]
    points[0].payload.update({"a": [1, {"b": None}]})
    assert plain.points(pb.UpsertPointsRequest(collection="c", points=points))
