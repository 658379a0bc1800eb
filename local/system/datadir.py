"""The data directory: its layout, who holds it, its secrets, and which store formats lie in it.

lock            held while a run lasts; says who holds it
formats.json    what each store's files were written with
secrets/        generated passwords, one a file, readable by the owner alone
run/            what the running suite leaves for others: addresses, process numbers, rendered configuration
logs/           one file a part; the one of the run before as <part>.log.1
<part>/         files of a store
models/         the embedding graph built from the weights
"""

import contextlib
import datetime
import fcntl
import json
import os
import secrets
import threading
from pathlib import Path
from typing import Any, BinaryIO

from local.errors import DataDirectoryHeld, LocalError
from local.system.processes import ProcessId, identify


class DataDirectory:
    """One data directory. Every file in it belongs to the user who started the suite."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.run = self.root / "run"
        self.logs = self.root / "logs"
        self.models = self.root / "models"
        self.state_file = self.run / "state.json"
        self._secrets = self.root / "secrets"
        self._pids = self.run / "processes.json"
        self._formats = self.root / "formats.json"
        self._lock: BinaryIO | None = None
        self._making_secrets = threading.Lock()

    def part(self, name: str) -> Path:
        """Where a store keeps its files."""
        return self.root / name

    # --- who holds it ---

    def acquire(self) -> None:
        """Makes the directory and takes its lock.

        Raises DataDirectoryHeld with the holder's process number and start, when another run has it.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            if (owner := self.root.stat().st_uid) != os.geteuid():
                reason = f"The data directory {self.root} belongs to the account with number {owner}."
                raise LocalError(f"{reason} Run as that account, or choose another one with PERGOLA_DATA_DIR.")
            for folder in (self.run, self.logs, self._secrets):
                folder.mkdir(exist_ok=True, mode=0o700)
            lock = (self.root / "lock").open("a+b")
        except OSError as error:
            reason = f"The data directory {self.root} cannot be written ({error.strerror})."
            raise LocalError(f"{reason} Choose another one with PERGOLA_DATA_DIR.") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().decode(errors="replace").strip() or "another run that is just starting"
            lock.close()
            raise DataDirectoryHeld(
                f"The data directory {self.root} is held by {holder}. Stop that run first (Ctrl-C or SIGTERM), "
                "or start a second suite with PERGOLA_DATA_DIR and PERGOLA_GATEWAY_PORT set to others."
            ) from None
        since = datetime.datetime.now(datetime.UTC).astimezone().isoformat(sep=" ", timespec="seconds")
        lock.truncate(0)
        lock.write(f"process {os.getpid()}, running since {since}".encode())
        lock.flush()
        self._lock = lock

    def release(self) -> None:
        """Gives the lock back. The file stays: removing it would let two runs lock two different files."""
        if self._lock is not None:
            self._lock.truncate(0)
            self._lock.close()
            self._lock = None

    # --- secrets ---

    def secret_file(self, name: str) -> Path:
        """The file with the secret `name`, generated (192 bits) at the first call."""
        path = self._secrets / name
        with self._making_secrets:
            if not path.exists():
                replace_private(path, secrets.token_urlsafe(24))
        return path

    def secret(self, name: str) -> str:
        return self.secret_file(name).read_text().strip()

    # --- processes of this run, for the next one to end if this one is killed ---

    def record_processes(self, processes: dict[str, ProcessId]) -> None:
        content = {part: {"pid": known.pid, "started": known.started} for part, known in processes.items()}
        replace_private(self._pids, json.dumps(content, indent=1))

    def recorded_processes(self) -> dict[str, ProcessId]:
        """Processes that an earlier run recorded and that still run."""
        content = _read_json(self._pids)
        recorded = {part: ProcessId(entry["pid"], entry["started"]) for part, entry in content.items()}
        return {part: known for part, known in recorded.items() if known.alive()}

    # --- what is running, for `pergola` and `make demo` ---

    def write_state(self, state: dict[str, Any]) -> None:
        replace_private(self.state_file, json.dumps(state, indent=1))

    def clear_state(self) -> None:
        self.state_file.unlink(missing_ok=True)
        self._pids.unlink(missing_ok=True)

    def running_state(self) -> dict[str, Any] | None:
        """The state of the suite that runs on this directory, or None when none does."""
        state = _read_json(self.state_file)
        if not state:
            return None
        supervisor = ProcessId(state["supervisor"]["pid"], state["supervisor"]["started"])
        return state if supervisor.alive() else None

    # --- store formats ---

    def formats(self) -> dict[str, str]:
        return {str(part): str(version) for part, version in _read_json(self._formats).items()}

    def record_format(self, part: str, version: str) -> None:
        replace_private(self._formats, json.dumps({**self.formats(), part: version}, indent=1, sort_keys=True))


def own_process() -> dict[str, Any]:
    """This process, as it stands in the state file."""
    known = identify(os.getpid())
    if known is None:
        raise LocalError("This system does not tell when a process started; /proc or ps is needed.")
    return {"pid": known.pid, "started": known.started}


def write_private(path: Path, content: str) -> None:
    """Writes a file that only its owner can read, from its first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_private(path: Path, content: str) -> None:
    """Replaces a file whole: a reader sees the old content or the new, also after a crash."""
    beside = path.with_name(path.name + ".new")
    write_private(beside, content)
    beside.replace(path)


def _read_json(path: Path) -> dict[str, Any]:
    with contextlib.suppress(FileNotFoundError, ValueError):
        content = json.loads(path.read_text())
        if isinstance(content, dict):
            return content
    return {}
