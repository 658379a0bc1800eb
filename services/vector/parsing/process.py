"""A worker's process as the pool sees it: started, given a file, watched, killed."""

import asyncio
import logging
import os
import signal
import sys
from typing import Final

import msgspec
import psutil  # type: ignore[import-untyped]

from services.vector.parsing import frames
from services.vector.parsing.frames import Answer, Hello, Task
from services.vector.parsing.model import Limits, Parsed, ParseFailed, ParserUnavailable, Reason, out_of_memory

log: Final = logging.getLogger(__name__)

_START_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.02
"""Between two looks at a worker's memory."""
_KEPT_BYTES: Final = 96 * 1024 * 1024
"""What an idle worker may have kept of its tasks' memory before it is replaced."""
_DECODE_ASIDE: Final = 256 * 1024
"""Bytes of an answer from which it is decoded in a thread, to keep the event loop free."""


class Worker:
    """One process. After a failure that left it in an unknown state it is not `usable` any more."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._seen = psutil.Process(process.pid)
        self._base = 0
        self._broken = False
        self.tasks = 0

    @classmethod
    async def start(cls) -> "Worker":
        """A warm worker. Raises ParserUnavailable."""
        try:
            # Nothing of this process's environment: it has secrets in it.
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "services.vector.parsing.worker",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                env={
                    "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "LC_ALL": "C.UTF-8",
                    "OPENBLAS_NUM_THREADS": "1",
                    # Arenas of threads reserve address space, which is what is limited.
                    "MALLOC_ARENA_MAX": "1",
                },
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise ParserUnavailable(f"No parsing process could be started: {error.strerror}.") from None
        try:
            worker = cls(process)
            async with asyncio.timeout(_START_SECONDS):
                hello = msgspec.msgpack.decode(await worker._frame(frames.SMALL), type=Hello)
            worker._base = worker._memory()
        except (TimeoutError, EOFError, OSError, psutil.Error, msgspec.MsgspecError):
            _kill(process)
            raise ParserUnavailable("The parsing process did not come up.") from None
        except BaseException:
            _kill(process)
            raise
        if hello.problem:
            _kill(process)
            raise ParserUnavailable(f"The parsing process can't work: {hello.problem}")
        return worker

    @property
    def usable(self) -> bool:
        """Whether it may get another task."""
        return not self._broken and self._process.returncode is None and self._memory() < self._base + _KEPT_BYTES

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    async def parse(self, data: bytes, task: Task) -> Parsed:
        """Raises ParseFailed. However this ends but with a result or a reason of the worker's own, it is killed."""
        self._broken = True
        self.tasks += 1
        limits = task.limits
        peak = 0
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limits.seconds
        exchange = asyncio.create_task(self._exchange(data, task))
        try:
            while not exchange.done():
                left = deadline - loop.time()
                if left <= 0:
                    raise ParseFailed(Reason.TOO_SLOW, f"Parsing it takes more than {limits.seconds:g} seconds.")
                await asyncio.wait({exchange}, timeout=min(left, _LOOK_SECONDS))
                peak = max(peak, self._memory() - self._base)
                if peak > limits.memory_bytes and not exchange.done():
                    raise out_of_memory(limits)
            answer = exchange.result()
        except (EOFError, OSError):
            raise await self._died(peak, limits) from None
        except msgspec.MsgspecError:
            raise _crashed() from None
        finally:
            if not exchange.done():
                self.kill()
                exchange.cancel()
                await asyncio.wait({exchange})
        return self._judged(answer)

    def kill(self) -> None:
        """At once, whatever it is doing."""
        self._broken = True
        _kill(self._process)

    async def ended(self) -> None:
        """Waits until the process is gone."""
        await self._process.wait()

    def _judged(self, answer: Answer) -> Parsed:
        if answer.fault:
            log.warning("a file could not be parsed: %s", answer.fault)
        if answer.parsed is not None:
            if not _coherent(answer.parsed):
                raise _crashed()
            self._broken = False
            return answer.parsed
        if answer.reason is None:
            raise _crashed()
        # After a lack of memory a library may be left half-way through something.
        self._broken = answer.reason in (Reason.OUT_OF_MEMORY, Reason.CRASHED)
        raise ParseFailed(answer.reason, answer.message)

    async def _exchange(self, data: bytes, task: Task) -> Answer:
        pipe = self._process.stdin
        if pipe is None:
            raise EOFError
        pipe.write(frames.frame(task))
        view = memoryview(data)
        for place in range(0, len(data), frames.PIECE):
            pipe.write(view[place : place + frames.PIECE])
            await pipe.drain()
        await pipe.drain()
        payload = await self._frame(frames.largest_answer(task.limits))
        if len(payload) < _DECODE_ASIDE:
            return msgspec.msgpack.decode(payload, type=Answer)
        return await asyncio.to_thread(msgspec.msgpack.decode, payload, type=Answer)

    async def _frame(self, most: int) -> bytes:
        """Raises EOFError when the process has ended, or wants to send more than it may."""
        pipe = self._process.stdout
        if pipe is None:
            raise EOFError
        size = int.from_bytes(await pipe.readexactly(frames.LENGTH), "big")
        if size > most:
            raise EOFError
        return await pipe.readexactly(size)

    async def _died(self, peak: int, limits: Limits) -> ParseFailed:
        """Why it ended in the middle of a task."""
        _kill(self._process)
        code = await self._process.wait()
        if code == -signal.SIGXCPU:
            return ParseFailed(Reason.TOO_SLOW, f"Parsing it takes more than {limits.seconds:g} seconds.")
        # Some libraries end their process when they get no memory.
        return out_of_memory(limits) if 2 * peak > limits.memory_bytes else _crashed()

    def _memory(self) -> int:
        """Bytes in use; 0: the process is gone."""
        try:
            return int(self._seen.memory_info().rss)
        except psutil.Error:
            return 0


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        try:
            process.kill()
        except ProcessLookupError:
            pass


def _crashed() -> ParseFailed:
    return ParseFailed(Reason.CRASHED, "The parser's process did not survive this file; it is probably damaged.")


def _coherent(parsed: Parsed) -> bool:
    """Whether every place lies in the text and every heading exists: a worker is not trusted more than its files."""
    end = 0
    for block in parsed.blocks:
        if not end <= block.start < block.end or not -1 <= block.heading < len(parsed.headings):
            return False
        end = block.end
    return end <= len(parsed.text) and all(-1 <= one.parent < place for place, one in enumerate(parsed.headings))
