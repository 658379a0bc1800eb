"""Questions as they come in, and points as they are answered."""

from collections.abc import Sequence
from typing import Final, Literal, cast

from pergola.vector.v1 import point_pb2 as pb
from pergola.vector.v1 import querying_pb2
from services.runtime.errors import Violation
from services.vector.filters.tree import HasPhrase, HasPrefix
from services.vector.handlers import filters, incoming, messages
from services.vector.model import Mode, ScoredPoint
from services.vector.search import Fused, Question

_K = 10
_USUAL: Final = Fused()


def place(query: pb.QueryPointsRequest, collection: str, field: str) -> None:
    """Gives a question inside of a request that request's collection. Raises InvalidArgument for another one."""
    if query.collection not in ("", collection):
        incoming.refuse([Violation(f"{field}collection", f"must be {collection} or empty")])
    query.collection = collection


def read(request: pb.QueryPointsRequest, field: str = "") -> Question:
    """A question; `field` is where it stands in its request. Raises InvalidArgument, InvalidVector."""
    required = _required(request.lexical, f"{field}lexical.") if request.HasField("lexical") else []
    mode = request.mode or ("hybrid" if request.text or (required and request.HasField("vector")) else
                            "lexical" if required else "dense")  # fmt: skip
    return Question(
        collection=request.collection,
        text=request.text,
        vector=messages.vector(request.vector, f"{field}vector") if request.HasField("vector") else None,
        mode=cast(Mode, mode),
        k=request.k if request.HasField("k") else _K,
        with_vector=request.with_vector,
        with_payload=with_payload(request),
        filter=filters.read(request.filter, f"{field}filter") if request.HasField("filter") else None,
        offset=request.offset,
        threshold=request.score_threshold if request.HasField("score_threshold") else None,
        exact=request.exact,
        ef=request.ef if request.HasField("ef") else None,
        required=required,
        fusion=_fused(request.fusion) if request.HasField("fusion") else _USUAL,
        field=field,
    )


def with_payload(request: pb.QueryPointsRequest | pb.ScrollPointsRequest) -> bool:
    """Whether points carry payload and chunk."""
    return request.with_payload if request.HasField("with_payload") else True


def scored(one: ScoredPoint, request: pb.QueryPointsRequest) -> pb.ScoredPoint:
    """A point that was found, as it was asked for."""
    shown = messages.point(one.point, with_payload=with_payload(request), only=request.payload_fields)
    return pb.ScoredPoint(point=shown, score=one.score, dense_score=one.dense_score, lexical_score=one.lexical_score)


def answer(request: pb.QueryPointsRequest, found: Sequence[ScoredPoint], message: pb.QueryPointsResponse) -> None:
    """Writes the points that were found as they were asked for; in place, for every hit of every answer pays."""
    whole, only = with_payload(request), request.payload_fields
    for one in found:
        # A score that is None stays absent.
        hit = message.points.add(score=one.score, dense_score=one.dense_score, lexical_score=one.lexical_score)
        messages.fill(hit.point, one.point, with_payload=whole, only=only)


def _required(options: querying_pb2.LexicalOptions, field: str) -> list[HasPhrase | HasPrefix]:
    phrases = [filters.phrase(text, f"{field}phrases[{number}]") for number, text in enumerate(options.phrases)]
    prefixes = [filters.prefix(text, f"{field}prefixes[{number}]") for number, text in enumerate(options.prefixes)]
    return [*phrases, *prefixes]


def _fused(asked: querying_pb2.Fusion) -> Fused:
    return Fused(
        method=cast(Literal["rrf", "scores"], asked.method or "rrf"),
        rrf_k=asked.rrf_k if asked.HasField("rrf_k") else None,
        dense=asked.dense_weight if asked.HasField("dense_weight") else None,
        lexical=asked.lexical_weight if asked.HasField("lexical_weight") else None,
    )
