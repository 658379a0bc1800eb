"""Domain types to messages and back: what several of the handlers need."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import grpc
import numpy as np
from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from pergola.vector.v1 import collection_pb2, error_pb2, job_pb2, point_pb2
from services.runtime.call import current
from services.runtime.errors import ErrorFields, InvalidArgument, InvalidVector, Violation
from services.vector.model import Collection, Counts, Job, Note, Point, Vector
from services.vector.stores.requests import Request

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_INT32_MAX = 2**31 - 1
_EXACT = 2**53
_FLOATS = np.dtype("<f4")


def request_of(message: Any) -> Request:
    """What makes a repeated call recognisable: its request id (or Idempotency-Key) and its body without it."""
    request_id = request_id_of(message)
    if not request_id:
        return Request("", "", b"")
    bare = type(message)()
    bare.CopyFrom(message)
    bare.ClearField("request_id")
    digest = hashlib.sha256(bare.SerializeToString(deterministic=True)).digest()
    return Request(type(message).DESCRIPTOR.full_name, request_id, digest)


def request_id_of(message: Any) -> str:
    """The request id, or the Idempotency-Key; empty: neither was sent."""
    request_id: str = message.request_id or current().idempotency_key
    if len(request_id) > 128:
        raise InvalidArgument(
            "The Idempotency-Key is too long.",
            violations=[Violation("request_id", "at most 128 characters")],
        )
    return request_id


def collection(one: Collection, counts: Counts) -> collection_pb2.Collection:
    message = collection_pb2.Collection(
        name=one.name,
        dimension=one.dimension,
        distance=one.distance,
        embedding_model=one.embedding_model,
        graph=one.graph,
        point_count=small(counts.points),
        document_count=small(counts.documents),
        create_time=time(one.created),
        incarnation=one.incarnation,
        storage=one.storage,
        exact_only=not one.indexed,
        last_change=counts.seq,
        lexical=collection_pb2.Lexical(language=one.language, k1=one.k1, b=one.b),
        neighbors=one.neighbors or "",
    )
    if (one.chunk_mode, one.chunk_tokens, one.chunk_overlap) != (None, None, None):
        message.chunking.CopyFrom(
            collection_pb2.Chunking(
                mode=one.chunk_mode or "", tokens=one.chunk_tokens, overlap_tokens=one.chunk_overlap
            )
        )
    return message


def job(one: Job) -> job_pb2.Job:
    state = one.state
    message = job_pb2.Job(
        id=one.id,
        kind=one.kind,
        status=state.status,
        collection=one.collection,
        progress=_progress(one),
        failures=[failure(note) for note in one.failures],
        warnings=one.warnings,
        attempt=state.attempt,
        create_time=time(one.created),
        wait_for=one.wait_for,
        waiting_for=state.waiting_for,
        retry_of=one.retry_of,
    )
    if state.error_reason is not None:
        message.error.CopyFrom(job_pb2.JobError(reason=state.error_reason, message=state.error_message or ""))
    if state.started is not None:
        message.start_time.CopyFrom(time(state.started))
    if state.ended is not None:
        message.end_time.CopyFrom(time(state.ended))
    return message


def _progress(one: Job) -> job_pb2.JobProgress:
    progress = one.state.progress
    if one.kind == "index":
        return job_pb2.JobProgress(points_total=progress.total, points_done=progress.done)
    return job_pb2.JobProgress(
        documents_total=progress.total,
        documents_done=progress.done,
        documents_failed=progress.failed,
        documents_unchanged=progress.unchanged,
        chunks_done=progress.chunks,
    )


def point(one: Point, *, with_payload: bool = True, only: Sequence[str] = ()) -> point_pb2.Point:
    """`only`: the payload's fields that are to be told; empty: all."""
    message = point_pb2.Point()
    fill(message, one, with_payload=with_payload, only=only)
    return message


def fill(message: point_pb2.Point, one: Point, *, with_payload: bool, only: Sequence[str]) -> None:
    """Writes a point into an empty message, such as a new one of a list: a copy less than `point`."""
    message.id = one.id
    if one.vector is not None:
        message.vector.packed = pack(one.vector)
    if with_payload:
        put(message.payload, {name: one.payload[name] for name in only if name in one.payload} if only else one.payload)
        if one.text:
            message.text = one.text
        if one.chunk is not None:
            chunk = one.chunk
            message.chunk.CopyFrom(
                point_pb2.Chunk(
                    document=chunk.document,
                    title=chunk.title,
                    text=chunk.text,
                    index=chunk.index,
                    heading_path=chunk.heading_path,
                    start=chunk.start,
                    end=chunk.end,
                    page=chunk.page or None,
                    before=chunk.before or None,
                )
            )


