"""Page tokens: where a list goes on, bound to the tenant, the list and its filter."""

import base64
import binascii
import hashlib

import msgspec

from services.runtime.errors import InvalidPageToken, Violation

DEFAULT_SIZE = 50


class _Token(msgspec.Struct, array_like=True):
    check: str
    last: str


def encode(last: str, *scope: str) -> str:
    """The token for the page behind `last` of the list that `scope` names (tenant, method, filter)."""
    return base64.urlsafe_b64encode(msgspec.json.encode(_Token(_check(last, scope), last))).decode().rstrip("=")


def decode(token: str, *scope: str) -> str:
    """`last` of a token that was made for this list.

    Raises InvalidPageToken.
    """
    try:
        read = msgspec.json.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)), type=_Token)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        read = _Token("", "")
    if read.check != _check(read.last, scope):
        raise InvalidPageToken(
            "The page token is not of this list. Begin without one.",
            violations=[Violation("page_token", "must be `next_page_token` of the page before, with the same filter")],
        )
    return read.last


def _check(last: str, scope: tuple[str, ...]) -> str:
    # Not a signature: it tells mistakes apart, row-level security keeps tenants apart.
    return hashlib.blake2b(msgspec.json.encode((last, scope)), digest_size=9).hexdigest()
