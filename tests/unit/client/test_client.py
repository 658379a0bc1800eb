"""The synchronous client, call by call."""

import dataclasses
import queue

import grpc
import pytest

from pergola import (
    Document,
    InvalidArgument,
    NotFound,
    Pergola,
    Unavailable,
)
from pergola.chat.v1 import chat_pb2
from pergola.graph.v1 import retrieval_pb2
from pergola.vector.v1 import collection_pb2, document_pb2, job_pb2, point_pb2
from tests import bounds
from tests.support.scripted_gateway import ScriptedGateway

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


def job(status: str, cursor: int, job_id: str = "j1") -> job_pb2.WatchJobResponse:
    return job_pb2.WatchJobResponse(job=job_pb2.JobEvent(cursor=cursor, job=job_pb2.Job(id=job_id, status=status)))


HEARTBEAT = job_pb2.WatchJobResponse(heartbeat=job_pb2.JobHeartbeat())
QUEUED = document_pb2.IngestDocumentsResponse(job=job_pb2.Job(id="j1", status="queued"))


class TestIngest:
    def test_texts_and_documents_go_in_as_they_are(self, gateway: ScriptedGateway) -> None:
        documents: list[str | Document] = ["a text", Document(id="b.md", text="# B", title="Bee")]
        jobs = gateway.start(lambda client: client.ingest(documents, collection="garden"))
        request = gateway.answer("DocumentService", "IngestDocuments", QUEUED)
        assert request.collection == "garden"
        assert list(request.documents) == [Document(text="a text"), documents[1]]
        assert [one.id for one in jobs.result()] == ["j1"]

    def test_a_missing_collection_is_made_and_the_same_request_is_sent_again(self, gateway: ScriptedGateway) -> None:
        jobs = gateway.start(lambda client: client.ingest(["a"], collection="new"))
        ingest = ("DocumentService", "IngestDocuments")
        first = gateway.refuse(*ingest, grpc.StatusCode.NOT_FOUND, "COLLECTION_NOT_FOUND")
        made = gateway.answer("CollectionService", "CreateCollection", collection_pb2.CreateCollectionResponse())
        again = gateway.answer(*ingest, QUEUED)
        assert (made.collection.name, made.collection.graph) == ("new", True)
        assert first == again, "with the same request_id, so that it cannot count twice"
        assert first.request_id
        assert len(jobs.result()) == 1

    def test_it_is_no_matter_when_somebody_else_makes_the_collection(self, gateway: ScriptedGateway) -> None:
        jobs = gateway.start(lambda client: client.ingest(["a"]))
        ingest = ("DocumentService", "IngestDocuments")
        gateway.refuse(*ingest, grpc.StatusCode.NOT_FOUND, "COLLECTION_NOT_FOUND")
        gateway.refuse("CollectionService", "CreateCollection", grpc.StatusCode.ALREADY_EXISTS, "COLLECTION_EXISTS")
        gateway.answer(*ingest, QUEUED)
        assert len(jobs.result()) == 1

    @pytest.mark.parametrize(
        ("documents", "sizes"),
        [
            (["x"] * 2500, [1000, 1000, 500]),
            (["x" * 3_000_000] * 5, [2, 2, 1]),
            (["x" * 9_000_000, "y"], [1, 1]),
        ],
    )
    def test_what_is_too_much_for_one_request_becomes_several(
        self, gateway: ScriptedGateway, documents: list[str], sizes: list[int]
    ) -> None:
        jobs = gateway.start(lambda client: client.ingest(documents))
        requests = [gateway.answer("DocumentService", "IngestDocuments", QUEUED) for _ in sizes]
        assert [len(request.documents) for request in requests] == sizes
        assert len({request.request_id for request in requests}) == len(sizes)
        assert len(jobs.result()) == len(sizes)

    def test_nothing_makes_no_job(self, gateway: ScriptedGateway) -> None:
        assert gateway.client.ingest([]) == []

    def test_an_empty_document_is_named(self, gateway: ScriptedGateway) -> None:
        with pytest.raises(InvalidArgument, match=r"guide\.md"):
            gateway.client.ingest([Document(id="guide.md")])

    def test_a_passing_failure_is_repeated_once_and_no_more(self, gateway: ScriptedGateway) -> None:
        ingest = ("DocumentService", "IngestDocuments")
        jobs = gateway.start(lambda client: client.ingest(["a"]))
        gateway.refuse(*ingest, UNAVAILABLE, "STORE_UNAVAILABLE")
        gateway.answer(*ingest, QUEUED)
        assert len(jobs.result()) == 1
        jobs = gateway.start(lambda client: client.ingest(["a"]))
        for _ in range(2):
            gateway.refuse(*ingest, UNAVAILABLE, "STORE_UNAVAILABLE")
        with pytest.raises(Unavailable):
            jobs.result()


