"""Orders that do not depend on the last digits of a score.

Sums of floating-point numbers depend in their last digits on where the numbers lie in memory, and so would the order of
passages with the same text. Rounding is no help: two values that are almost equal may be rounded apart.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.graph.passages.index.arrays import Ints
from services.graph.passages.query import constants


def best_first(scores: NDArray[np.floating], key: Callable[[int], Any]) -> Ints:
    """Places by falling score; neighbours that differ by rounding alone, by `key` of their place."""
    order = np.argsort(-scores, kind="stable")
    falls = scores[order][:-1] - scores[order][1:] > constants.ROUNDING
    if falls.all():
        return np.asarray(order, np.int64)
    level = np.concatenate([[0], np.cumsum(falls)])
    ordered = sorted(zip(level.tolist(), order.tolist(), strict=True), key=lambda one: (one[0], key(one[1])))
    return np.array([place for _, place in ordered], np.int64)


def first_best(scores: NDArray[np.floating]) -> int:
    """The first place whose score is the largest, but for rounding."""
    return int(np.argmax(scores >= scores.max() - constants.ROUNDING))
