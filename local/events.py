"""What a stack tells whoever runs it."""

import signal
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Something happened to a part, for whoever shows progress."""

    part: str
    kind: str
    """starting, ready, stopping, stopped or note."""
    text: str = ""
    seconds: float = 0.0
    """For ready and stopped: how long it took."""


@dataclass(frozen=True)
class Death:
    """A part ended without having been asked to."""

    part: str
    code: int
    """Its exit code; negative: the signal that ended it."""
    log: str
    """The last lines of its log."""

    def __str__(self) -> str:
        how = f"ended with code {self.code}" if self.code >= 0 else f"was ended by {signal.Signals(-self.code).name}"
        return f"{self.part} {how}. The last lines of its log:\n{self.log}"
