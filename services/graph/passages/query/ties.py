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
    if not len(order):
        return np.asarray(order, np.int64)
    falls = scores[order][:-1] - scores[order][1:] > constants.ROUNDING
    begins = np.flatnonzero(np.concatenate([[True], falls]))
    ends = np.append(begins[1:], len(order))
    for tied in np.flatnonzero(ends - begins > 1).tolist():
        part = slice(int(begins[tied]), int(ends[tied]))
        order[part] = sorted(order[part].tolist(), key=key)
    return np.asarray(order, np.int64)


def first_best(scores: NDArray[np.floating]) -> int:
    """The first place whose score is the largest, but for rounding."""
    return int(np.argmax(scores >= scores.max() - constants.ROUNDING))
