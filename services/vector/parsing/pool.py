"""Parses files in processes that are kept warm, and killed when a file takes more than it may."""

import asyncio
from types import TracebackType
from typing import Final, Self

from services.vector.parsing.frames import Task
from services.vector.parsing.model import Limits, Parsed, ParserUnavailable, too_large
from services.vector.parsing.process import Worker

_TASKS_A_WORKER: Final = 200


class ParserPool:
    """At most `workers` files at a time; the next ones wait in order.

    A process is started when it is needed, and stays. It is replaced after `tasks_a_worker` files, after a file that
    broke a limit, and when it keeps much memory. When this process ends, however it does, they end.
    """

    def __init__(self, workers: int = 2, *, tasks_a_worker: int = _TASKS_A_WORKER) -> None:
        self._slots = asyncio.Semaphore(workers)
        self._tasks_a_worker = tasks_a_worker
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def parse(self, data: bytes, name: str, media_type: str | None, limits: Limits) -> Parsed:
        """The text and structure of a file. `name` may be a path or empty; only its ending counts.

        Raises ParseFailed when the file is at fault, ParserUnavailable when it is not. Cancelled, it kills its process.
        """
        return await self._do(data, Task(name, media_type, len(data), limits))

    async def markdown(self, text: str, limits: Limits) -> Parsed:
        """The structure of a Markdown text, which stays exactly as it is. Raises as `parse` does."""
        data = text.encode()
        return await self._do(data, Task("", None, len(data), limits, markdown=True))

    async def _do(self, data: bytes, task: Task) -> Parsed:
        if len(data) > task.limits.input_bytes:
            raise too_large(task.limits)
        async with self._slots:
            worker = await self._take()
            self._busy.add(worker)
            try:
                return await worker.parse(data, task)
            finally:
                self._busy.discard(worker)
                if not self._closed and worker.tasks < self._tasks_a_worker and worker.usable:
                    self._idle.append(worker)
                else:
                    self._end(worker)

    async def close(self) -> None:
        """Kills every process, and waits until they are gone. Files in the making fail with CRASHED."""
        self._closed = True
        for worker in (*self._idle, *self._busy):
            self._end(worker)
        self._idle.clear()
        while self._ending:
            await asyncio.wait(self._ending)

    async def _take(self) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.usable:
                return worker
            self._end(worker)
        if self._closed:
            raise ParserUnavailable("The parsers have been stopped.")
        return await Worker.start()

    def _end(self, worker: Worker) -> None:
        worker.kill()
        # Kept until it is done: the event loop holds tasks by weak references only.
        task = asyncio.create_task(worker.ended(), name=f"end of parser {worker.pid}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