class TestJobs:
    def test_watching_gives_every_state_and_no_heartbeat(self, gateway: ScriptedGateway) -> None:
        states = gateway.start(lambda client: [one.status for one in client.watch("j1")])
        request = gateway.stream(
            "JobService", "WatchJob", [job("queued", 1), HEARTBEAT, job("running", 2), job("completed", 3)]
        )
        assert (request.id, request.after) == ("j1", 0)
        assert states.result() == ["queued", "running", "completed"]

    def test_a_broken_stream_goes_on_where_it_was(self, gateway: ScriptedGateway) -> None:
        states: queue.SimpleQueue[str] = queue.SimpleQueue()

        def follow(client: Pergola) -> None:
            for one in client.watch("j1"):
                states.put(one.status)

        followed = gateway.start(follow)
        _, call = gateway.open_stream("JobService", "WatchJob")
        for state, cursor in (("queued", 1), ("running", 2)):
            call.send_response(job(state, cursor))
            assert states.get(timeout=bounds.RECOVERY) == state
        call.fail(UNAVAILABLE, "DRAINING")
        request, call = gateway.open_stream("JobService", "WatchJob")
        call.fail(UNAVAILABLE, "PEER_UNAVAILABLE")
        assert request.after == 2
        assert gateway.stream("JobService", "WatchJob", [job("completed", 3)]).after == 2
        followed.result()
        assert states.get(timeout=bounds.RECOVERY) == "completed"

    def test_another_error_ends_it(self, gateway: ScriptedGateway) -> None:
        states = gateway.start(lambda client: list(client.watch("j1")))
        gateway.open_stream("JobService", "WatchJob")[1].fail(grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
        with pytest.raises(NotFound) as caught:
            states.result()
        assert caught.value.reason == "JOB_NOT_FOUND"

    def test_waiting_returns_the_jobs_as_they_ended(self, gateway: ScriptedGateway) -> None:
        ended = gateway.start(lambda client: client.wait(["j1", "j2"]))
        gateway.stream("JobService", "WatchJob", [job("running", 1), job("completed", 2)])
        gateway.stream("JobService", "WatchJob", [job("failed", 1, "j2")])
        assert [(one.id, one.status) for one in ended.result()] == [("j1", "completed"), ("j2", "failed")]

    def test_pages_are_read_until_there_are_enough(self, gateway: ScriptedGateway) -> None:
        listed = gateway.start(lambda client: [one.id for one in client.jobs(collection="c", limit=250)])
        page = [job_pb2.Job(id=str(number)) for number in range(200)]
        first = gateway.answer("JobService", "ListJobs", job_pb2.ListJobsResponse(jobs=page, next_page_token="more"))
        assert (first.page_size, first.page_token, first.collection) == (200, "", "c")
        second = gateway.answer(
            "JobService", "ListJobs", job_pb2.ListJobsResponse(jobs=page[:50], next_page_token="still more")
        )
        assert (second.page_size, second.page_token) == (50, "more")
        assert len(listed.result()) == 250


def content(text: str) -> chat_pb2.StreamChatResponse:
    return chat_pb2.StreamChatResponse(content=text)


DONE = chat_pb2.StreamChatResponse(done=chat_pb2.Done(finish_reason="stop", model="extractive"))


class TestAsk:
    def test_the_question_and_its_settings_arrive(self, gateway: ScriptedGateway) -> None:
        history = [chat_pb2.Message(role="user", content="Hello"), chat_pb2.Message(role="assistant", content="Hi")]
        asked = gateway.start(
            lambda client: list(
                client.ask("Why?", collections=["a", "b"], mode="vector", k=3, model="m", history=history)
            )
        )
        request = gateway.stream("ChatService", "StreamChat", [DONE])
        assert asked.result() == [DONE]
        assert list(request.input.messages) == [*history, chat_pb2.Message(role="user", content="Why?")]
        assert request.input.model == "m"
        assert request.input.retrieval == chat_pb2.Retrieval(mode="vector", collections=["a", "b"], k=3)

    def test_without_collections_nothing_is_retrieved(self, gateway: ScriptedGateway) -> None:
        asked = gateway.start(lambda client: list(client.ask("Why?", collections=[])))
        assert not gateway.stream("ChatService", "StreamChat", [DONE]).input.HasField("retrieval")
        asked.result()

    def test_events_come_without_heartbeats(self, gateway: ScriptedGateway) -> None:
        heartbeat = chat_pb2.StreamChatResponse(heartbeat=chat_pb2.Heartbeat())
        cited = chat_pb2.StreamChatResponse(citations=chat_pb2.Citations(items=[chat_pb2.Citation(number=1)]))
        asked = gateway.start(lambda client: list(client.ask("Why?")))
        gateway.stream("ChatService", "StreamChat", [content("So "), heartbeat, content("it is."), cited, DONE])
        assert asked.result() == [content("So "), content("it is."), cited, DONE]

    def test_an_error_in_the_stream_is_an_exception_like_any_other(self, gateway: ScriptedGateway) -> None:
        error = chat_pb2.ChatError(
            code=502,
            status="UNAVAILABLE",
            reason="UPSTREAM_STREAM_CUT",
            message="the provider's stream ended in the middle",
            retry_after=2.5,
            request_id="r-7",
        )
        asked = gateway.start(lambda client: list(client.ask("Why?")))
        gateway.stream("ChatService", "StreamChat", [content("So"), chat_pb2.StreamChatResponse(error=error)])
        with pytest.raises(Unavailable, match="in the middle") as caught:
            asked.result()
        assert (caught.value.reason, caught.value.retry_after, caught.value.request_id) == (
            "UPSTREAM_STREAM_CUT",
            2.5,
            "r-7",
        )

    def test_leaving_early_cancels_the_call(self, gateway: ScriptedGateway) -> None:
        def first(client: Pergola) -> chat_pb2.StreamChatResponse:
            answer = client.ask("Why?")
            try:
                return next(answer)
            finally:
                answer.close()  # type: ignore[attr-defined]

        asked = gateway.start(first)
        _, call = gateway.open_stream("ChatService", "StreamChat")
        call.send_response(content("So"))
        assert asked.result() == content("So")
        call.cancelled()


class TestSearch:
    def test_points_become_passages(self, gateway: ScriptedGateway) -> None:
        found = gateway.start(lambda client: client.search("q", collection="c", mode="lexical", k=3))
        chunk = point_pb2.Chunk(document="d.md", title="D", text="t", heading_path=["A", "B"], start=5, end=6)
        scored = point_pb2.ScoredPoint(point=point_pb2.Point(id="p", chunk=chunk), score=0.5)
        request = gateway.answer("PointService", "QueryPoints", point_pb2.QueryPointsResponse(points=[scored]))
        assert (request.collection, request.text, request.mode, request.k) == ("c", "q", "lexical", 3)
        assert [dataclasses.asdict(passage) for passage in found.result().items] == [
            {
                "collection": "c",
                "id": "p",
                "document": "d.md",
                "title": "D",
                "heading_path": ["A", "B"],
                "text": "t",
                "start": 5,
                "end": 6,
                "score": 0.5,
                "path": [],
            }
        ]

    def test_graph_mode_tells_the_path_and_what_was_left_out(self, gateway: ScriptedGateway) -> None:
        found = gateway.start(lambda client: client.search("q", mode="graph"))
        steps = [retrieval_pb2.PathStep(kind="question", text="q"), retrieval_pb2.PathStep(kind="name", text="Ada")]
        passage = retrieval_pb2.Passage(collection="docs", id="p", text="t", path=steps)
        request = gateway.answer(
            "RetrievalService",
            "Retrieve",
            retrieval_pb2.RetrieveResponse(passages=[passage], degraded="the graph is late"),
        )
        assert (request.question, list(request.collections), request.HasField("k")) == ("q", ["docs"], False)
        result = found.result()
        assert (result.items[0].path, result.degraded) == (["q", "Ada"], "the graph is late")
