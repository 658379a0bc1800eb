"""Rows of `point`, `delta` and `lexical` (layout.py) as COPY takes them."""

from collections.abc import Sequence
from typing import Final

import msgspec

from services.vector.model import Point, Storage, Vector, Words
from services.vector.stores.database import codecs, copying
from services.vector.stores.database.copying import Field, integer, text
from services.vector.stores.points.terms import outlines
from services.vector.stores.points.terms.packing import Packed

POINT: Final = (
    *("n", "id", "document", "title", "passage", "position", "heading_path", "start_offset", "end_offset"),
    *("page", "payload", "before"),
)
DELTA: Final = ("n", "embedding")
LEXICAL: Final = ("n", "length", "once", "again", "times", "terms", "weights", "sequence")


def points(numbers: Sequence[int], every: Sequence[Point]) -> bytes:
    """Of `point`, in the order of POINT."""
    return copying.table(
        (copying.int8(n), text(one.id), *_chunk(one), copying.jsonb(msgspec.json.encode(one.payload)), _before(one))
        for n, one in zip(numbers, every, strict=True)
    )


def vectors(numbers: Sequence[int], every: Sequence[Vector], storage: Storage) -> bytes:
    """Of `delta`, in the order of DELTA."""
    packed = codecs.packed_all(every, storage)
    return copying.table((copying.int8(n), vector) for n, vector in zip(numbers, packed, strict=True))


def words(numbers: Sequence[int], every: Sequence[Words], packed: Packed) -> bytes:
    """Of `lexical`, in the order of LEXICAL; `packed` is what `every` packs to."""
    made = outlines.outlines(packed.weights)
    return copying.table(
        (copying.int8(n), copying.int4(one.length), drawn.once, drawn.again, drawn.times, drawn.terms, weights, order)
        for n, one, drawn, weights, order in zip(numbers, every, made, packed.weights, packed.sequences, strict=True)
    )


def _chunk(one: Point) -> tuple[Field, ...]:
    """document, title, passage, position, heading_path, start_offset, end_offset, page"""
    chunk = one.chunk
    if chunk is None:
        return None, None, text(one.text or None), None, None, None, None, None
    place = integer(chunk.index), copying.texts(chunk.heading_path), integer(chunk.start), integer(chunk.end)
    return text(chunk.document), text(chunk.title), text(chunk.text), *place, integer(chunk.page or None)


def _before(one: Point) -> Field:
    return text(one.chunk.before or None) if one.chunk is not None else None
