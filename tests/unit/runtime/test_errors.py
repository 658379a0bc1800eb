"""The error tree, and what of it reaches a caller."""

import asyncio
import json
import re
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.runtime import call, errors
from services.runtime.errors import tree, wire
from services.runtime.errors.remote import DETAILS_KEY

LEAVES = sorted(set(tree.leaves()), key=lambda leaf: leaf.reason)

HTTP = {
    grpc.StatusCode.INVALID_ARGUMENT: {400, 415},
    grpc.StatusCode.UNAUTHENTICATED: {401},
    grpc.StatusCode.PERMISSION_DENIED: {403},
    grpc.StatusCode.NOT_FOUND: {404},
    grpc.StatusCode.ALREADY_EXISTS: {409},
    grpc.StatusCode.FAILED_PRECONDITION: {409},
    grpc.StatusCode.ABORTED: {409},
    grpc.StatusCode.RESOURCE_EXHAUSTED: {413, 429},
    grpc.StatusCode.DEADLINE_EXCEEDED: {504},
    grpc.StatusCode.CANCELLED: {499},
    grpc.StatusCode.UNAVAILABLE: {502, 503},
    grpc.StatusCode.UNIMPLEMENTED: {501},
    grpc.StatusCode.INTERNAL: {500},
}


def received(error: tree.PergolaError) -> grpc.aio.AioRpcError:
    """What a gRPC client gets for `error`."""
    metadata = grpc.aio.Metadata(*wire.trailing(error, "r1", "grpc"))
    return grpc.aio.AioRpcError(error.code, grpc.aio.Metadata(), metadata, wire.grpc_message(error))


def test_reasons_are_unique_and_of_one_shape() -> None:
    reasons = [leaf.reason for leaf in LEAVES]
    assert len(reasons) == len(set(reasons))
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*[A-Z0-9]", reason) for reason in reasons)


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.reason)
def test_every_error_says_what_it_is_and_fits_its_code(leaf: type[tree.PergolaError]) -> None:
    assert leaf.__doc__
    assert leaf.__doc__.strip().endswith(".")
    assert leaf.http_status in HTTP[leaf.code]
    assert leaf.__name__ in str(tree.__doc__), "draw it in the tree at the top of the module"


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.reason)
def test_every_error_crosses_the_wire(leaf: type[tree.PergolaError]) -> None:
    sent = leaf(
        "what to do",
        violations=[errors.Violation("a.b", "must be so")],
        retry_after=1.25,
        metadata={"collection": "docs"},
    )
    got = errors.from_rpc(received(sent), "vector")
    if leaf in (tree.Unauthenticated, tree.RoleRequired):
        assert isinstance(got, tree.Internal)
        return
    assert type(got) is leaf
    assert (got.message, got.violations, got.retry_after) == ("what to do", sent.violations, 1.25)
    assert got.metadata["collection"] == "docs"


def test_a_reason_of_a_later_version_keeps_its_name() -> None:
    sent = tree.NotFound("no such toaster")
    sent.reason = "TOASTER_NOT_FOUND"
    got = errors.from_rpc(received(sent), "vector")
    assert isinstance(got, tree.NotFound)
    assert got.reason == "TOASTER_NOT_FOUND"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, tree.PeerUnavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, tree.DeadlineExceeded),
        (grpc.StatusCode.CANCELLED, tree.Cancelled),
        (grpc.StatusCode.UNAUTHENTICATED, tree.Internal),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, tree.Internal),
        (grpc.StatusCode.UNKNOWN, tree.Internal),
    ],
)
def test_a_status_that_is_not_ours_tells_nothing_of_its_text(
    code: grpc.StatusCode, expected: type[tree.PergolaError]
) -> None:
    error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "connect to 10.1.2.3:4 failed")
    got = errors.from_rpc(error, "vector")
    assert type(got) is expected
    assert "10.1.2.3" not in got.message


def test_details_that_are_no_status_are_no_reason_to_fail() -> None:
    broken = grpc.aio.Metadata((DETAILS_KEY, b"\xff\xff"))
    error = grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), broken, "x")
    assert isinstance(errors.from_rpc(error, "vector"), tree.Internal)


