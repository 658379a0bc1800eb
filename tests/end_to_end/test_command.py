"""The `pergola` command against the running suite, as a person in a terminal and as a script uses it."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pergola import Pergola, translated
from pergola.vector.v1 import collection_pb2, collection_pb2_grpc
from tests import bounds
from tests.stacks import Suite
from tests.support import files

FACTS = {
    "plants/wisteria.md": "# Wisteria\n\nWisteria sinensis climbs anticlockwise. It was brought to England in 1816.\n",
    "plants/ivy.txt": "Common ivy holds on to walls by small roots. Hedera helix is its name in Latin.\n",
    "plants/rose.md": "# Rose\n\n## Pruning\n\nClimbing roses are pruned in late winter, before the buds open.\n",
}


@pytest.fixture(scope="module")
def garden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("garden")
    for name, text in FACTS.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return folder


class Command:
    """Runs the command in a folder."""

    def __init__(self, suite: Suite, folder: Path) -> None:
        self._folder = folder
        own = {name: value for name, value in os.environ.items() if not name.startswith("PERGOLA_")}
        self.environ = own | {"PERGOLA_URL": suite.gateway}

    def start(self, *arguments: str, environ: dict[str, str] | None = None, **options: Any) -> "subprocess.Popen[str]":
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen(
            [sys.executable, "-m", "pergola", *arguments],
            cwd=self._folder,
            env=environ or self.environ,
            text=True,
            **pipes,
        )

    def run(self, *arguments: str, environ: dict[str, str] | None = None) -> tuple[int, str, str]:
        process = self.start(*arguments, environ=environ)
        out, err = process.communicate(timeout=bounds.COMMAND)
        assert "Traceback" not in err
        return process.returncode, out, err

    def records(self, *arguments: str) -> list[dict[str, Any]]:
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err
        return [json.loads(line) for line in out.splitlines()]


@pytest.fixture(scope="module")
def command(suite: Suite, garden: Path) -> Iterator[Command]:
    """With the garden's documents ingested into the collection `garden`."""
    made = Command(suite, garden)
    code, out, err = made.run("ingest", "plants", "--collection", "garden")
    assert (code, out.splitlines()[-1][:40]) == (0, "3 documents searchable in 'garden'; 3 ne"), err
    yield made
    with Pergola(suite.gateway) as client:
        delete(client, "garden")


def delete(client: Pergola, collection: str) -> None:
    stub = collection_pb2_grpc.CollectionServiceStub(client.channel)
    with translated():
        stub.DeleteCollection(collection_pb2.DeleteCollectionRequest(collection=collection))


def test_status_names_the_parts_and_the_collections(command: Command, suite: Suite) -> None:
    code, out, _ = command.run("status")
    assert code == 0
    first, *others = out.splitlines()
    assert first.startswith(f"{suite.gateway}: ready (")
    assert "  garden: 3 documents, 3 points" in others
    (record,) = command.records("status")
    assert record["ready"]
    assert set(record["parts"]) >= {"cache", "chat", "graph", "vector"}
    assert {"name": "garden", "documents": 3, "points": 3} in record["collections"]


def test_unchanged_files_cost_nothing_the_second_time(command: Command) -> None:
    code, out, _ = command.run("ingest", "plants", "--collection", "garden")
    assert (code, out) == (0, "3 documents searchable in 'garden', 3 of them unchanged; 0 new chunks.\n")


def test_the_jobs_progress_is_told_event_by_event(command: Command) -> None:
    records = command.records("ingest", "plants", "--collection", "garden")
    assert [record["status"] for record in records][-1] == "completed"
    assert records[-1]["progress"]["documents_done"] == 3
    assert len({record["id"] for record in records}) == 1
    code, out, _ = command.run("jobs", "--collection", "garden", "--limit", "1")
    assert code == 0
    assert out.startswith(records[0]["id"])


