"""The stream of ImportPoints: points as messages, or as JSON Lines; each is checked by itself."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from pergola.vector.v1 import point_pb2 as pb
from services.runtime.errors import InvalidArgument, Violation
from services.runtime.server import validation
from services.vector.handlers import incoming, plain
from services.vector.points.importing import Arrival
from services.vector.points.model import Failure

_LINE_BYTES: Final = 1024 * 1024
_AT_A_TIME: Final = 500
_EXACT: Final = 2**53
_DEPTH: Final = 32
_BOM: Final = b"\xef\xbb\xbf"
_REASON: Final = InvalidArgument.reason


class _Vector(msgspec.Struct, forbid_unknown_fields=True):
    packed: bytes = b""
    values: list[float] = []


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    text: str | None = None
    vector: _Vector | list[float] | None = None
    payload: dict[str, Any] | None = None


_DECODER: Final = msgspec.json.Decoder(_Line)


async def first(requests: AsyncIterator[pb.ImportPointsRequest]) -> pb.ImportPointsRequest:
    """The first message, which has to name the collection.

    Raises InvalidArgument.
    """
    head = await anext(aiter(requests), None)
    if head is None:
        incoming.refuse([Violation("collection", "must be in the first message")])
        raise AssertionError("refused")
    validation.check(pb.ImportPointsRequest(collection=head.collection))
    if not head.collection:
        incoming.refuse([Violation("collection", "must be in the first message")])
    return head


async def arrivals(
    head: pb.ImportPointsRequest, rest: AsyncIterator[pb.ImportPointsRequest]
) -> AsyncIterator[Sequence[Arrival]]:
    """The points of all messages, each as what it says or as what is wrong with it."""
    lines = Lines()
    index = 0

    def read(found: Iterator[pb.NewPoint | bytes | None]) -> list[Arrival]:
        nonlocal index
        arrived = []
        for one in itertools.islice(found, _AT_A_TIME):
            # An empty line is none, but has a number.
            if one not in (b"", b"\r"):
                arrived.append(_message(index, one) if isinstance(one, pb.NewPoint) else _line(index, one))
            index += 1
        return arrived

    async for found in _parts(head, rest, lines):
        while True:
            before = index
            # Off the event loop: a message may hold many megabytes of points.
            arrived = await asyncio.to_thread(read, found)
            if index == before:
                break
            yield arrived


class Lines:
    """Cuts bytes into lines. Holds no more than the longest line that is allowed."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._too_long = False
        self._begun = False

    def add(self, data: bytes) -> Iterator[bytes | None]:
        """The lines that end in `data`; None for one that is too long."""
        *whole, last = data.split(b"\n")
        for one in whole:
            self._hold(one)
            yield self._take()
        self._hold(last)

    def end(self) -> Iterator[bytes | None]:
        """The last line, when no line feed ended it."""
        if self._held or self._too_long:
            yield self._take()

    def _hold(self, data: bytes) -> None:
        if self._too_long or len(self._held) + len(data) > _LINE_BYTES:
            self._too_long = True
            self._held.clear()
        else:
            self._held += data

    def _take(self) -> bytes | None:
        line = None if self._too_long else bytes(self._held).removeprefix(b"" if self._begun else _BOM)
        self._begun = True
        self._held.clear()
        self._too_long = False
        return line


async def _parts(
    head: pb.ImportPointsRequest, rest: AsyncIterator[pb.ImportPointsRequest], lines: Lines
) -> AsyncIterator[Iterator[pb.NewPoint | bytes | None]]:
    yield itertools.chain(head.points, lines.add(head.body.data))
    async for message in rest:
        yield itertools.chain(message.points, lines.add(message.body.data))
    yield lines.end()


def _message(index: int, one: pb.NewPoint) -> Arrival:
    size = one.ByteSize()
    wrong = [] if plain.point(one) else validation.violations(one)
    if wrong:
        return _wrong(index, one.id, f"{wrong[0].field} {wrong[0].description}".strip(), size)
    try:
        (point,) = incoming.points([one])
    except InvalidArgument as error:
        return Arrival(index, Failure(index, one.id, error.reason, _plain(error.message)), size)
    return Arrival(index, point, size)


def _line(index: int, line: bytes | None) -> Arrival:
    if line is None:
        return _wrong(index, "", f"The line has more than {_LINE_BYTES:,} bytes.", 0)
    try:
        read = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return _wrong(index, "", f"The line is not the JSON of a point: {error}", len(line))
    message = pb.NewPoint(id=read.id, text=read.text or "")
    if read.vector is not None:
        vector = read.vector if isinstance(read.vector, _Vector) else _Vector(values=read.vector)
        if vector.packed and vector.values:
            return _wrong(index, read.id, "vector: give packed or values, not both.", len(line))
        with np.errstate(over="ignore"):
            # Packed, which is read two hundred times as fast as numbers one by one.
            message.vector.packed = vector.packed or np.array(vector.values, "<f4").tobytes()
    if read.payload is not None:
        flaw = _flaw(read.payload)
        if flaw:
            return _wrong(index, read.id, f"payload: {flaw}", len(line))
        message.payload.update(read.payload)
    return _message(index, message)


def _flaw(value: Any, depth: int = 0) -> str:
    """What a Struct could not hold as it is; empty: nothing."""
    if depth > _DEPTH:
        return f"is nested more than {_DEPTH} deep"
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return next((flaw for one in inner if (flaw := _flaw(one, depth + 1))), "")
    if isinstance(value, int) and abs(value) > _EXACT:
        return "integers beyond ±2^53 lose digits on their way: send them as text"
    return ""


def _wrong(index: int, id: str, message: str, size: int) -> Arrival:
    return Arrival(index, Failure(index, id, _REASON, message), size)


def _plain(message: str) -> str:
    """Without the place in a list that the point was put into to be read."""
    return message.replace("points[0].", "")
