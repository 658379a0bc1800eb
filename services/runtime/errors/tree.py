"""Every error a Pergola service answers with. Each leaf owns its gRPC code, its reason and its HTTP status.

    PergolaError
    ├── InvalidArgument 400 ─── InvalidPageToken, InvalidVector, DimensionMismatch, UnknownLanguage,
    │                           InvalidCypher
    ├── Unauthenticated 401
    ├── PermissionDenied 403 ── RoleRequired, TenantForbidden, CypherReadOnly
    ├── NotFound 404 ────────── CollectionNotFound, DocumentNotFound, JobNotFound, ModelNotFound,
    │                           EntityNotFound, MergeNotFound
    ├── AlreadyExists 409 ───── CollectionExists, RequestIdReused
    ├── FailedPrecondition 409  CypherNeedsIsolation, CursorMismatch, LanguageFixed, JobEnded, JobNotEnded,
    │                           NothingToRetry, NotFollowed, AlreadyMerged, MergedSince
    ├── Aborted 409
    ├── ResourceExhausted 429 ─ RateLimited, TooManyRows, PayloadTooLarge 413 ── ValueTooLarge
    ├── DeadlineExceeded 504
    ├── Cancelled 499
    ├── Unavailable 503 ─────── StoreUnavailable, PeerUnavailable, ParsersUnavailable, Draining
    ├── Upstream 502 ────────── UpstreamError, UpstreamRateLimited, UpstreamTimeout, UpstreamStreamCut,
    │                           UpstreamBadResponse, UpstreamRejected, UpstreamAuthentication
    ├── Unimplemented 501
    └── Internal 500

A message is read by the caller: it says what to do, and never holds a secret, a driver's text or a stack. A reason is
the class's name in capitals. A new leaf is a class of two lines here; the table in the docs and the test through the
gateway pick it up by themselves.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from grpc import StatusCode

DOMAIN: Final = "pergola"
"""The `domain` of every ErrorInfo."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong with a request: the field's path (`messages[2].role`) and what it must be."""

    field: str
    description: str


