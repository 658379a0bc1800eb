"""Messages that surely keep the rules of their contract, told without evaluating each rule.

Asking protovalidate takes 25 µs for a question and 14 for a point, most of it because rules over a whole message make a
copy of its vector and payload: a twentieth of the service's time for a question, and a fifth of an upsert's. What is
told here is narrow, and holds the commonest messages: True means that no rule is broken, False says nothing. The
numbers are those of the contract; tests/unit/vector/test_plain.py holds the answers to protovalidate's.
"""

import re
from typing import Final

from google.protobuf.descriptor import Descriptor

from pergola._vendor.buf.validate import validate_pb2
from pergola.vector.v1 import point_pb2 as pb


def points(request: pb.UpsertPointsRequest) -> bool:
    """Whether an UpsertPointsRequest surely is right."""
    return (
        _NAMED(request.collection) is not None
        and 0 < len(request.points) <= _MOST_POINTS
        and all(map(point, request.points))
    )


def point(one: pb.NewPoint) -> bool:
    """Whether a NewPoint surely is right."""
    text = one.text
    if len(text) > _LONGEST_TEXT or not 0 < len(one.id) <= _LONGEST_ID:
        return False
    return _vector(one.vector) if one.HasField("vector") else text != ""


def question(request: pb.QueryPointsRequest) -> bool:
    """Whether a QueryPointsRequest surely is right: a vector or a text, and nothing unusual asked for.

    The contract has no rules for a filter's parts; what is wrong with one is told when it is read (filters.py).
    """
    text, mode = request.text, request.mode
    if _NAMED(request.collection) is None or len(text) > _LONGEST_QUESTION:
        return False
    if request.HasField("vector"):
        if not _vector(request.vector):
            return False
    elif not text:
        return False
    return not (
        (mode and not (mode == "dense" or (text and mode in _WITH_WORDS)))
        or (request.HasField("k") and not 0 < request.k <= _MOST)
        or not 0 <= request.offset <= _DEEPEST
        or request.exact
        or request.payload_fields
        or request.HasField("score_threshold")
        or request.HasField("ef")
        or request.HasField("lexical")
        or request.HasField("fusion")
    )


def questions(request: pb.QueryBatchRequest) -> bool:
    """Whether a QueryBatchRequest surely is right."""
    return (
        _NAMED(request.collection) is not None
        and 0 < len(request.queries) <= _MOST_QUESTIONS
        and all(map(question, request.queries))
    )


def _vector(one: pb.Vector) -> bool:
    """Packed alone: numbers one by one are looked at one by one."""
    return 0 < len(one.packed) <= _LONGEST_VECTOR and not one.values


def _rules(message: Descriptor, field: str) -> validate_pb2.FieldRules:
    rules: validate_pb2.FieldRules = message.fields_by_name[field].GetOptions().Extensions[validate_pb2.field]
    return rules


_NEW: Final = pb.NewPoint.DESCRIPTOR
_QUESTION: Final = pb.QueryPointsRequest.DESCRIPTOR
_NAMED: Final = re.compile(_rules(_QUESTION, "collection").string.pattern.removesuffix("$")).fullmatch
_LONGEST_ID: Final = _rules(_NEW, "id").string.max_len
_LONGEST_TEXT: Final = _rules(_NEW, "text").string.max_len
_LONGEST_QUESTION: Final = _rules(_QUESTION, "text").string.max_len
_LONGEST_VECTOR: Final = _rules(pb.Vector.DESCRIPTOR, "packed").bytes.max_len
_MOST: Final = _rules(_QUESTION, "k").int32.lte
_DEEPEST: Final = _rules(_QUESTION, "offset").int32.lte
_MOST_POINTS: Final = _rules(pb.UpsertPointsRequest.DESCRIPTOR, "points").repeated.max_items
_MOST_QUESTIONS: Final = _rules(pb.QueryBatchRequest.DESCRIPTOR, "queries").repeated.max_items
_WITH_WORDS: Final = ("hybrid", "lexical")
