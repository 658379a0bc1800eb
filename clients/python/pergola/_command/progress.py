"""A job's progress as it streams: a bar for whoever watches, lines for a log, JSON for programs."""

import time
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pergola._client import ENDED, Job, Pergola
from pergola._command.output import Output

_LINE_SECONDS: Final = 1.0
"""At most one line in this time, but for the first and the last."""


def watching(client: Pergola, job: Job, output: Output) -> Job:
    """Follows a job to its end, and returns it as it is then."""
    if output.animated:
        return _with_bar(client, job, output)
    last = job
    said = 0.0
    for last in client.watch(job):
        if output.as_json:
            output.record(last)
        elif last.status in ENDED or time.monotonic() - said >= _LINE_SECONDS:
            said = time.monotonic()
            output.note(_line(last))
    return last


def _with_bar(client: Pergola, job: Job, output: Output) -> Job:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("documents"),
        TextColumn("{task.fields[chunks]} chunks"),
        TimeElapsedColumn(),
    )
    last = job
    with Progress(*columns, console=Console(file=output.stderr)) as progress:
        total = job.progress.documents_total or None
        bar = progress.add_task(job.status, total=total, chunks=0)
        for last in client.watch(job):
            progress.update(
                bar,
                description=last.status,
                total=last.progress.documents_total or None,
                completed=last.progress.documents_done + last.progress.documents_failed,
                chunks=last.progress.chunks_done,
            )
    return last


def _line(job: Job) -> str:
    progress = job.progress
    line = f"{job.status}: {progress.documents_done} of {progress.documents_total} documents"
    if progress.documents_failed:
        line += f", {progress.documents_failed} failed"
    return f"{line}, {progress.chunks_done} chunks"
