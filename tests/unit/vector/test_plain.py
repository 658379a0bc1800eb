"""What passes without its rules being evaluated, held to protovalidate."""

from typing import Any, Final

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from pergola.vector.v1 import filter_pb2, querying_pb2
from pergola.vector.v1 import point_pb2 as pb
from services.runtime.server import validation
from services.vector.handlers import plain

_RIGHT: Final[dict[str, Any]] = {"collection": "c", "vector": pb.Vector(packed=b"\0" * 8)}


def _long(most: int) -> st.SearchStrategy[str]:
    """Texts of lengths about a limit, and short ones."""
    lengths = st.sampled_from([0, 1, 2, most - 1, most, most + 1])
    return st.builds(lambda letter, length: letter * length, st.sampled_from(["a", "é", "\U00020000"]), lengths)


_VECTORS: Final = st.builds(
    pb.Vector,
    packed=st.sampled_from([0, 4, 7, 15_996, 16_000, 16_001]).map(bytes),
    values=st.sampled_from([[], [1.0], [float("nan")]]),
) | st.just(_RIGHT["vector"])
_NAMES: Final = st.sampled_from(["", "c", "a" * 63, "a" * 64, "A", "a\n", "a b", "-a", "a_-9"])
_POINTS: Final = st.builds(
    pb.NewPoint, id=_long(256) | st.just("a"), text=_long(32_768) | st.just(""), vector=st.none() | _VECTORS
)
_ABSENT: Final = st.none()
_QUESTIONS: Final = st.builds(
    pb.QueryPointsRequest,
    collection=_NAMES | st.just("c"),
    text=_long(32_768) | st.just(""),
    vector=_ABSENT | _VECTORS,
    mode=st.sampled_from(["", "dense", "hybrid", "lexical", "other"]),
    k=_ABSENT | st.sampled_from([-1, 0, 1, 1000, 1001]),
    offset=_ABSENT | st.sampled_from([-1, 0, 10_000, 10_001]),
    exact=_ABSENT | st.booleans(),
    ef=_ABSENT | st.sampled_from([0, 1, 1001]),
    with_payload=_ABSENT | st.booleans(),
    payload_fields=st.sampled_from([[], ["a"], [""]]),
    score_threshold=_ABSENT | st.sampled_from([0.5, float("inf")]),
    lexical=_ABSENT | st.sampled_from([querying_pb2.LexicalOptions(phrases=["a"])]),
    fusion=_ABSENT | st.sampled_from([querying_pb2.Fusion(method="rrf", rrf_k=0)]),
    filter=_ABSENT | st.sampled_from([filter_pb2.Filter()]),
)


def _holds(told: bool, message: Message) -> None:
    if told:
        assert validation.violations(message) == []


@given(st.builds(pb.UpsertPointsRequest, collection=_NAMES | st.just("c"), points=st.lists(_POINTS, max_size=3)))
def test_points_that_pass_break_no_rule(request: pb.UpsertPointsRequest) -> None:
    _holds(plain.points(request), request)


@given(_QUESTIONS)
def test_questions_that_pass_break_no_rule(request: pb.QueryPointsRequest) -> None:
    _holds(plain.question(request), request)
    batch = pb.QueryBatchRequest(collection=request.collection, queries=[request])
    _holds(plain.questions(batch), batch)


@pytest.mark.parametrize("count", [0, 1, 1000, 1001])
def test_more_than_a_call_takes_does_not_pass(count: int) -> None:
    points = pb.UpsertPointsRequest(collection="c", points=[pb.NewPoint(id="a", text="b")] * count)
    assert plain.points(points) == (validation.violations(points) == [])
    queries = pb.QueryBatchRequest(collection="c", queries=[pb.QueryPointsRequest(**_RIGHT)] * count)
    assert plain.questions(queries) == (validation.violations(queries) == [])


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"mode": "dense", "k": 1000, "offset": 10_000, "with_payload": False, "with_vector": True},
        {"text": "a", "mode": "hybrid"},
        {"text": "a", "mode": "lexical", "k": 1},
        {"text": "a", "vector": None},
    ],
)
def test_the_usual_questions_pass(asked: dict[str, Any]) -> None:
    assert plain.question(pb.QueryPointsRequest(**_RIGHT | asked))


def test_the_usual_points_pass() -> None:
    points = [pb.NewPoint(id="a", text="b"), pb.NewPoint(id="c", vector=_RIGHT["vector"])]
    points[0].payload.update({"a": [1, {"b": None}]})
    assert plain.points(pb.UpsertPointsRequest(collection="c", points=points))
