"""Rounds in which the contenders take turns, so that a machine that slows down slows all of them down."""

import sys
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


def alternate(contenders: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Measures each contender once a round; the order is turned round by round.

    The first measurement of each is thrown away: it pays for what is loaded and connected once.
    """
    measured: dict[str, list[T]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds + 1):
        for name in names if number % 2 else reversed(names):
            title = f"round {number} of {rounds}" if number else "warm-up"
            print(f"  {title}: {name}", file=sys.stderr, flush=True)
            sample = contenders[name]()
            if number:
                measured[name].append(sample)
    return measured
