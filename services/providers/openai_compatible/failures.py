"""What an endpoint's failure means to the caller: one of the `UPSTREAM_*` errors.

The provider's own words are told only where they help the caller mend the request (HTTP 400, 413, 422), shortened and
with anything like a key blotted out. Words that come with a refused key or a server error stay out: they name accounts
and keys, and help nobody but the operator.
"""

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from services.providers.openai_compatible import wire
from services.runtime.errors import (
    Upstream,
    UpstreamAuthentication,
    UpstreamBadResponse,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
)

MAX_QUOTED: Final = 300
MAX_RETRY_AFTER: Final = 86_400.0
_KEYS: Final = re.compile(r"\b(?:sk|pk|key|gsk|xai|hf|api)[-_][A-Za-z0-9_\-*.]{6,}|\b[A-Za-z0-9_\-]{32,}\b")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]+")


def from_status(status: int, headers: Mapping[str, str], body: bytes, model: str) -> Upstream:
    """The error for an answer of HTTP `status` (anything but 200) about the model named `model`."""
    wait = retry_after(headers)
    if status == 429:
        return UpstreamRateLimited(
            f"the provider of {model} allows no more requests at the moment", retry_after=wait, metadata=_told(status)
        )
    if status in (401, 403):
        return UpstreamAuthentication(
            f"the provider of {model} refused the configured key; whoever runs Pergola has to check it",
            metadata=_told(status),
        )
    if status in (408, 504):
        return UpstreamTimeout(
            f"the provider of {model} gave up waiting for its model", retry_after=wait, metadata=_told(status)
        )
    if 400 <= status < 500:
        words = quoted(body)
        return UpstreamRejected(
            f"the provider of {model} refused the request (HTTP {status})" + (f": {words}" if words else ""),
            metadata=_told(status),
        )
    if 300 <= status < 400:
        return UpstreamBadResponse(
            f"the endpoint of {model} redirects elsewhere; its base_url must be the final address",
            metadata=_told(status),
        )
    return UpstreamError(f"the provider of {model} failed (HTTP {status})", retry_after=wait, metadata=_told(status))


def from_event(error: bytes, model: str) -> Upstream:
    """The error for an error object in the middle of a stream."""
    try:
        code = msgspec.json.decode(error, type=wire.ErrorObject).code
    except msgspec.MsgspecError:
        code = None
    if code in ("rate_limit_exceeded", 429, "429"):
        return UpstreamRateLimited(f"the provider of {model} reached its rate limit while it answered")
    return UpstreamError(f"the provider of {model} failed while it answered")


def quoted(body: bytes) -> str:
    """The message of an OpenAI-style error body, one line, shortened, without keys; empty when there is none."""
    try:
        error = wire.ERROR.decode(body).error
    except msgspec.MsgspecError:
        return ""
    text = error.message if isinstance(error, wire.ErrorObject) else error
    if not text:
        return ""
    line = _KEYS.sub("…", _UNPRINTABLE.sub(" ", text)).strip()
    return line if len(line) <= MAX_QUOTED else line[: MAX_QUOTED - 1] + "…"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: `retry-after-ms`, else `retry-after` as a number or a date; None when absent or nonsense."""
    milliseconds, plain = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds is not None:
            return _bounded(float(milliseconds) / 1000)
        if plain is None:
            return None
        if re.fullmatch(r"\s*[0-9.]+\s*", plain):
            return _bounded(float(plain))
        return _bounded(parsedate_to_datetime(plain).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _bounded(seconds: float) -> float | None:
    if seconds != seconds:
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _told(status: int) -> dict[str, str]:
    return {"upstream_status": str(status)}
