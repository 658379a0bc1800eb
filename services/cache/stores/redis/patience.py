"""How long a call waits for Redis."""

from typing import Final

from services.runtime import call
from services.runtime.errors import StoreUnavailable

_SHARE: Final = 0.1
_MOST: Final = 0.1


def patience(limit: float) -> float:
    """Seconds that the current call may wait: at most `limit`, and less than what is left of its deadline, so that the
    news that Redis did not answer still reaches the caller."""
    left = call.remaining()
    if left is None:
        return limit
    return min(limit, left - min(_MOST, left * _SHARE))


def too_late() -> StoreUnavailable:
    """For a call whose patience ended."""
    return StoreUnavailable("the cache's Redis did not answer in time; try again")
