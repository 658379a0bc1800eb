"""Logs: one JSON object a line on standard error, for the library loggers and for the access log alike.

Lines are collected for one turn of the event loop and written together: under load one system call carries many.
"""

import asyncio
import functools
import logging
import sys
import threading
import time
import traceback
from typing import Any, BinaryIO, Final

import msgspec

_encode: Final = msgspec.json.Encoder(enc_hook=repr).encode

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LogSink:
    """Where finished lines go. Safe to use from any thread; without a running loop each line is written at once."""

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = stream or sys.stderr.buffer
        self._pending: list[bytes] = []
        self._lock = threading.Lock()

    def write(self, entry: dict[str, Any]) -> None:
        line = _encode(entry)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        with self._lock:
            self._pending.append(line)
            first = len(self._pending) == 1
        if loop is None:
            self.flush()
        elif first:
            loop.call_soon(self.flush)

    def flush(self) -> None:
        with self._lock:
            lines, self._pending = self._pending, []
            if lines:
                try:
                    self._stream.write(b"\n".join(lines) + b"\n")
                    self._stream.flush()
                except (OSError, ValueError):
                    # Whoever read the log is gone. Serving goes on without it.
                    pass


class JsonHandler(logging.Handler):
    """Turns a record of the standard library's logging into a line; `extra` fields stand beside the message."""

    def __init__(self, sink: LogSink, service: str) -> None:
        super().__init__()
        self._sink = sink
        self._service = service

    def emit(self, record: logging.LogRecord) -> None:
        try:
            entry: dict[str, Any] = {
                "time": timestamp(record.created),
                "level": record.levelname.lower(),
                "service": self._service,
                "logger": record.name,
                "message": record.getMessage(),
            }
            entry.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
            if record.exc_info and record.exc_info[1] is not None:
                entry["exception"] = "".join(traceback.format_exception(record.exc_info[1]))
            self._sink.write(entry)
            if record.levelno >= logging.ERROR:
                # The process may be about to end.
                self._sink.flush()
        except Exception:
            self.handleError(record)


def timestamp(seconds: float | None = None) -> str:
    """RFC 3339 in UTC with milliseconds."""
    now = time.time() if seconds is None else seconds
    return f"{_second(int(now))}.{int(now % 1 * 1000):03d}Z"


@functools.lru_cache(maxsize=2)
def _second(whole: int) -> str:
    """Most lines share their second with the line before."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


def configure(service: str, level: str) -> LogSink:
    """Send everything that is logged in this process to standard error as JSON."""
    sink = LogSink()
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(JsonHandler(sink, service))
    root.setLevel(level.upper())
    # These two tell of every connection and every request on levels that are meant for their own authors.
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.captureWarnings(True)
    return sink


class AccessLog:
    """One line a call: who, what, how it ended, how long it took. Never anything of the messages."""

    def __init__(self, sink: LogSink, service: str, level: str) -> None:
        self._sink = sink
        self._service = service
        self._threshold: int = logging.getLevelNamesMapping()[level.upper()]

    def wants(self, level: int) -> bool:
        return level >= self._threshold

    def write(self, level: int, entry: dict[str, Any]) -> None:
        line = {"time": timestamp(), "level": logging.getLevelName(level).lower(), "service": self._service}
        line.update(entry)
        self._sink.write(line)
