"""What a benchmark found."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Series:
    """One quantity of one contender, measured once a round."""

    contender: str
    quantity: str
    unit: str
    values: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Largest distance from the median, as a share of it."""
        middle = self.median
        return max(abs(value - middle) for value in self.values) / middle if middle else 0.0


@dataclass(frozen=True)
class Bar:
    """A ratio that was wanted, and what was measured."""

    what: str
    ratio: float
    wanted: float
    at_most: bool = False
    """Whether less is better."""

    @property
    def reached(self) -> bool:
        return self.ratio <= self.wanted if self.at_most else self.ratio >= self.wanted


@dataclass(frozen=True)
class Result:
    """A benchmark's outcome. The ratio is what counts: numbers of one machine say nothing about another."""

    name: str
    ratio: float
    what: str
    """What was compared with what, for the RESULT line."""
    series: Sequence[Series]
    settings: dict[str, Any]
    """How it was measured."""
    versions: dict[str, str] = field(default_factory=dict)
    bars: Sequence[Bar] = ()
    notes: Sequence[str] = ()
    """What a reader must know to read the numbers right."""