def put(struct: Struct, fields: Mapping[str, Any]) -> None:
    """Adds the fields of a JSON object: Struct.update at half the price, which every hit of every answer pays."""
    into = struct.fields
    for name, value in fields.items():
        match value:
            case str():
                into[name].string_value = value
            case bool():
                into[name].bool_value = value
            case int() | float():
                into[name].number_value = value
            case None:
                into[name].null_value = NULL_VALUE
            case dict():
                # An empty one too has to be told from nothing.
                into[name].struct_value.SetInParent()
                put(into[name].struct_value, value)
            case _:
                into[name].list_value.SetInParent()
                into[name].list_value.extend(value)


def pack(vector: Vector) -> bytes:
    """Little-endian float32."""
    return vector.astype("<f4", copy=False).tobytes()


def vector(message: point_pb2.Vector, field: str) -> Vector:
    """The numbers of a vector.

    Raises InvalidVector when packed bytes are no whole float32 numbers.
    """
    # Each look at the field makes a copy of it.
    packed = message.packed
    if not packed:
        return np.array(message.values, np.float32)
    if len(packed) % 4:
        text = "must be float32 numbers of four bytes each"
        raise InvalidVector(f"{field}.packed {text}.", violations=[Violation(f"{field}.packed", text)])
    return np.frombuffer(packed, _FLOATS).astype(np.float32, copy=False)


def fields(struct: Struct, path: str) -> dict[str, Any]:
    """A Struct as JSON can hold it and PostgreSQL can store it.

    Raises InvalidArgument that names every value that would not come back as it was sent: integers beyond ±2^53, not
    finite numbers, NUL characters.
    """
    wrong: list[Violation] = []
    read = _object(struct.fields.items(), path, wrong)
    if wrong:
        first = wrong[0]
        raise InvalidArgument(f"{first.field}: {first.description}", violations=wrong)
    return read


def no_nul(text: str, field: str, wrong: list[Violation]) -> None:
    """Notes a violation where a text holds the one character PostgreSQL can't store."""
    if "\0" in text:
        wrong.append(Violation(field, "must not hold the character U+0000"))


def small(number: int) -> int:
    """A count as int32."""
    return min(number, _INT32_MAX)


def time(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def failure(note: Note) -> job_pb2.DocumentFailure:
    return job_pb2.DocumentFailure(
        document=note.document, reason=note.reason, message=note.message, retried_by=note.retried_by
    )


def _object(items: Iterable[tuple[str, Value]], path: str, wrong: list[Violation]) -> dict[str, Any]:
    read = {}
    for name, value in items:
        no_nul(name, path, wrong)
        read[name] = _value(value, f"{path}.{name}", wrong)
    return read


def _array(values: ListValue, path: str, wrong: list[Violation]) -> list[Any]:
    return [_value(value, f"{path}[{place}]", wrong) for place, value in enumerate(values.values)]


def _value(value: Value, path: str, wrong: list[Violation]) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _object(value.struct_value.fields.items(), path, wrong)
    if kind == "list_value":
        return _array(value.list_value, path, wrong)
    if kind == "number_value":
        number = value.number_value
        if not math.isfinite(number):
            wrong.append(Violation(path, "must be a finite number"))
        elif number.is_integer() and abs(number) > _EXACT:
            wrong.append(Violation(path, "integers beyond ±2^53 lose digits on their way: send it as text"))
        return int(number) if math.isfinite(number) and number.is_integer() else number
    if kind == "string_value":
        no_nul(value.string_value, path, wrong)
        return value.string_value
    return value.bool_value if kind == "bool_value" else None


def stream_error(fields: ErrorFields) -> error_pb2.StreamError:
    """What a stream behind HTTP ends with when it fails after its first message."""
    return error_pb2.StreamError(
        code=fields.code,
        status=fields.status,
        reason=fields.reason,
        message=fields.message,
        retry_after=fields.retry_after,
        request_id=fields.request_id,
    )
