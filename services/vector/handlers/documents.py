"""pergola.vector.v1.DocumentService"""

from collections.abc import AsyncIterator
from functools import partial
from typing import cast

from pergola.vector.v1 import document_pb2 as pb
from pergola.vector.v1 import document_pb2_grpc
from services.runtime import paging
from services.runtime.call import current
from services.runtime.errors import InvalidArgument, Violation
from services.vector.documents import StoredDocuments
from services.vector.handlers import messages, uploading
from services.vector.handlers.messages import Context
from services.vector.ingestion.documents import Documents, Incoming
from services.vector.ingestion.uploads import Uploads
from services.vector.model import Format, StoredDocument

_LIST = "ListDocuments"


class DocumentHandlers(document_pb2_grpc.DocumentServiceServicer):
    def __init__(self, documents: Documents, uploads: Uploads, stored: StoredDocuments) -> None:
        self._documents = documents
        self._uploads = uploads
        self._stored = stored

    async def IngestDocuments(
        self, request: pb.IngestDocumentsRequest, _context: Context
    ) -> pb.IngestDocumentsResponse:
        wrong: list[Violation] = []
        incoming = []
        for place, one in enumerate(request.documents):
            path = f"documents[{place}]"
            for name in ("id", "title", "text"):
                messages.no_nul(getattr(one, name), f"{path}.{name}", wrong)
            incoming.append(
                Incoming(
                    text=one.text,
                    id=one.id,
                    title=one.title,
                    format=cast(Format, one.format) if one.format else None,
                    metadata=messages.fields(one.metadata, f"{path}.metadata"),
                )
            )
        _refuse(wrong)
        job = await self._documents.ingest(
            current().tenant, request.collection, incoming, messages.request_of(request), request.wait_for
        )
        return pb.IngestDocumentsResponse(job=messages.job(job))

    async def UploadDocument(
        self, request_iterator: AsyncIterator[pb.UploadDocumentRequest], _context: Context
    ) -> pb.UploadDocumentResponse:
        head = await uploading.first(request_iterator)
        job = await self._uploads.take(
            current().tenant,
            uploading.file_of(head),
            uploading.data(head, request_iterator),
            partial(uploading.request_of, head),
        )
        return pb.UploadDocumentResponse(job=messages.job(job))

    async def GetDocument(self, request: pb.GetDocumentRequest, _context: Context) -> pb.GetDocumentResponse:
        found = await self._stored.get(
            current().tenant, request.collection, _id(request.id), request.text_start, request.text_limit
        )
        return pb.GetDocumentResponse(document=_stored(found))

    async def ListDocuments(self, request: pb.ListDocumentsRequest, _context: Context) -> pb.ListDocumentsResponse:
        tenant = current().tenant
        scope = (tenant, _LIST, request.collection)
        size = request.page_size if request.HasField("page_size") else paging.DEFAULT_SIZE
        after = paging.decode(request.page_token, *scope) if request.page_token else ""
        found, more = await self._stored.page(tenant, request.collection, after, size)
        return pb.ListDocumentsResponse(
            documents=[_stored(one) for one in found],
            next_page_token=paging.encode(found[-1].id, *scope) if more else "",
        )

    async def DeleteDocument(self, request: pb.DeleteDocumentRequest, _context: Context) -> pb.DeleteDocumentResponse:
        gone = await self._stored.delete(current().tenant, request.collection, _id(request.id))
        return pb.DeleteDocumentResponse(deleted_points=messages.small(gone))

    async def BuildIndex(self, request: pb.BuildIndexRequest, _context: Context) -> pb.BuildIndexResponse:
        wrong: list[Violation] = []
        for place, text in enumerate(request.documents):
            messages.no_nul(text, f"documents[{place}]", wrong)
        _refuse(wrong)
        job = await self._documents.build(
            current().tenant,
            request.collection,
            list(request.documents),
            messages.request_of(request),
            request.wait_for,
        )
        return pb.BuildIndexResponse(task_id=job.id, status="processing")


def _id(document: str) -> str:
    wrong: list[Violation] = []
    messages.no_nul(document, "id", wrong)
    _refuse(wrong)
    return document


def _stored(one: StoredDocument) -> pb.StoredDocument:
    message = pb.StoredDocument(
        id=one.id,
        title=one.title,
        format=one.format,
        chunk_count=one.chunks,
        text_length=one.length,
        text=one.text,
        create_time=messages.time(one.created),
        update_time=messages.time(one.updated),
    )
    message.metadata.update(one.metadata)
    return message


def _refuse(wrong: list[Violation]) -> None:
    if wrong:
        raise InvalidArgument(f"{wrong[0].field}: {wrong[0].description}", violations=wrong)
