"""The embedded stack: all parts, or some, as processes of this machine. `make run` and the tests both use it."""

import concurrent.futures
import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local import ports as port_numbers
from local import processes, settings, wiring
from local.components.arcadedb import ArcadeDB
from local.components.component import Component, Site
from local.components.envoy import Envoy
from local.components.postgres import Postgres
from local.components.service import Edge, Service
from local.components.valkey import ValkeyState, ValkeyValues
from local.datadir import DataDirectory
from local.errors import Aborted, IncompatibleData, LocalError, PartFailed, PortTaken
from local.logs import open_log, tail

_POLL_SECONDS = 0.05

# Doors first, then callers before those they call, stores last and together.
_STOP_ORDER = (("edge",), ("gateway",), ("chat",), ("graph",), ("vector",), ("cache",), settings.STORES)


@dataclass(frozen=True)
class Event:
    """Something happened to a part, for whoever shows progress."""

    part: str
    kind: str
    """starting, ready, stopping, stopped, died or note."""
    text: str = ""
    seconds: float = 0.0
    """For ready and stopped: how long it took."""


@dataclass(frozen=True)
class Death:
    """A part ended without having been asked to."""

    part: str
    code: int
    """Its exit code; negative: the signal that ended it."""
    log: str
    """The last lines of its log."""

    def __str__(self) -> str:
        how = f"ended with code {self.code}" if self.code >= 0 else f"was ended by {signal.Signals(-self.code).name}"
        return f"{self.part} {how}. The last lines of its log:\n{self.log}"


@dataclass
class _Running:
    process: "subprocess.Popen[bytes]"
    known: processes.ProcessId
    asked: bool = False