def test_bad_files_are_named_and_the_good_ones_go_in(command: Command, suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text("# Clematis\n\nClematis likes its roots in the shade.\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    code, out, err = command.run("ingest", str(tmp_path), "missing.md", "", "--collection", "mixed")
    with Pergola(suite.gateway) as client:
        delete(client, "mixed")
    assert code == 1
    assert out.startswith("1 document searchable in 'mixed'")
    assert "latin.txt: is not UTF-8 text (byte 3)" in err
    assert "missing.md: there is no such file or folder" in err
    assert "the path is empty" in err


def test_files_go_in_as_they_are(command: Command, suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "report.pdf").write_bytes(files.pdf())
    (tmp_path / "page.html").write_text("<h1>Clematis</h1><p>Clematis likes its roots in the shade.</p>")
    (tmp_path / "note.md").write_text("# Roof\n\nNo roof today.")
    code, out, err = command.run("ingest", str(tmp_path), "--collection", "files")
    assert (code, out[:37]) == (0, "3 documents searchable in 'files'; 6 "), err
    (tmp_path / "locked.pdf").write_bytes(files.pdf(password="secret"))
    code, out, err = command.run("ingest", str(tmp_path), "--collection", "files")
    with Pergola(suite.gateway) as client:
        found = client.search("what grows on the second page", collection="files", k=1).items[0]
        delete(client, "files")
    assert code == 1
    assert out.startswith("3 documents searchable in 'files', 3 of them unchanged, 1 failed; 0 new")
    assert "(ENCRYPTED)" in err
    assert found.document.endswith("report.pdf")


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical", "graph"])
def test_a_search_finds_the_passage(command: Command, mode: str) -> None:
    code, out, err = command.run(
        "search", "when", "are", "climbing", "roses", "pruned", "--collection", "garden", "--mode", mode, "--k", "2"
    )
    assert code == 0, err
    assert out.splitlines()[0].endswith("plants/rose.md › Rose › Pruning")
    assert "late winter" in out
    assert ("found by: when are climbing roses pruned →" in out) == (mode == "graph")
    first, *_ = command.records("search", "roses", "--collection", "garden", "--mode", mode, "--k", "2")
    assert (first["document"], first["heading_path"]) == ("plants/rose.md", ["Rose", "Pruning"])
    assert FACTS["plants/rose.md"][first["start"] : first["end"]].strip() == first["text"].strip()


@pytest.mark.parametrize("mode", ["graph", "vector"])
def test_an_answer_names_document_and_passage(command: Command, mode: str) -> None:
    code, out, err = command.run(
        "ask", "When are climbing roses pruned?", "--collection", "garden", "--mode", mode, "--model", "extractive"
    )
    assert code == 0, err
    answer, _, cited = out.partition("\n\n[")
    assert "late winter" in answer
    assert "plants/rose.md" in cited
    assert "characters" in cited
    assert "“" in cited
    assert mode != "graph" or "found by: question →" in cited
    assert "answered by extractive" in err


def test_an_answer_in_json_is_its_events(command: Command) -> None:
    events = command.records("ask", "Which way does wisteria climb?", "--collection", "garden")
    kinds = [next(iter(event)) for event in events]
    assert kinds[-2:] == ["citations", "done"]
    assert set(kinds[:-2]) == {"content"}
    assert "anticlockwise" in "".join(event["content"] for event in events[:-2])
    cited = events[-2]["citations"]["items"]
    assert cited[0]["document"] == "plants/wisteria.md"
    text = FACTS["plants/wisteria.md"]
    start = cited[0].get("start", 0)
    assert text[start : cited[0]["end"]].strip() == cited[0]["text"].strip()


def test_what_is_not_there_is_said(command: Command) -> None:
    code, out, err = command.run("ask", "Why?", "--collection", "nowhere")
    assert (code, out) == (1, "")
    assert "COLLECTION_NOT_FOUND" in err
    code, _, err = command.run("ask", "Why?", "--collection", "garden", "--model", "no-such-model")
    assert code == 1
    assert "MODEL_NOT_FOUND" in err
    code, _, err = command.run("search", "Why?", "--collection", "No Name")
    assert code == 1
    assert "collection" in err


def test_nothing_at_the_address_is_3(command: Command) -> None:
    for arguments in (["status"], ["jobs"], ["ask", "Why?"], ["ingest", "plants"]):
        code, out, err = command.run(*arguments, "--url", "http://127.0.0.1:9")
        assert (code, out) == (3, "")
        assert "nothing answers at http://127.0.0.1:9" in err


def test_a_proxy_in_the_environment_is_not_asked_for_this_machine(command: Command) -> None:
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "grpc_proxy", "all_proxy"), "http://127.0.0.1:9")
    environ = {name: value for name, value in command.environ.items() if name.lower() != "no_proxy"} | proxies
    for arguments in (["status"], ["jobs"]):
        code, _, err = command.run(*arguments, environ=environ)
        assert code == 0, err


def test_a_reader_that_has_seen_enough_gets_no_traceback(command: Command) -> None:
    for arguments in (["ask", "Why?", "--collection", "garden"], ["jobs"], ["status"], ["jobs", "--json"]):
        process = command.start(*arguments)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(bounds.COMMAND) == 141, err
        assert "Traceback" not in err
        assert "Exception" not in err
        process.stderr.close()


def test_ctrl_c_stops_waiting_and_says_that_the_job_goes_on(command: Command, suite: Suite, tmp_path: Path) -> None:
    for number in range(150):
        (tmp_path / f"{number}.txt").write_text(f"Plant {number} climbs to {number} metres. " * 20)
    process = command.start("ingest", str(tmp_path), "--collection", "long")
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=bounds.COMMAND)
    with Pergola(suite.gateway) as client:
        (job,) = client.jobs(collection="long")
        delete(client, "long")
    assert process.returncode == 130, err
    assert "their jobs go on" in err
    assert "Traceback" not in err
    assert job.status in ("queued", "running", "completed")


def test_in_a_terminal_a_bar_moves(command: Command) -> None:
    reader, writer = pty.openpty()
    process = command.start("ingest", "plants", "--collection", "garden", stderr=writer)
    os.close(writer)
    shown = b""
    # The end of a terminal is an error on Linux, and an empty read elsewhere.
    with contextlib.suppress(OSError):
        while more := os.read(reader, 4096):
            shown += more
    os.close(reader)
    out, _ = process.communicate(timeout=bounds.COMMAND)
    assert process.returncode == 0
    assert "━".encode() in shown
    assert b"3/3" in shown
    assert out.startswith("3 documents searchable")
