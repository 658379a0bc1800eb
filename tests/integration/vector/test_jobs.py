import grpc
import pytest

from pergola.vector.v1 import job_pb2 as pb
from tests.support.vector import Vector, status

_UNKNOWN = "00000000-0000-4000-8000-000000000000"


async def _events(vector: Vector, job: str, after: int = 0) -> list[pb.JobEvent]:
    call = vector.jobs.WatchJob(pb.WatchJobRequest(id=job, after=after), timeout=120)
    return [event.job async for event in call if event.HasField("job")]


async def test_a_watch_tells_every_state_in_order_and_ends_with_the_job(vector: Vector) -> None:
    collection = await vector.create()
    job = await vector.accept(collection, *(f"Text {n}." for n in range(40)))
    events = await _events(vector, job)
    assert [event.cursor for event in events] == list(range(1, len(events) + 1))
    states = [event.job.status for event in events]
    assert states[0] == "queued"
    assert states[1] == "running"
    assert states[-1] == "completed"
    done = [event.job.progress.documents_done for event in events]
    assert done == sorted(done)
    assert done[-1] == 40
    assert events[0].job.attempt == 0
    assert not events[0].job.HasField("start_time")
    assert events[-1].job.HasField("end_time")


async def test_a_watch_goes_on_from_any_event(vector: Vector) -> None:
    collection = await vector.create()
    job = await vector.accept(collection, *(f"Text {n}." for n in range(70)))
    whole = await _events(vector, job)
    for after in range(len(whole)):
        assert await _events(vector, job, after) == whole[after:]
    assert await _events(vector, job, len(whole)) == []


async def test_an_event_shows_only_the_failures_until_then(vector: Vector) -> None:
    collection = await vector.create()
    job = await vector.accept(collection, *[" " * (n + 1) for n in range(33)], "Words.")
    events = await _events(vector, job)
    assert [len(event.job.failures) for event in events] == [0, 0, 32, 33, 33]
    read = (await vector.jobs.GetJob(pb.GetJobRequest(id=job))).job
    assert read == events[-1].job


async def test_a_job_nobody_works_on_yet_sends_heartbeats(vector: Vector) -> None:
    collection = await vector.create()
    job = await vector.accept(
        collection, *(f"Sentence {n} of a long text about nothing at all. " * 60 for n in range(30))
    )
    kinds = set()
    call = vector.jobs.WatchJob(pb.WatchJobRequest(id=job), timeout=120)
    async for event in call:
        kinds.add(event.WhichOneof("event"))
    assert kinds == {"job", "heartbeat"}


async def test_an_unknown_job_is_not_found(vector: Vector) -> None:
    for call in (
        vector.jobs.GetJob(pb.GetJobRequest(id=_UNKNOWN)),
        vector.jobs.WatchJob(pb.WatchJobRequest(id=_UNKNOWN)).read(),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            await call
        assert status(caught.value) == ("NOT_FOUND", "JOB_NOT_FOUND")
    with pytest.raises(grpc.RpcError) as caught:
        await vector.jobs.GetJob(pb.GetJobRequest(id="17"))
    assert status(caught.value)[0] == "INVALID_ARGUMENT"


async def test_jobs_are_listed_newest_first_page_by_page(vector: Vector) -> None:
    collection = await vector.create()
    jobs = [await vector.accept(collection, f"Text {n}.") for n in range(5)]
    seen: list[str] = []
    token = ""
    while True:
        request = pb.ListJobsRequest(collection=collection, page_size=2, page_token=token)
        reply = await vector.jobs.ListJobs(request)
        seen += [one.id for one in reply.jobs]
        token = reply.next_page_token
        if not token:
            break
    assert seen == jobs[::-1]
    everything = await vector.jobs.ListJobs(pb.ListJobsRequest())
    assert everything.jobs[0].id == jobs[-1]
    first = await vector.jobs.ListJobs(pb.ListJobsRequest(collection=collection, page_size=2))
    with pytest.raises(grpc.RpcError) as caught:
        await vector.jobs.ListJobs(pb.ListJobsRequest(page_size=2, page_token=first.next_page_token))
    assert status(caught.value) == ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")


async def test_deleting_a_collection_cancels_its_jobs(vector: Vector) -> None:
    collection = await vector.create()
    long = "A sentence that takes a while to embed, again and again. " * 400
    jobs = [await vector.accept(collection, *(f"{n} {long}" for n in range(4))) for _ in range(4)]
    await vector.delete(collection)
    for job in jobs:
        assert (await vector.ended(job)).status == "cancelled"
