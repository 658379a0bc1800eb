"""The command's own part: what it prints for what the client gets, and how it ends."""

import io
import json
import time
from concurrent.futures import Future
from pathlib import Path

import grpc
import pytest

from pergola import NotReachable, Pergola
from pergola._command.main import main
from pergola.chat.v1 import chat_pb2
from pergola.vector.v1 import document_pb2, job_pb2, point_pb2
from tests import bounds
from tests.support.scripted_gateway import ScriptedGateway


class Run:
    """A command that runs against a scripted gateway."""

    def __init__(self, gateway: ScriptedGateway, *arguments: str) -> None:
        self._out, self._err = io.StringIO(), io.StringIO()
        self._code: Future[int] = gateway.start(
            lambda client: main(arguments, self._out, self._err, connect=lambda _url: client)
        )

    def wrote(self, text: str) -> None:
        """Returns when the command has written `text`: an answer is shown while it is made."""
        end = time.monotonic() + bounds.RECOVERY
        while self._out.getvalue() != text:
            assert time.monotonic() < end
            time.sleep(0.005)

    def end(self) -> tuple[int, str, str]:
        return self._code.result(), self._out.getvalue(), self._err.getvalue()

    def records(self) -> tuple[int, list[object]]:
        code, out, _ = self.end()
        return code, [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


CITATION = chat_pb2.Citation(
    number=2,
    collection="docs",
    document="docs/cache.md",
    title="The cache service",
    text="A value\nlives " + "x" * 300,
    start=10,
    end=330,
    path=["How long?", "Limits", "TTL", "The cache service"],
)
ANSWER = [
    chat_pb2.StreamChatResponse(content="An hour "),
    chat_pb2.StreamChatResponse(content="[2].\x1b[2J"),
    chat_pb2.StreamChatResponse(citations=chat_pb2.Citations(items=[CITATION])),
    chat_pb2.StreamChatResponse(done=chat_pb2.Done(finish_reason="stop", model="extractive", degraded="late")),
]


def test_an_answer_is_printed_with_what_it_cites(gateway: ScriptedGateway) -> None:
    run = Run(gateway, "ask", "How", "long?", "--collection", "a", "--collection", "b", "--k", "3")
    request = gateway.stream("ChatService", "StreamChat", ANSWER)
    assert request.input.messages[0].content == "How long?"
    assert list(request.input.retrieval.collections) == ["a", "b"]
    code, out, err = run.end()
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "An hour [2].[2J", "without the character that would clear the screen"
    assert lines[2] == "[2] The cache service (docs/cache.md), characters 10 to 330"
    assert lines[3].startswith("    “A value lives xxx")
    assert len(lines[3]) < 220
    assert lines[4] == "    found by: How long? → Limits → TTL → The cache service"
    assert err == "note: late\nanswered by extractive\n"


def test_json_is_one_event_a_line(gateway: ScriptedGateway) -> None:
    run = Run(gateway, "ask", "How long?", "--json")
    gateway.stream("ChatService", "StreamChat", ANSWER)
    code, records = run.records()
    assert code == 0
    assert [next(iter(record)) for record in records if isinstance(record, dict)] == [
        "content",
        "content",
        "citations",
        "done",
    ]


def test_an_answer_that_breaks_off_ends_its_line_and_fails(gateway: ScriptedGateway) -> None:
    run = Run(gateway, "ask", "How long?")
    _, call = gateway.open_stream("ChatService", "StreamChat")
    call.send_response(ANSWER[0])
    run.wrote("An hour ")
    call.fail(grpc.StatusCode.UNAVAILABLE, "UPSTREAM_STREAM_CUT")
    code, out, err = run.end()
    assert (code, out) == (1, "An hour \n")
    assert err == "pergola: message of UPSTREAM_STREAM_CUT (UPSTREAM_STREAM_CUT)\n"


def test_an_error_is_a_record_too(gateway: ScriptedGateway) -> None:
    run = Run(gateway, "search", "q", "--json")
    gateway.refuse("PointService", "QueryPoints", grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", retry_after=2.0)
    code, records = run.records()
    assert code == 1
    assert records == [
        {
            "error": {
                "status": "RESOURCE_EXHAUSTED",
                "reason": "RATE_LIMITED",
                "message": "message of RATE_LIMITED",
                "request_id": "request-1",
                "retry_after": 2.0,
            }
        }
    ]


def test_passages_are_listed(gateway: ScriptedGateway) -> None:
    run = Run(gateway, "search", "how", "long", "--mode", "dense", "--collection", "c")
    chunk = point_pb2.Chunk(document="d.md", heading_path=["A", "B"], text="An\nhour.")
    found = point_pb2.ScoredPoint(point=point_pb2.Point(id="p", chunk=chunk), score=0.5)
    gateway.answer("PointService", "QueryPoints", point_pb2.QueryPointsResponse(points=[found]))
    assert run.end() == (0, "  1. 0.500  d.md › A › B\n     An hour.\n", "")


def job(**fields: object) -> job_pb2.Job:
    progress = {name: fields.pop(name) for name in list(fields) if name.startswith(("documents", "chunks"))}
    return job_pb2.Job(id="j1", progress=job_pb2.JobProgress(**progress), **fields)  # type: ignore[arg-type]


def events(*jobs: job_pb2.Job) -> list[job_pb2.WatchJobResponse]:
    return [
        job_pb2.WatchJobResponse(job=job_pb2.JobEvent(cursor=cursor, job=one))
        for cursor, one in enumerate(jobs, start=1)
    ]


def test_files_are_handed_in_and_followed_to_the_end(gateway: ScriptedGateway, tmp_path: Path) -> None:
    for name in ("a.md", "b.txt"):
        (tmp_path / name).write_text(name)
    run = Run(gateway, "ingest", str(tmp_path), "--collection", "garden")
    queued = document_pb2.IngestDocumentsResponse(job=job(status="queued", documents_total=2))
    request = gateway.answer("DocumentService", "IngestDocuments", queued)
    assert [document.text for document in request.documents] == ["a.md", "b.txt"]
    gateway.stream(
        "JobService",
        "WatchJob",
        events(
            job(status="queued", documents_total=2),
            job(status="running", documents_total=2, documents_done=1, chunks_done=1),
            job(status="completed", documents_total=2, documents_done=2, documents_unchanged=1, chunks_done=1),
        ),
    )
    code, out, err = run.end()
    assert (code, out) == (0, "2 documents searchable in 'garden', 1 of them unchanged; 1 new chunk.\n")
    assert err.splitlines() == [
        "queued: 0 of 2 documents, 0 chunks",
        "completed: 2 of 2 documents, 1 chunks",
    ]


def test_one_bad_file_fails_the_command_and_not_the_others(gateway: ScriptedGateway, tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text("good")
    (tmp_path / "bad.md").write_bytes(b"\xff")
    run = Run(gateway, "ingest", str(tmp_path), str(tmp_path / "missing"), "--no-wait")
    request = gateway.answer(
        "DocumentService",
        "IngestDocuments",
        document_pb2.IngestDocumentsResponse(job=job(status="queued", documents_total=1)),
    )
    assert len(request.documents) == 1
    code, out, err = run.end()
    assert (code, out) == (1, "job j1: 1 document\n")
    assert "bad.md: is not UTF-8 text (byte 0)" in err
    assert "missing: there is no such file or folder" in err


def test_nothing_to_hand_in_fails(gateway: ScriptedGateway, tmp_path: Path) -> None:
    code, out, err = Run(gateway, "ingest", str(tmp_path), "").end()
    assert (code, out) == (1, "")
    assert "nothing was handed in" in err
    assert "the path is empty" in err


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (
            job(status="failed", error=job_pb2.JobError(reason="UPSTREAM_TIMEOUT", message="too late")),
            "job j1 failed: too late (UPSTREAM_TIMEOUT)",
        ),
        (job(status="cancelled"), "job j1 was cancelled"),
        (
            job(
                status="completed",
                documents_total=1,
                documents_failed=1,
                failures=[job_pb2.DocumentFailure(document="a.md", reason="PARSE", message="is broken")],
            ),
            "a.md: is broken (PARSE)",
        ),
    ],
)
def test_a_job_that_fails_fails_the_command(
    gateway: ScriptedGateway, tmp_path: Path, ended: job_pb2.Job, said: str
) -> None:
    (tmp_path / "a.md").write_text("a")
    run = Run(gateway, "ingest", str(tmp_path / "a.md"))
    gateway.answer("DocumentService", "IngestDocuments", document_pb2.IngestDocumentsResponse(job=job()))
    gateway.stream("JobService", "WatchJob", events(ended))
    code, _, err = run.end()
    assert code == 1
    assert said in err


def test_jobs_are_listed(gateway: ScriptedGateway) -> None:
    run = Run(gateway, "jobs", "--limit", "5")
    listed = job(status="running", collection="c", documents_total=3, documents_done=1)
    listed.create_time.FromJsonString("2026-01-02T03:04:05Z")
    assert gateway.answer("JobService", "ListJobs", job_pb2.ListJobsResponse(jobs=[listed])).page_size == 5
    assert run.end() == (0, "j1  2026-01-02 03:04:05Z  running    c  1/3 documents\n", "")


def test_a_job_is_cancelled_and_retried(gateway: ScriptedGateway) -> None:
    ended = job(status="cancelled", collection="c", documents_total=3)
    ended.create_time.FromJsonString("2026-01-02T03:04:05Z")
    shown = "j1  2026-01-02 03:04:05Z  cancelled  c  0/3 documents\n"
    run = Run(gateway, "jobs", "cancel", "j1")
    assert gateway.answer("JobService", "CancelJob", job_pb2.CancelJobResponse(job=ended)).id == "j1"
    assert run.end() == (0, shown, "")
    run = Run(gateway, "jobs", "retry", "j1", "a.md", "b.md")
    asked = gateway.answer("JobService", "RetryJob", job_pb2.RetryJobResponse(job=ended))
    assert (asked.id, list(asked.documents)) == ("j1", ["a.md", "b.md"])
    assert asked.request_id
    assert run.end() == (0, shown, "")


def test_what_failed_in_a_job_is_listed(gateway: ScriptedGateway) -> None:
    run = Run(gateway, "jobs", "failures", "j1")
    failures = [
        job_pb2.DocumentFailure(document="a.pdf", reason="ENCRYPTED", message="It needs a password."),
        job_pb2.DocumentFailure(document="b.md", reason="TOO_SLOW", message="Too slow.", retried_by="j2"),
    ]
    asked = gateway.answer("JobService", "ListFailedDocuments", job_pb2.ListFailedDocumentsResponse(failures=failures))
    assert asked.id == "j1"
    assert run.end() == (
        0,
        "a.pdf  ENCRYPTED: It needs a password.\nb.md  TOO_SLOW: Too slow.  retried by j2\n",
        "",
    )


def test_a_job_that_is_to_be_cancelled_must_be_named(gateway: ScriptedGateway) -> None:
    code, out, err = Run(gateway, "jobs", "cancel").end()
    assert (code, out) == (2, "")
    assert "pergola jobs cancel ID" in err


@pytest.mark.parametrize(
    "arguments", [[], ["dance"], ["ask"], ["ask", "q", "--k", "0"], ["search", "q", "--mode", "x"], ["ingest"]]
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments, io.StringIO(), io.StringIO())
    assert ended.value.code == 2
    assert "usage: pergola" in capsys.readouterr().err


def test_where_nothing_answers_is_3_and_says_what_to_do() -> None:
    err = io.StringIO()
    assert main(["status", "--url", "http://127.0.0.1:9"], io.StringIO(), err) == 3
    assert "nothing answers at http://127.0.0.1:9" in err.getvalue()
    assert "make run" in err.getvalue()
    err = io.StringIO()
    assert main(["jobs", "--url", "http://127.0.0.1:9"], io.StringIO(), err) == 3
    assert "nothing answers at http://127.0.0.1:9" in err.getvalue()


def test_an_address_that_is_none_is_wrong_usage() -> None:
    err = io.StringIO()
    assert main(["jobs", "--url", "nonsense"], io.StringIO(), err) == 2
    assert "http://host:port" in err.getvalue()


@pytest.mark.parametrize(
    ("raised", "code"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 141), (NotReachable("nothing answers"), 3)]
)
def test_the_end_has_a_code(raised: BaseException, code: int) -> None:
    def connect(_url: str) -> Pergola:
        raise raised

    assert main(["jobs"], io.StringIO(), io.StringIO(), connect=connect) == code
