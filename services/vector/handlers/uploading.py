"""The stream of UploadDocument: what its first message says, and the bytes of all."""

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any, Never

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.struct_pb2 import Struct

from pergola.vector.v1 import document_pb2 as pb
from services.runtime.errors import InvalidArgument, Violation
from services.vector.handlers import messages
from services.vector.ingestion.uploads import IncomingFile
from services.vector.stores.requests import Request

_EXACT = 2**53
_NOT_SAID = "application/x-www-form-urlencoded"
"""What curl says when it is told nothing."""


async def first(requests: AsyncIterator[pb.UploadDocumentRequest]) -> pb.UploadDocumentRequest:
    """The first message, which has to name collection and file.

    Raises InvalidArgument.
    """
    head = await anext(aiter(requests), None)
    if head is None:
        raise _wrong("body", "must hold the file's bytes")
    wrong = [
        Violation(name, "must be in the first message") for name in ("collection", "name") if not getattr(head, name)
    ]
    for name in ("name", "title"):
        messages.no_nul(getattr(head, name), name, wrong)
    messages.no_nul(head.body.content_type, "body.content_type", wrong)
    if _kind(head).startswith("multipart/"):
        wrong.append(Violation("body.content_type", "must be the file's own: send the file itself, not a form"))
    if wrong:
        raise InvalidArgument(f"{wrong[0].field}: {wrong[0].description}", violations=wrong)
    return head


def file_of(head: pb.UploadDocumentRequest) -> IncomingFile:
    """What the first message says of the file.

    Raises InvalidArgument when its metadata is no JSON object that can be stored.
    """
    return IncomingFile(
        collection=head.collection,
        name=head.name,
        title=head.title,
        media_type="" if _kind(head) == _NOT_SAID else head.body.content_type,
        metadata=_metadata(head.metadata) if head.metadata else {},
        wait_for=tuple(head.wait_for),
    )


def request_of(head: pb.UploadDocumentRequest, sha256: bytes) -> Request:
    """What makes a repeated upload recognisable."""
    request_id = messages.request_id_of(head)
    bare = pb.UploadDocumentRequest()
    bare.CopyFrom(head)
    bare.ClearField("request_id")
    # The first message may hold more or less of the same file the next time.
    bare.body.data = sha256
    digest = hashlib.sha256(bare.SerializeToString(deterministic=True)).digest()
    return Request(head.DESCRIPTOR.full_name, request_id, digest) if request_id else Request("", "", b"")


async def data(head: pb.UploadDocumentRequest, rest: AsyncIterator[pb.UploadDocumentRequest]) -> AsyncIterator[bytes]:
    """The bytes of all messages."""
    yield head.body.data
    async for message in rest:
        yield message.body.data


def _kind(head: pb.UploadDocumentRequest) -> str:
    return str(head.body.content_type).partition(";")[0].strip().lower()


def _metadata(text: str) -> dict[str, Any]:
    struct = Struct()
    try:
        read = json.loads(text, parse_int=_integer, parse_constant=_no_number)
        if not isinstance(read, dict):
            raise _wrong("metadata", 'must be a JSON object, such as {"year": 1890}')
        ParseDict(read, struct)
    except (ValueError, RecursionError, ParseError):
        raise _wrong("metadata", 'must be a JSON object, such as {"year": 1890}') from None
    return messages.fields(struct, "metadata")


def _integer(digits: str) -> float:
    # Before it becomes a double, which would hide that it does not fit.
    if len(digits) > 17 or abs(int(digits)) > _EXACT:
        raise _wrong("metadata", "integers beyond ±2^53 lose digits on their way: send them as text")
    return float(digits)


def _no_number(_name: str) -> Never:
    raise _wrong("metadata", "must hold finite numbers")


def _wrong(field: str, description: str) -> InvalidArgument:
    return InvalidArgument(f"{field}: {description}", violations=[Violation(field, description)])
