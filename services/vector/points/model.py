"""Points as they are written: what comes in, what becomes of a payload, what failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.vector.model import Vector


@dataclass(frozen=True, slots=True)
class NewPoint:
    """A point to be stored; without a vector, one is made from the text."""

    id: str
    text: str
    vector: Vector | None
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """A point that was not stored."""

    index: int
    id: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PayloadEdit:
    """What is to become of a payload: `without` goes, then `merged` is set; or `merged` takes the place of all."""

    merged: dict[str, Any]
    without: Sequence[str] = ()
    overwrite: bool = False
