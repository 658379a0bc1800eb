"""The embedded stack: all parts, or some, as processes of this machine. `make run` and the tests both use it."""

import concurrent.futures
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from local import settings
from local.components import plan, wiring
from local.components.callers import Callers
from local.components.component import Component, Site
from local.errors import Aborted, LocalError, PartFailed
from local.events import Death, Event
from local.system import processes
from local.system.datadir import DataDirectory
from local.system.logs import open_log, tail

_POLL_SECONDS = 0.05


@dataclass
class _Running:
    process: "subprocess.Popen[bytes]"
    known: processes.ProcessId
    asked: bool = False
    """Whether it was told to end."""


class Stack:
    """Starts and stops parts. start() and stop() belong to one thread.

    data_dir: where everything is kept; one stack at a time may have it.
    parts: what to start, without those that a setting says run elsewhere.
    ports: by name (see local.settings.PORTS); 0 or absent is any free one, chosen at the start.
    environ: the user's settings; PERGOLA_* variables of the services pass through to them.
    on_event, on_death: told of progress, and of parts that ended by themselves, from several threads.

    Raises SettingsError when a setting of the stack's own is wrong.
    """

    def __init__(
        self,
        data_dir: Path,
        parts: Iterable[str] = settings.PARTS,
        ports: Mapping[str, int] | None = None,
        environ: Mapping[str, str] = os.environ,
        on_event: Callable[[Event], None] = lambda _event: None,
        on_death: Callable[[Death], None] = lambda _death: None,
    ) -> None:
        self.data = DataDirectory(data_dir)
        self.replaced = wiring.replaced(environ)
        self.parts = tuple(part for part in settings.PARTS if part in set(parts) and part not in self.replaced)
        self._settings = settings.load(environ)
        self._wanted_ports = {**self._settings.ports, **(ports or {})}
        self._environ = wiring.user_environ(environ)
        self._on_event = on_event
        self._on_death = on_death
        self._callers = Callers(self._environ, self.data)
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

    def processes_of(self, part: str) -> list[processes.ProcessId]:
        """The process of a part, and all that it started."""
        return processes.family(self._running[part].known.pid)

    def environ(self, part: str) -> dict[str, str]:
        """The whole environment that the process of `part` gets."""
        return wiring.part_environ(self.site, part, self._components.values())

    def log(self, part: str) -> Path:
        return self.data.logs / f"{part}.log"

    # --- start ---

    def start(self) -> None:
        """Starts all parts, each as soon as those it needs are ready, and returns when all are.

        Raises a LocalError (DataDirectoryHeld, PortTaken, IncompatibleData, PartFailed, Aborted); nothing runs then.
        """
        self.data.acquire()
        try:
            self._end_leftovers()
            ports = plan.choose_ports(self.parts, self._wanted_ports, self._settings.graph_store)
            self._callers.start()
            self._site = Site(self.data, self._settings, ports, self._environ, self._callers)
            self._components = plan.make_components(self._site, self.parts, self.environ)
            plan.check_formats(self.data, self._components)
            self._obtain()
            self._start_all()
        except BaseException:
            self.stop()
            raise

    def clean_up(self) -> None:
        """Ends what a killed run left on this data directory, and starts nothing. Raises DataDirectoryHeld."""
        self.data.acquire()
        self._end_leftovers()
        self.data.release()

    def _end_leftovers(self) -> None:
        for part, known in self.data.recorded_processes().items():
            self._on_event(Event(part, "note", f"ending process {known.pid}, left by a run that was killed"))
            processes.end(known, signal.SIGTERM if part != "postgres" else signal.SIGINT, 10.0)
        self.data.clear_state()

    def _obtain(self) -> None:
        for part, component in self._components.items():
            if lacking := component.lacks():
                self._on_event(Event(part, "note", lacking))
            try:
                component.obtain()
            except PartFailed:
                if self._abort.is_set():
                    raise Aborted("The start was called off.") from None
                raise

    def _start_all(self) -> None:
        begun: dict[str, concurrent.futures.Future[None]] = {}
        with concurrent.futures.ThreadPoolExecutor(len(self.parts) or 1) as pool:
            try:
                for part, component in self._components.items():
                    begun[part] = pool.submit(self._start_after, part, [begun[needed] for needed in component.needs])
                concurrent.futures.wait(begun.values(), return_when=concurrent.futures.FIRST_EXCEPTION)
                self._raise_first_error(one for one in begun.values() if one.done())
            except BaseException:
                self._abort.set()  # the pool waits for its threads before it lets the exception pass
                raise

    @staticmethod
    def _raise_first_error(ended: Iterable["concurrent.futures.Future[None]"]) -> None:
        errors = [error for one in ended if (error := one.exception()) is not None]
        if errors:
            # The first that failed by itself; those that were called off because of it say nothing new.
            raise next((error for error in errors if not isinstance(error, Aborted)), errors[0])

    def _start_after(self, part: str, needed: list["concurrent.futures.Future[None]"]) -> None:
        for one in needed:
            if one.exception() is not None:
                raise Aborted(f"{part} was not started.")
        self.start_part(part)

    def start_part(self, part: str) -> None:
        """Starts one part and returns when it is ready. Raises PartFailed with the last lines of its log."""
        component = self._components[part]
        begun = time.monotonic()
        self._on_event(Event(part, "starting"))
        component.prepare()
        running = self._spawn(component)
        while not self._is_ready(component):
            if (code := running.process.poll()) is not None:
                raise PartFailed(part, str(Death(part, code, tail(self.log(part)))))
            if time.monotonic() - begun > component.start_seconds:
                waited = f"{part} was not ready after {component.start_seconds:.0f} s."
                raise PartFailed(part, f"{waited} The last lines of its log:\n{tail(self.log(part))}")
            if self._abort.wait(_POLL_SECONDS):
                raise Aborted("The start was called off.")
        component.provision()
        self._on_event(Event(part, "ready", component.address, time.monotonic() - begun))

    @staticmethod
    def _is_ready(component: Component) -> bool:
        try:
            return component.ready()
        except OSError:
            return False

    def _spawn(self, component: Component) -> _Running:
        launch = component.launch()
        for note in launch.notes:
            self._on_event(Event(component.name, "note", note))
        with self._lock:
            if self._abort.is_set():
                raise Aborted("The start was called off.")
            with open_log(self.log(component.name)) as log:
                try:
                    process = subprocess.Popen(
                        launch.command,
                        env=dict(launch.environ),
                        cwd=launch.directory,
                        user=launch.user,
                        group=launch.group,
                        extra_groups=None if launch.user is None else [],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                except OSError as error:
                    reason = f"{component.name}: {launch.command[0]} cannot be started: {error.strerror}."
                    raise PartFailed(component.name, reason) from error
            known = processes.identify(process.pid) or processes.ProcessId(process.pid, "ended at once")
            running = _Running(process, known)
            self._running[component.name] = running
            self._record()
        threading.Thread(target=self._watch, args=(component.name, running), daemon=True).start()
        return running

    def _watch(self, part: str, running: _Running) -> None:
        code = running.process.wait()
        if not running.asked:
            self._on_death(Death(part, code, tail(self.log(part))))

    def _record(self) -> None:
        self.data.record_processes({part: running.known for part, running in self._running.items()})

    # --- stop ---

    def abort(self) -> None:
        """Calls off a start() that is under way; may be called from a signal handler."""
        self._abort.set()

    def stop(self) -> None:
        """Stops all parts in order and gives the data directory back. Does nothing when nothing runs."""
        self._abort.set()
        for together in plan.STOP_ORDER:
            members = [part for part in together if part in self._running]
            if members:
                with concurrent.futures.ThreadPoolExecutor(len(members)) as pool:
                    list(pool.map(self.stop_part, members))
        self._callers.stop()
        if self._site is not None:
            self.data.clear_state()
        self.data.release()

    def stop_part(self, part: str) -> None:
        """Stops one part, with all the processes it started."""
        component, running = self._components[part], self._running[part]
        running.asked = True
        begun = time.monotonic()
        self._on_event(Event(part, "stopping"))
        polite = processes.end(running.known, component.stop_signal, component.stop_seconds)
        running.process.wait()
        with self._lock:
            del self._running[part]
            self._record()
        text = "" if polite else f"killed, as it had not ended after {component.stop_seconds:.0f} s"
        self._on_event(Event(part, "stopped", text, time.monotonic() - begun))

    def kill(self, part: str | None = None) -> None:
        """Kills one part, or all, at once; may be called from a signal handler. stop() still is to be called."""
        if part is None:
            self._abort.set()
        for name in [part] if part else list(self._running):
            self._running[name].asked = True
            members = self.processes_of(name)
            for member in members:
                processes.send(member, signal.SIGKILL)
            processes.wait_gone(members, 5.0)

    # --- faults, for tests ---

    def restart(self, part: str) -> None:
        """Starts a part again on the same ports and files, stopping it first if it still runs."""
        if part in self._running:
            self.stop_part(part)
        self.start_part(part)

    @contextlib.contextmanager
    def frozen(self, part: str) -> Iterator[None]:
        """Holds all processes of a part (SIGSTOP) during the block: it accepts connections and answers nothing."""
        members = self.processes_of(part)
        try:
            for member in members:
                processes.send(member, signal.SIGSTOP)
            yield
        finally:
            for member in reversed(members):
                processes.send(member, signal.SIGCONT)
