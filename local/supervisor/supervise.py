"""The supervisor: starts the suite, shows how it goes, and stops all of it when it is told to or when a part dies.

It alone handles signals: every part runs in a session of its own, so that Ctrl-C reaches nobody else.
"""

import datetime
import queue
import signal
import sys
import time
from collections.abc import Callable, Mapping
from types import FrameType

from local import settings
from local.errors import Aborted, DataDirectoryHeld, LocalError, PortTaken, SettingsError
from local.events import Death
from local.stack import Stack
from local.supervisor.progress import Progress
from local.system.datadir import own_process

_STOPPED, _FAILED, _REFUSED = 0, 1, 2
"""Exit codes: stopped as asked; a part failed or died; something must be changed before anything is started."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def supervise(environ: Mapping[str, str]) -> int:
    """Runs the suite until a signal or until a part dies; returns the exit code."""
    progress = Progress(sys.stdout)
    happenings: queue.SimpleQueue[Death | signal.Signals] = queue.SimpleQueue()
    try:
        stack = make_stack(environ, progress, happenings.put)
    except SettingsError as error:
        progress.problem(str(error))
        return _REFUSED
    _handle_signals(stack, happenings)
    progress.begins(stack.data.root, stack.replaced)
    begun = time.monotonic()
    try:
        stack.start()
    except Aborted:
        progress.line("Stopped.")
        return _STOPPED
    except (SettingsError, DataDirectoryHeld, PortTaken) as error:
        progress.problem(str(error))
        return _REFUSED
    except LocalError as error:
        progress.problem(f"{error}\nAll logs are in {stack.data.logs}.")
        return _FAILED
    try:
        stack.data.write_state(state_of(stack))
        progress.ready(stack, time.monotonic() - begun, environ)
        return _wait(happenings, progress, stack)
    finally:
        stack.stop()
        progress.line("Stopped.")


def make_stack(
    environ: Mapping[str, str], progress: Progress, on_death: Callable[[Death], None] = lambda _death: None
) -> Stack:
    """The suite as `make run` starts it. Raises SettingsError."""
    own = settings.load(environ)
    gateway = own.ports.get("gateway", settings.DEFAULT_GATEWAY_PORT)
    return Stack(
        settings.data_directory(own),
        ports={"gateway": gateway},
        environ=environ,
        on_event=progress.event,
        on_death=on_death,
    )


def _handle_signals(stack: Stack, happenings: "queue.SimpleQueue[Death | signal.Signals]") -> None:
    """The first signal asks for a clean stop, a second one kills."""
    asked = False

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            stack.kill()
        else:
            stack.abort()
            happenings.put(signal.Signals(number))
        asked = True

    for number in _SIGNALS:
        # A run under `nohup` stays when its terminal goes.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handle)


def _wait(happenings: "queue.SimpleQueue[Death | signal.Signals]", progress: Progress, stack: Stack) -> int:
    match happenings.get():
        case Death() as death:
            progress.problem(f"{death}\nThe suite stops, as it needs every part. All logs are in {stack.data.logs}.")
            return _FAILED
        case signal.Signals() as number:
            progress.line(f"{number.name}: stopping. A second signal kills.")
            return _STOPPED


def state_of(stack: Stack) -> dict[str, object]:
    """What others need to find this suite: see `pergola status` and `make demo`."""
    return {
        "supervisor": own_process(),
        "since": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "gateway": f"http://{stack.address('gateway')}" if "gateway" in stack.parts else None,
        "addresses": {name: stack.address(name) for name in stack.ports},
        "replaced": stack.replaced,
        "logs": str(stack.data.logs),
    }
