"""`pergola ingest PATHS…`"""

import argparse
import contextlib
from collections.abc import Iterator

from pergola._client import Document, Job, Pergola
from pergola._command.files import Problem, Upload, documents
from pergola._command.output import Output, plural
from pergola._command.progress import watching
from pergola._errors import InvalidArgument, ResourceExhausted

NAME = "ingest"
SUMMARY = "Hand in files: Markdown, text, PDF, Office, HTML and more; folders are walked."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", metavar="PATH", nargs="+", help="a file, or a folder with files")
    parser.add_argument("--collection", default="docs", help="where to; created when missing (default: %(default)s)")
    parser.add_argument(
        "--wait",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="wait until everything is searchable (default), or only hand it in",
    )


def run(client: Pergola, options: argparse.Namespace, output: Output) -> int:
    refused: list[str] = []

    def problem(path: str, why: str) -> None:
        refused.append(path)
        output.problem(f"{path or repr(path)}: {why}")
        if output.as_json:
            output.record({"file": path, "error": why})

    jobs: list[Job] = []
    for job in _hand_in(client, options, problem):
        jobs.append(job)
        if not options.wait:
            _handed_in(job, output)
    if not jobs:
        output.problem("nothing was handed in")
        return 1
    if not options.wait:
        return 1 if refused else 0
    with _says_that_jobs_go_on(output):
        ended = [watching(client, job, output) for job in jobs]
    _sum_up(ended, options.collection, output)
    failed = any(job.status != "completed" or job.progress.documents_failed for job in ended)
    return 1 if failed or refused else 0


def _hand_in(client: Pergola, options: argparse.Namespace, problem: Problem) -> Iterator[Job]:
    """Texts many to a job, then files one to a job."""
    uploads: list[Upload] = []

    def texts() -> Iterator[Document]:
        for one in documents(options.paths, problem):
            if isinstance(one, Upload):
                uploads.append(one)
            else:
                yield one

    yield from client.ingest_batches(texts(), collection=options.collection)
    for one in uploads:
        try:
            yield client.upload(one.path, name=one.id, collection=options.collection)
        except OSError as error:
            problem(str(one.path), f"cannot be read ({error.strerror})")
        except (InvalidArgument, ResourceExhausted) as error:
            # Too large, for instance: the others may still go in.
            problem(str(one.path), f"{error.message} ({error.reason or error.code})")


def _handed_in(job: Job, output: Output) -> None:
    if output.as_json:
        output.record(job)
    else:
        output.text(f"job {job.id}: {plural(job.progress.documents_total, 'document')}")


@contextlib.contextmanager
def _says_that_jobs_go_on(output: Output) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        output.note("The documents are handed in and their jobs go on; see `pergola jobs`.")
        raise


def _sum_up(jobs: list[Job], collection: str, output: Output) -> None:
    for job in jobs:
        for failure in job.failures:
            output.problem(f"{failure.document}: {failure.message} ({failure.reason})")
        for warning in job.warnings:
            output.note(f"note: {warning}")
        if job.HasField("error"):
            output.problem(f"job {job.id} failed: {job.error.message} ({job.error.reason})")
        elif job.status == "cancelled":
            output.problem(f"job {job.id} was cancelled")
    if output.as_json:
        return
    done, unchanged, failed, chunks = (
        sum(getattr(job.progress, name) for job in jobs)
        for name in ("documents_done", "documents_unchanged", "documents_failed", "chunks_done")
    )
    parts = [f"{plural(done, 'document')} searchable in {collection!r}"]
    if unchanged:
        parts.append(f"{unchanged} of them unchanged")
    if failed:
        parts.append(f"{failed} failed")
    output.text(f"{', '.join(parts)}; {plural(chunks, 'new chunk')}.")
