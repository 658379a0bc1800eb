"""The process that parses: `python -m services.vector.parsing.worker`, tasks on its standard input, one at a time.

It ends when its standard input does, also in the middle of a task.
"""

import contextlib
import encodings
import importlib
import os
import pkgutil
import queue
import threading
import traceback
from pathlib import Path
from typing import Final

import msgspec

from services.vector.parsing import confine, frames
from services.vector.parsing.frames import Answer, Hello, Task
from services.vector.parsing.model import ParseFailed, Reason, out_of_memory
from services.vector.parsing.parse import parse_file, parse_markdown
from services.vector.parsing.readers import pdf
from services.vector.parsing.reading import decode

_OWN: Final = Path(__file__).parent
Work = tuple[Task, bytes]


def main() -> None:
    """Answers tasks until the input ends."""
    pipe = confine.quiet()
    try:
        _warm()
        limits = confine.Confinement()
        tasks: queue.SimpleQueue[Work] = queue.SimpleQueue()
        threading.Thread(target=_receive, args=(tasks,), daemon=True, name="input").start()
        limits.close_in()
    except Exception as error:
        _send(pipe, frames.frame(Hello(problem=f"{type(error).__name__}: {error}"[:500])))
        return
    _send(pipe, frames.frame(Hello()))
    while True:
        task, data = tasks.get()
        answer = _answer(task, data, limits)
        del data
        _send(pipe, answer)


def _warm() -> None:
    """Loads what is otherwise loaded at first use: nothing can be opened later."""
    pdf.start()
    for module in pkgutil.iter_modules(encodings.__path__):
        # Some are for other systems.
        try:
            importlib.import_module(f"encodings.{module.name}")
        except ImportError:
            continue
    for name in decode.CANDIDATES:
        "".encode(name)
    # Loads the detector's tables and its language statistics.
    decode.decode("Größe, Maß und Übermut: ein Beispiel für die Erkennung der Kodierung.".encode("cp1252"))
    for name in _LATER:
        # `uu` is gone since Python 3.13.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


_LATER: Final = (
    "email.base64mime", "email.charset", "email.feedparser", "email.iterators", "email.message", "email.parser",
    "email.quoprimime", "quopri", "unicodedata", "uu",
)  # fmt: skip


def _receive(tasks: "queue.SimpleQueue[Work]") -> None:
    """Runs in a thread of its own, so that the end of the input is seen while a file is being parsed."""
    try:
        while True:
            size = int.from_bytes(_exactly(frames.LENGTH), "big")
            task = msgspec.msgpack.decode(_exactly(size), type=Task)
            tasks.put((task, _exactly(task.size)))
    except (EOFError, OSError, msgspec.MsgspecError):
        os._exit(0)


def _exactly(size: int) -> bytes:
    data = bytearray(size)
    view = memoryview(data)
    place = 0
    while place < size:
        got = os.readv(0, [view[place : place + frames.PIECE]])
        if got == 0:
            raise EOFError
        place += got
    view.release()
    return bytes(data)


def _answer(task: Task, data: bytes, limits: confine.Confinement) -> bytes:
    limits.begin(task.limits)
    try:
        if task.markdown:
            parsed = parse_markdown(data.decode(), task.limits)
        else:
            parsed = parse_file(data, task.name, task.media_type, task.limits)
        payload = frames.frame(Answer(parsed=parsed))
        if len(payload) > frames.largest_answer(task.limits):
            return _failed(Reason.TOO_LARGE, "Its structure is larger than its text may be. Split the file.")
    except ParseFailed as error:
        return _failed(error.reason, error.message)
    except MemoryError:
        limits.end()
        lack = out_of_memory(task.limits)
        return _failed(lack.reason, lack.message)
    except RecursionError:
        return _failed(Reason.TOO_DEEP, "It is nested too deep.")
    except Exception as error:
        # Broken files break readers in ways that nobody lists. The log says where.
        return _failed(Reason.MALFORMED, "Its content is not what its format prescribes; is the file damaged?", error)
    finally:
        limits.end()
    return payload


def _failed(reason: Reason, message: str, error: Exception | None = None) -> bytes:
    fault = ""
    if error is not None:
        frames_of_ours = [
            (Path(one.f_code.co_filename).name, line)
            for one, line in traceback.walk_tb(error.__traceback__)
            if Path(one.f_code.co_filename).is_relative_to(_OWN)
        ]
        file, line = frames_of_ours[-1]
        fault = f"{type(error).__name__} at {file}:{line}"
    return frames.frame(Answer(reason=reason, message=message, fault=fault))


def _send(pipe: int, payload: bytes) -> None:
    view = memoryview(payload)
    try:
        while view:
            view = view[os.write(pipe, view[: frames.PIECE]) :]
    except BrokenPipeError:
        os._exit(0)


if __name__ == "__main__":
    main()