class PergolaError(Exception):
    """The root: never raised itself.

    `retry_after` is in seconds. `metadata` goes into ErrorInfo: short names and values that a program may read.
    """

    code: ClassVar[StatusCode]
    http_status: ClassVar[int]
    retry_may_help: ClassVar[bool] = True
    """False forbids a channel's one retry (`grpc-retry-pushback-ms: -1`): the attempt cost money, or was one itself."""
    reason: str

    def __init_subclass__(
        cls,
        *,
        code: StatusCode | None = None,
        http_status: int | None = None,
        retry_may_help: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        cls.reason = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).upper()
        if code is not None:
            cls.code = code
        if http_status is not None:
            cls.http_status = http_status
        if retry_may_help is not None:
            cls.retry_may_help = retry_may_help

    def __init__(
        self,
        message: str,
        *,
        violations: Sequence[Violation] = (),
        retry_after: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.violations = tuple(violations)
        self.retry_after = retry_after
        self.metadata: Mapping[str, str] = metadata or {}


class InvalidArgument(PergolaError, code=StatusCode.INVALID_ARGUMENT, http_status=400):
    """The request breaks a rule of the contract; the violations name each field."""


class InvalidPageToken(InvalidArgument):
    """The page token is not one this list gave out, or belongs to another filter or tenant."""


class InvalidVector(InvalidArgument):
    """A vector holds a number that is not finite, is all zero where a direction is needed, or has a broken length."""


class DimensionMismatch(InvalidArgument):
    """A vector has another number of dimensions than its collection."""


class UnknownLanguage(InvalidArgument):
    """There are no stems of this language; the violation lists those there are."""


class InvalidCypher(InvalidArgument):
    """The Cypher statement does not parse, or uses something this store does not know."""


class Unauthenticated(PergolaError, code=StatusCode.UNAUTHENTICATED, http_status=401):
    """No credentials, or ones that no caller has."""


class PermissionDenied(PergolaError, code=StatusCode.PERMISSION_DENIED, http_status=403):
    """The caller is known and may not do this."""


class RoleRequired(PermissionDenied):
    """The method needs a role the caller lacks, such as a reader that writes."""


class TenantForbidden(PermissionDenied):
    """The caller named a tenant that is not its own."""


class CypherReadOnly(PermissionDenied):
    """A Cypher statement tried to write; raw Cypher only reads."""


class NotFound(PergolaError, code=StatusCode.NOT_FOUND, http_status=404):
    """The thing named does not exist in this tenant."""


class CollectionNotFound(NotFound):
    """No collection has this name."""


class DocumentNotFound(NotFound):
    """No document of the collection has this id."""


class JobNotFound(NotFound):
    """No job has this id, or it was finished longer ago than jobs are kept."""


class ModelNotFound(NotFound):
    """No model has this name."""


class EntityNotFound(NotFound):
    """No entity of the graph has this key."""


class MergeNotFound(NotFound):
    """No merge of the graph has this id, or it was undone."""


class AlreadyExists(PergolaError, code=StatusCode.ALREADY_EXISTS, http_status=409):
    """What should be made is there already."""


class CollectionExists(AlreadyExists):
    """A collection of this name exists."""


class RequestIdReused(AlreadyExists):
    """The request id was used for another body within the last 24 hours."""


class FailedPrecondition(PergolaError, code=StatusCode.FAILED_PRECONDITION, http_status=409):
    """The request is right, and the state of things forbids it until something else is done."""


class CypherNeedsIsolation(FailedPrecondition):
    """Raw Cypher needs a store that keeps tenants in databases of their own."""


class CursorMismatch(FailedPrecondition):
    """The cursor is of another incarnation of the collection, or beyond its last change: scroll, then follow anew."""


class LanguageFixed(FailedPrecondition):
    """A collection keeps the language of its stems: the words that are stored depend on it."""


class JobEnded(FailedPrecondition):
    """The job has completed or failed; there is nothing left to cancel."""


class JobNotEnded(FailedPrecondition):
    """The job has not ended yet; wait for its end or cancel it first."""


class NothingToRetry(FailedPrecondition):
    """No document of the job failed, or all that did are being retried by another job."""


class NotFollowed(FailedPrecondition):
    """The consumer waited for does not follow this collection; create the collection with `graph` on."""


class AlreadyMerged(FailedPrecondition):
    """One of the entities is part of another one already; name that one, or undo its merge first."""


class MergedSince(FailedPrecondition):
    """The target of the merge has become part of another entity since; undo that merge first."""


class Aborted(PergolaError, code=StatusCode.ABORTED, http_status=409):
    """Two changes met and this one lost; read again and repeat it."""


class ResourceExhausted(PergolaError, code=StatusCode.RESOURCE_EXHAUSTED, http_status=429):
    """A limit is reached."""


class RateLimited(ResourceExhausted):
    """Too many calls; `retry_after` says when to come back."""


class TooManyRows(ResourceExhausted):
    """The result has more rows than may be returned; ask for fewer."""


class PayloadTooLarge(ResourceExhausted, http_status=413):
    """A body or a document is larger than the limit."""


class ValueTooLarge(PayloadTooLarge):
    """A value is larger than the cache keeps."""


class DeadlineExceeded(PergolaError, code=StatusCode.DEADLINE_EXCEEDED, http_status=504):
    """The deadline passed before the answer was ready."""


class Cancelled(PergolaError, code=StatusCode.CANCELLED, http_status=499):
    """The caller, or someone who may, cancelled the work."""


class Unavailable(PergolaError, code=StatusCode.UNAVAILABLE, http_status=503):
    """Something this needs does not answer now; trying again later may help."""


class StoreUnavailable(Unavailable):
    """A database does not answer."""


class PeerUnavailable(Unavailable, retry_may_help=False):
    """Another Pergola service does not answer; the channel to it has tried again already."""


class ParsersUnavailable(Unavailable):
    """No process could be started that parses files."""


class Draining(Unavailable):
    """This process is shutting down; another replica, or the next one, answers."""


class Upstream(PergolaError, code=StatusCode.UNAVAILABLE, http_status=502, retry_may_help=False):
    """A model provider failed. A channel never tries again by itself: each attempt may cost money."""


class UpstreamError(Upstream):
    """The provider answered with a server error."""


class UpstreamRateLimited(Upstream):
    """The provider's own rate limit is reached."""


class UpstreamTimeout(Upstream):
    """The provider did not answer in time."""


class UpstreamStreamCut(Upstream):
    """The provider's stream ended in the middle."""


class UpstreamBadResponse(Upstream):
    """The provider's answer can't be read."""


class UpstreamRejected(Upstream):
    """The provider refused the request, for instance because the prompt is too long for the model."""


class UpstreamAuthentication(Upstream):
    """The provider refused the configured key."""


class Unimplemented(PergolaError, code=StatusCode.UNIMPLEMENTED, http_status=501):
    """The method, or this use of it, does not exist here."""


class Internal(PergolaError, code=StatusCode.INTERNAL, http_status=500, retry_may_help=False):
    """A fault of Pergola's own. The log has the whole story under the id in the message."""


def leaves(root: type[PergolaError] = PergolaError) -> Iterator[type[PergolaError]]:
    """Every class below `root`, depth first: all of them may be raised."""
    for child in root.__subclasses__():
        yield child
        yield from leaves(child)