def test_what_nobody_expected_is_logged_under_the_id_that_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with call.acting_as("acme", request_id="r7"):
        got = errors.translate(ValueError("password=hunter2"))
    assert isinstance(got, tree.Internal)
    assert "hunter2" not in got.message
    (record,) = caplog.records
    logged: Any = record
    assert (logged.error_id, logged.request_id, logged.tenant) == (got.metadata["error_id"], "r7", "acme")
    assert logged.error_id in got.message


def test_running_out_of_time_is_known_by_the_deadline() -> None:
    with call.acting_as("acme", deadline=0.0):
        assert isinstance(errors.translate(TimeoutError()), tree.DeadlineExceeded)
    with call.acting_as("acme"):
        assert isinstance(errors.translate(TimeoutError()), tree.Internal)
    assert isinstance(errors.translate(asyncio.CancelledError()), tree.Cancelled)


def test_fields_say_what_the_body_says() -> None:
    error = tree.RateLimited("slowly", retry_after=6.2)
    with call.acting_as("acme", request_id="r7"):
        told = errors.fields(error)
    body = json.loads(wire.body(error, "r7", "api"))["error"]
    assert body == {
        "code": 429,
        "status": "RESOURCE_EXHAUSTED",
        "reason": "RATE_LIMITED",
        "message": "slowly",
        "retry_after": 7,
        "request_id": "r7",
    }
    assert (told.code, told.status, told.reason, told.message, told.request_id) == tuple(
        body[name] for name in ("code", "status", "reason", "message", "request_id")
    )


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (tree.InvalidArgument("x", violations=[errors.Violation("model", "y")]), "invalid_request_error", None),
        (tree.Unauthenticated("x"), "authentication_error", "unauthenticated"),
        (tree.TenantForbidden("x"), "permission_error", "tenant_forbidden"),
        (tree.ModelNotFound("x"), "invalid_request_error", "model_not_found"),
        (tree.RateLimited("x"), "rate_limit_error", "rate_limited"),
        (tree.UpstreamTimeout("x"), "server_error", "upstream_timeout"),
    ],
)
def test_the_openai_face_has_openais_shape(error: tree.PergolaError, kind: str, code: str | None) -> None:
    body = json.loads(wire.body(error, "r1", "openai"))["error"]
    assert set(body) == {"message", "type", "param", "code", "request_id"}
    assert body["type"] == kind
    assert body["param"] == ("model" if error.violations else None)
    assert code is None or body["code"] == code


def test_upstream_errors_forbid_the_channels_retry() -> None:
    for leaf in LEAVES:
        pushback = dict(wire.trailing(leaf("x"), "r", "grpc")).get("grpc-retry-pushback-ms")
        assert (pushback == "-1") is (not leaf.retry_may_help)
        if issubclass(leaf, tree.Upstream):
            assert pushback == "-1"


TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=5000)


@given(
    message=TEXT,
    violations=st.lists(st.builds(errors.Violation, TEXT, TEXT), max_size=60),
    metadata=st.dictionaries(st.sampled_from(["a", "b", "c"]), TEXT),
    retry_after=st.none() | st.floats(0, 1e6),
    face=st.sampled_from(["grpc", "api", "openai"]),
)
def test_no_error_is_too_large_for_metadata(
    message: str,
    violations: list[errors.Violation],
    metadata: dict[str, str],
    retry_after: float | None,
    face: str,
) -> None:
    error = tree.InvalidArgument(message, violations=violations, metadata=metadata, retry_after=retry_after)
    trailing = wire.trailing(error, "r" * 128, face)
    size = sum(32 + len(key) + len(value) for key, value in trailing) + wire.percent_encoded(wire.grpc_message(error))
    assert size < 7000
    told = dict(trailing)
    if face == "grpc":
        packed = told[DETAILS_KEY]
        assert isinstance(packed, bytes)
        assert len(packed) <= wire.MAX_DETAILS
        assert len(errors.from_rpc(received(error), "x").violations) <= wire.MAX_VIOLATIONS
        assert status_pb2.Status.FromString(packed).code == 3
    else:
        body = told["x-pergola-error"]
        assert isinstance(body, str)
        assert body.isascii()
        assert "\n" not in body
        assert len(body) <= wire.MAX_DETAILS
        assert json.loads(body)["error"]["message"][:20] == message[:20]
