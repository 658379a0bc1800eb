"""Documents on their way in: texts in batches, files in pieces."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.api import httpbody_pb2

from pergola._errors import InvalidArgument
from pergola.vector.v1 import document_pb2

_BATCH_DOCUMENTS: Final = 1000
_BATCH_BYTES: Final = 8 * 1024 * 1024
_PIECE: Final = 256 * 1024


@dataclass(frozen=True)
class File:
    """A file to upload. It is read while it is sent."""

    path: str | os.PathLike[str]
    name: str
    collection: str
    title: str
    metadata: Mapping[str, Any]
    request_id: str

    def requests(self) -> Iterator[document_pb2.UploadDocumentRequest]:
        """The messages of one upload. The file is opened at once, so that its errors are the caller's, not gRPC's."""
        return self._pieces(Path(self.path).open("rb"))

    def _pieces(self, opened: Any) -> Iterator[document_pb2.UploadDocumentRequest]:
        with opened:
            yield document_pb2.UploadDocumentRequest(
                collection=self.collection,
                name=self.name,
                title=self.title,
                metadata=json.dumps(self.metadata) if self.metadata else "",
                request_id=self.request_id,
                body=httpbody_pb2.HttpBody(data=opened.read(_PIECE)),
            )
            while data := opened.read(_PIECE):
                yield document_pb2.UploadDocumentRequest(body=httpbody_pb2.HttpBody(data=data))


def batches(documents: Iterable[str | document_pb2.Document]) -> Iterator[list[document_pb2.Document]]:
    """As many as one request takes. Raises InvalidArgument for a document without text."""
    batch: list[document_pb2.Document] = []
    size = 0
    for document in documents:
        one = document_pb2.Document(text=document) if isinstance(document, str) else document
        if not one.text:
            raise InvalidArgument(
                f"the document {one.id!r} is empty" if one.id else "a document is empty", code="INVALID_ARGUMENT"
            )
        cost = one.ByteSize()
        if batch and (len(batch) == _BATCH_DOCUMENTS or size + cost > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += cost
    if batch:
        yield batch
