"""How long to wait between two looks for what is new."""

from typing import Final

_TIMES: Final = 9
"""Of ten parts of the time, looking takes one at most: a look costs what there is to look at."""
_LONGEST: Final = 5.0
"""Seconds that a slow look makes the pause at most: one that a frozen neighbour held up says nothing about the next."""


def pause(poll_seconds: float, took: float) -> float:
    """Seconds until the next look, when the last one took `took` seconds: `poll_seconds`, or longer while looking is
    slow."""
    return max(poll_seconds, min(_TIMES * took, _LONGEST))
