"""What an endpoint's failure is told as."""

import time
from email.utils import formatdate

import pytest

from services.providers.openai_compatible import failures
from services.runtime.errors import (
    UpstreamAuthentication,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "7", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "nan"}, None),
        ({"retry-after": "99999999"}, failures.MAX_RETRY_AFTER),
        ({"retry-after": formatdate(time.time() - 60, usegmt=True)}, 0.0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert failures.retry_after(headers) == seconds


def test_retry_after_as_a_date() -> None:
    seconds = failures.retry_after({"retry-after": formatdate(time.time() + 60, usegmt=True)})
    assert seconds is not None
    assert 50 < seconds <= 60


def test_a_refused_request_quotes_the_provider_without_keys() -> None:
    body = b'{"error": {"message": "Too long.\\nKey sk-abcdef123456 of org-0123456789012345678901234567890123 used"}}'
    error = failures.from_status(400, {}, body, "m")
    assert isinstance(error, UpstreamRejected)
    assert "Too long. Key … of … used" in error.message


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b'{"error": null}', b'{"error": {"message": null}}', b"[]", b"\xff"]
)
def test_a_body_that_says_nothing_is_no_trouble(body: bytes) -> None:
    assert failures.from_status(422, {}, body, "m").message == "the provider of m refused the request (HTTP 422)"


def test_an_error_may_be_plain_text_and_long() -> None:
    message = failures.from_status(400, {}, b'{"error": "' + b"no " * 500 + b'"}', "m").message
    assert message.endswith("…")
    assert len(message) < 400


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_other_failures_quote_nothing(status: int) -> None:
    error = failures.from_status(status, {}, b'{"error": {"message": "account 17 is closed"}}', "m")
    assert isinstance(error, UpstreamAuthentication | UpstreamError)
    assert "17" not in error.message
    assert error.metadata == {"upstream_status": str(status)}


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (b'{"code": "rate_limit_exceeded"}', UpstreamRateLimited),
        (b'{"code": 429}', UpstreamRateLimited),
        (b'{"message": "sk-secret-key"}', UpstreamError),
        (b'"text"', UpstreamError),
    ],
)
def test_an_error_in_a_stream(event: bytes, kind: type[Exception]) -> None:
    error = failures.from_event(event, "m")
    assert type(error) is kind
    assert "secret" not in error.message
