"""`pergola jobs`"""

import argparse

from pergola._client import Job, Pergola
from pergola._command.output import Output
from pergola._command.types import positive

NAME = "jobs"
SUMMARY = "List jobs, newest first."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--collection", default="", help="only jobs of this collection")
    parser.add_argument("--limit", type=positive, default=20, help="how many (default: %(default)s)")


def run(client: Pergola, options: argparse.Namespace, output: Output) -> int:
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
