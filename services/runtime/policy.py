"""What a method asks of its callers, and how long it may take."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message

from services.runtime.errors import ErrorFields
from services.runtime.roles import Role

DEFAULT_DEADLINE: Final = -1.0
"""A `Policy.deadline` that stands for the setting: `unary_deadline_seconds` or `stream_deadline_seconds`."""


@dataclass(frozen=True)
class Policy:
    """The rules of one method; a method without one has the default of its proto (`idempotency_level`)."""

    role: Role | None = None
    """None: READER if the method has `idempotency_level = NO_SIDE_EFFECTS`, else WRITER."""
    deadline: float | None = DEFAULT_DEADLINE
    """Seconds given to a call that brings no deadline; None = none at all (feeds that are watched)."""
    validate: bool = True
    """False: the handler validates item by item (`violations` of `server/validation.py`) and answers per item."""
    plain: Callable[[Any], bool] | None = None
    """Tells requests that surely keep their rules, at less cost than evaluating each; False says nothing."""
    open: bool = False
    """True: anyone may call it without credentials (health)."""
    routine: bool = False
    """True: somebody asks all the time (health, polls); only failures are worth a line in the access log."""
    in_band: Callable[[ErrorFields], Message] | None = None
    """For server streams behind HTTP, where a status after the first message can't be seen: builds the message that
    tells the error. The interceptor sends it as the stream's last one whenever the stream fails after its first
    message (deadline and drain included) and the caller came through `/api` or `/v1`."""
