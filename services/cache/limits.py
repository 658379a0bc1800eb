"""The limits of the cache, gathered from its settings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    staleness_bound: float
    """Seconds a value in memory is given out after it was asked for from the store; 0: memory is not used."""
    default_ttl_ms: int
    """Milliseconds a value lives when its writer does not say."""
    max_value_bytes: int
    """Largest value."""
    max_answer_bytes: int
    """Most bytes of values in the answer to one call."""