class Stack:
    """Starts and stops parts. Its methods are synchronous; start and stop belong to one thread.

    data_dir: where everything is kept; one stack at a time may have it.
    parts: what to start; by default all that no setting says run elsewhere.
    ports: by name (see local.settings.PORTS); 0 or absent is any free one, chosen at the start.
    environ: the user's settings; PERGOLA_* variables of the services pass through to them.
    on_event: told of progress, from several threads.
    """

    def __init__(
        self,
        data_dir: Path,
        parts: Iterable[str] = settings.PARTS,
        ports: Mapping[str, int] | None = None,
        environ: Mapping[str, str] = os.environ,
        on_event: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        own = settings.load(environ)
        self.data = DataDirectory(data_dir)
        self.replaced = wiring.replaced(environ)
        self.parts = tuple(part for part in settings.PARTS if part in set(parts) and part not in self.replaced)
        self.deaths: queue.SimpleQueue[Death] = queue.SimpleQueue()
        self._wanted_ports = {**own.ports, **(ports or {})}
        self._own = own
        self._environ = wiring.user_environ(environ)
        self._on_event = on_event
        self._site: Site | None = None
        self._components: dict[str, Component] = {}
        self._running: dict[str, _Running] = {}
        self._lock = threading.RLock()
        self._abort = threading.Event()

    # --- what runs where ---

    @property
    def site(self) -> Site:
        if self._site is None:
            raise LocalError("The stack has not been started.")
        return self._site

    @property
    def ports(self) -> Mapping[str, int]:
        """The ports of the parts, by name, once start() has been called."""
        return self.site.ports

    def address(self, port: str) -> str:
        """host:port of a part, or of one of its further ports."""
        return self.site.address(port)

    def component(self, part: str) -> Component:
        return self._components[part]

    def environ(self, part: str) -> dict[str, str]:
        """The whole environment that the process of `part` gets."""
        return wiring.part_environ(self.site, part, self._components.values())

    # --- start ---

    def start(self) -> None:
        """Starts all parts, each as soon as those it needs are ready, and returns when all are.

        Raises a LocalError (DataDirectoryHeld, PortTaken, IncompatibleData, PartFailed, Aborted, …); nothing runs then.
        """
        self.data.acquire()
        try:
            self._end_leftovers()
            self._site = Site(self.data, self._own, self._choose_ports(), self._environ)
            self._components = {part: self._make(part) for part in self.parts}
            self._check_formats()
            self._bring_up_all()
        except BaseException:
            self.stop()
            raise

    def _make(self, part: str) -> Component:
        site = self.site
        needs = {
            "cache": ("redis-values", "redis-state"),
            "vector": ("postgres", "redis-values", "redis-state"),
            "graph": ("graph-store", "redis-values", "redis-state"),
            "chat": ("redis-values", "redis-state"),
        }
        match part:
            case "postgres":
                return Postgres(site)
            case "redis-values":
                return ValkeyValues(site)
            case "redis-state":
                return ValkeyState(site)
            case "graph-store":
                return ArcadeDB(site)
            case "edge":
                return Edge(site, self.environ)
            case "gateway":
                return Envoy(site, self.environ)
            case _:
                return Service(site, self.environ, part, tuple(store for store in needs[part] if store in self.parts))

    def _end_leftovers(self) -> None:
        for part, known in self.data.recorded_processes().items():
            self._on_event(Event(part, "note", f"ending process {known.pid}, left by a run that was killed"))
            processes.end(known, signal.SIGTERM if part != "postgres" else signal.SIGINT, 10.0)
        self.data.clear_state()

    def _choose_ports(self) -> dict[str, int]:
        names = [name for name in settings.PORTS if name.removesuffix("-metrics").removesuffix("-admin") in self.parts]
        chosen: dict[str, int] = {}
        for name in names:
            if port := self._wanted_ports.get(name, 0):
                if port in chosen.values():
                    raise PortTaken(f"Port {port} is set for two parts; change {settings.port_setting(name)}.")
                if port_numbers.is_taken(port):
                    raise PortTaken(
                        f"Port {port} on 127.0.0.1, which {name} would use, is taken by another program. "
                        f"Stop that program, or choose another port: {settings.port_setting(name)}=…"
                    )
                chosen[name] = port
        for name in names:
            if name not in chosen:
                chosen[name] = port_numbers.choose(set(chosen.values()))
        return chosen

    def _check_formats(self) -> None:
        """Before any store is touched: all can be read by what is installed. Then writes down what will write them."""
        recorded = self.data.formats()
        formats = {part: component.format() for part, component in self._components.items()}
        wrong = [
            f"  {part}: written by {recorded[part]}, installed is {formats[part]}"
            for part, component in self._components.items()
            if part in recorded and not component.reads(recorded[part])
        ]
        if wrong:
            raise IncompatibleData(
                f"The stores in {self.data.root} were written by versions that the installed ones cannot take over; "
                "nothing was touched.\n" + "\n".join(wrong) + "\n"
                "Run the version of Pergola that wrote them and export what you need, or start anew with another PERGOLA_DATA_DIR."
            )
        for part, version in formats.items():
            if version is not None and recorded.get(part) != version:
                self.data.record_format(part, version)

    def _bring_up_all(self) -> None:
        begun: dict[str, concurrent.futures.Future[None]] = {}
        with concurrent.futures.ThreadPoolExecutor(len(self.parts) or 1) as pool:
            for part in self.parts:  # those that are needed come first in the order of the parts
                waits = [begun[needed] for needed in self._components[part].needs]
                begun[part] = pool.submit(self._bring_up_after, part, waits)
            concurrent.futures.wait(begun.values(), return_when=concurrent.futures.FIRST_EXCEPTION)
            errors = [error for one in begun.values() if one.done() and (error := one.exception()) is not None]
            if errors:
                self._abort.set()
                # The first that failed by itself; those that were called off because of it say nothing new.
                raise next((error for error in errors if not isinstance(error, Aborted)), errors[0])

    def _bring_up_after(self, part: str, waits: list["concurrent.futures.Future[None]"]) -> None:
        for needed in waits:
            try:
                needed.result()
            except Exception:
                raise Aborted(f"{part} was not started.") from None
        self.start_part(part)

    def start_part(self, part: str) -> None:
        """Starts one part and returns when it is ready. Raises PartFailed with the last lines of its log."""
        component = self._components[part]
        begun = time.monotonic()
        self._on_event(Event(part, "starting"))
        component.prepare()
        running = self._spawn(component)
        while True:
            if self._abort.is_set():
                raise Aborted("The start was called off.")
            if (code := running.process.poll()) is not None:
                raise PartFailed(part, str(Death(part, code, tail(self._log(part)))))
            if time.monotonic() - begun > component.start_seconds:
                raise PartFailed(
                    part,
                    f"{part} was not ready after {component.start_seconds:.0f} s. Its log ends:\n{tail(self._log(part))}",
                )
            with contextlib.suppress(OSError):
                if component.ready():
                    break
            self._abort.wait(_POLL_SECONDS)
        component.provision()
        self._on_event(Event(part, "ready", component.address, time.monotonic() - begun))

    def _spawn(self, component: Component) -> _Running:
        launch = component.launch()
        for note in launch.notes:
            self._on_event(Event(component.name, "note", note))
        with self._lock:
            if self._abort.is_set():
                raise Aborted("The start was called off.")
            with open_log(self._log(component.name)) as log:
                try:
                    process = subprocess.Popen(
                        launch.command, env=dict(launch.environ), cwd=launch.directory, user=launch.user, group=launch.group,
                        extra_groups=None if launch.user is None else [], stdin=subprocess.DEVNULL, stdout=log,
                        stderr=subprocess.STDOUT, start_new_session=True,
                    )  # fmt: skip
                except OSError as error:
                    raise PartFailed(
                        component.name, f"{component.name}: {launch.command[0]} cannot be started: {error.strerror}."
                    ) from error
            known = processes.identify(process.pid) or processes.ProcessId(process.pid, "ended at once")
            running = _Running(process, known)
            self._running[component.name] = running
            self._record()
        threading.Thread(
            target=self._watch, args=(component.name, running), daemon=True, name=f"watch-{component.name}"
        ).start()
        return running

    def _watch(self, part: str, running: _Running) -> None:
        code = running.process.wait()
        if not running.asked:
            self.deaths.put(Death(part, code, tail(self._log(part))))

    def _record(self) -> None:
        self.data.record_processes({part: running.known for part, running in self._running.items()})

    def _log(self, part: str) -> Path:
        return self.data.logs / f"{part}.log"

    # --- stop ---

    def abort(self) -> None:
        """Calls off a start() that is under way; may be called from a signal handler."""
        self._abort.set()

    def stop(self) -> None:
        """Stops all parts in order and gives the data directory back. Does nothing when nothing runs."""
        self._abort.set()
        for together in _STOP_ORDER:
            members = [part for part in together if part in self._running]
            if members:
                with concurrent.futures.ThreadPoolExecutor(len(members)) as pool:
                    list(pool.map(self.stop_part, members))
        if self._site is not None:
            self.data.clear_state()
        self.data.release()

    def stop_part(self, part: str) -> None:
        """Stops one part, with all the processes it started."""
        component, running = self._components[part], self._running[part]
        running.asked = True
        begun = time.monotonic()
        self._on_event(Event(part, "stopping"))
        for member in processes.family(running.known.pid):
            processes.send(member, signal.SIGCONT)
        polite = processes.end(running.known, component.stop_signal, component.stop_seconds)
        running.process.wait()
        with self._lock:
            del self._running[part]
            self._record()
        text = "" if polite else f"killed after {component.stop_seconds:.0f} s"
        self._on_event(Event(part, "stopped", text, time.monotonic() - begun))

    def kill(self, part: str | None = None) -> None:
        """Kills one part, or all, at once; may be called from a signal handler. stop() still is to be called."""
        self._abort_all_if(part is None)
        for name, running in list(self._running.items()):
            if part in (None, name):
                running.asked = True
                members = processes.family(running.known.pid)
                for member in members:
                    processes.send(member, signal.SIGKILL)
                processes.wait_gone(members, 5.0)

    def _abort_all_if(self, everything: bool) -> None:
        if everything:
            self._abort.set()

    # --- faults, for tests ---

    def restart(self, part: str) -> None:
        """Starts a part again on the same ports and files, stopping it first if it still runs."""
        if part in self._running:
            self.stop_part(part)
        self.start_part(part)

    @contextlib.contextmanager
    def frozen(self, part: str) -> "contextlib.AbstractContextManager[None]":  # type: ignore[misc]
        """Holds all processes of a part (SIGSTOP) for the time of the block: it accepts connections and says nothing."""
        members = processes.family(self._running[part].known.pid)
        try:
            for member in members:
                processes.send(member, signal.SIGSTOP)
            yield
        finally:
            for member in reversed(members):
                processes.send(member, signal.SIGCONT)
