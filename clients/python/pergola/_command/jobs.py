"""`pergola jobs`"""

import argparse

from pergola._client import Job, Pergola
from pergola._command.output import Output
from pergola._command.types import positive

NAME = "jobs"
USAGE = 2
SUMMARY = "List jobs, newest first; or cancel one, list what failed in it, or try that again."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", nargs="?", choices=("list", "cancel", "failures", "retry"), default="list", help="default: list"
    )
    parser.add_argument("job", nargs="?", default="", help="id of the job that is meant")
    parser.add_argument("documents", nargs="*", help="with retry: only these documents (default: all that failed)")
    parser.add_argument("--collection", default="", help="only jobs of this collection")
    parser.add_argument("--limit", type=positive, default=20, help="how many (default: %(default)s)")


def run(client: Pergola, options: argparse.Namespace, output: Output) -> int:
    if options.action == "list":
        return _list(client, options, output)
    if not options.job:
        output.note(f"Name the job: pergola jobs {options.action} ID. `pergola jobs` lists them.")
        return USAGE
    if options.action == "failures":
        return _failures(client, options, output)
    job = (
        client.cancel(options.job)
        if options.action == "cancel"
        else client.retry(options.job, documents=options.documents)
    )
    if output.as_json:
        output.record(job)
    else:
        _print(job, output)
    return 0


def _failures(client: Pergola, options: argparse.Namespace, output: Output) -> int:
    for failure in client.failures(options.job, limit=options.limit):
        if output.as_json:
            output.record(failure)
        else:
            again = f"  retried by {failure.retried_by}" if failure.retried_by else ""
            output.text(f"{failure.document}  {failure.reason}: {failure.message}{again}")
    return 0


def _list(client: Pergola, options: argparse.Namespace, output: Output) -> int:
    found = False
    for job in client.jobs(collection=options.collection, limit=options.limit):
        found = True
        if output.as_json:
            output.record(job)
        else:
            _print(job, output)
    if not found:
        output.note("there are no jobs")
    return 0


def _print(job: Job, output: Output) -> None:
    progress = job.progress
    created = job.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S")
    documents = f"{progress.documents_done}/{progress.documents_total} documents"
    failed = f", {progress.documents_failed} failed" if progress.documents_failed else ""
    output.text(f"{job.id}  {created}Z  {job.status:<9}  {job.collection}  {documents}{failed}")
    if job.HasField("error"):
        output.text(f"    {job.error.message} ({job.error.reason})")
