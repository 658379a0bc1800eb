"""pergola.vector.v1.DocumentService"""

from typing import cast

from pergola.vector.v1 import document_pb2 as pb
from pergola.vector.v1 import document_pb2_grpc
from services.runtime.call import current
from services.runtime.errors import InvalidArgument, Violation
from services.vector.handlers import messages
from services.vector.handlers.messages import Context
from services.vector.ingestion.documents import Documents, Incoming
from services.vector.model import Format


class DocumentHandlers(document_pb2_grpc.DocumentServiceServicer):
    def __init__(self, documents: Documents) -> None:
        self._documents = documents

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
        job = await self._documents.ingest(current().tenant, request.collection, incoming, messages.request_of(request))
        return pb.IngestDocumentsResponse(job=messages.job(job))

    async def BuildIndex(self, request: pb.BuildIndexRequest, _context: Context) -> pb.BuildIndexResponse:
        wrong: list[Violation] = []
        for place, text in enumerate(request.documents):
            messages.no_nul(text, f"documents[{place}]", wrong)
        _refuse(wrong)
        job = await self._documents.build(
            current().tenant, request.collection, list(request.documents), messages.request_of(request)
        )
        return pb.BuildIndexResponse(task_id=job.id, status="processing")


def _refuse(wrong: list[Violation]) -> None:
    if wrong:
        raise InvalidArgument(f"{wrong[0].field}: {wrong[0].description}", violations=wrong)
