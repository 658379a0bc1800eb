"""pergola.vector.v1.JobService"""

from collections.abc import AsyncIterator
from typing import Final

from pergola.vector.v1 import job_pb2 as pb
from pergola.vector.v1 import job_pb2_grpc
from services.runtime import paging
from services.runtime.call import current
from services.runtime.errors import ErrorFields
from services.runtime.policy import Policy
from services.vector.handlers import incoming, messages
from services.vector.handlers.messages import Context
from services.vector.jobs import Jobs

_LIST = "ListJobs"
_LIST_FAILED = "ListFailedDocuments"


class JobHandlers(job_pb2_grpc.JobServiceServicer):
    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def GetJob(self, request: pb.GetJobRequest, _context: Context) -> pb.GetJobResponse:
        return pb.GetJobResponse(job=messages.job(await self._jobs.get(current().tenant, request.id)))

    async def ListJobs(self, request: pb.ListJobsRequest, _context: Context) -> pb.ListJobsResponse:
        tenant = current().tenant
        scope = (tenant, _LIST, request.collection)
        size = request.page_size if request.HasField("page_size") else paging.DEFAULT_SIZE
        before = int(paging.decode(request.page_token, *scope)) if request.page_token else None
        found, more = await self._jobs.page(tenant, request.collection, before, size)
        return pb.ListJobsResponse(
            jobs=[messages.job(job) for _, job in found],
            next_page_token=paging.encode(str(found[-1][0]), *scope) if more else "",
        )

    async def CancelJob(self, request: pb.CancelJobRequest, _context: Context) -> pb.CancelJobResponse:
        return pb.CancelJobResponse(job=messages.job(await self._jobs.cancel(current().tenant, request.id)))

    async def RetryJob(self, request: pb.RetryJobRequest, _context: Context) -> pb.RetryJobResponse:
        documents = incoming.texts(request.documents, "documents")
        job = await self._jobs.retry(current().tenant, request.id, documents, messages.request_of(request))
        return pb.RetryJobResponse(job=messages.job(job))

    async def ListFailedDocuments(
        self, request: pb.ListFailedDocumentsRequest, _context: Context
    ) -> pb.ListFailedDocumentsResponse:
        tenant = current().tenant
        scope = (tenant, _LIST_FAILED, request.id)
        size = request.page_size if request.HasField("page_size") else paging.DEFAULT_SIZE
        after = int(paging.decode(request.page_token, *scope)) if request.page_token else 0
        found, more = await self._jobs.failures(tenant, request.id, after, size)
        return pb.ListFailedDocumentsResponse(
            failures=[messages.failure(note) for _, note in found],
            next_page_token=paging.encode(str(found[-1][0]), *scope) if more else "",
        )

    async def WatchJob(self, request: pb.WatchJobRequest, _context: Context) -> AsyncIterator[pb.WatchJobResponse]:
        async for event in self._jobs.watch(current().tenant, request.id, request.after):
            if event is None:
                yield pb.WatchJobResponse(heartbeat=pb.JobHeartbeat())
            else:
                cursor, job = event
                yield pb.WatchJobResponse(job=pb.JobEvent(cursor=cursor, job=messages.job(job)))


def _error(fields: ErrorFields) -> pb.WatchJobResponse:
    return pb.WatchJobResponse(error=messages.stream_error(fields))


POLICIES: Final = {"WatchJob": Policy(deadline=None, in_band=_error)}
