"""What every part of the stack has in common, seen by the one who starts it."""

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.components.callers import Callers
from local.settings import LocalSettings
from local.system.datadir import DataDirectory
from local.system.ports import LOOPBACK


@dataclass(frozen=True)
class Site:
    """Where a stack stands: what all its parts share."""

    data: DataDirectory
    settings: LocalSettings
    ports: Mapping[str, int]
    environ: Mapping[str, str]
    """The user's environment, without the stack's own settings."""
    callers: Callers

    def address(self, port: str) -> str:
        """host:port; port 0, any free one, for a part that this stack does not start."""
        return f"{LOOPBACK}:{self.ports.get(port, 0)}"


@dataclass(frozen=True)
class Launch:
    """How a process is started."""

    command: list[str]
    environ: Mapping[str, str]
    directory: Path
    user: int | None = None
    """Account to switch to (by root only), with its group `group`."""
    group: int | None = None
    notes: list[str] = field(default_factory=list)
    """What the person should know about this start."""


class Component(ABC):
    """One part: a process with ports, files, a probe, and what it offers to the services."""

    name: str
    needs: tuple[str, ...] = ()
    """Parts that must be ready before this one starts."""
    port_names: tuple[str, ...] = ()
    stop_signal = signal.SIGTERM
    stop_seconds = 20.0
    start_seconds = 60.0

    def __init__(self, site: Site) -> None:
        self.site = site

    @property
    def port(self) -> int:
        return self.site.ports[self.port_names[0]]

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def keeps_as(self) -> str:
        """The name of its folder in the data directory, and of the format recorded there."""
        return self.name

    def format(self) -> str | None:
        """What the installed program writes its files with, or None for a part without files."""
        return None

    def reads(self, recorded: str) -> bool:
        """Whether the installed program can take over files of the format `recorded`."""
        return recorded == self.format()

    def lacks(self) -> str | None:
        """What has to be brought here first, for a person; None when nothing is missing."""
        return None

    def obtain(self) -> None:  # noqa: B027 - most parts need nothing
        """Brings what is missing, which may take minutes; called once, before any part starts."""

    def prepare(self) -> None:  # noqa: B027 - most parts need nothing
        """Makes files that the process needs; called before every start, cheap after the first."""

    @abstractmethod
    def launch(self) -> Launch: ...

    @abstractmethod
    def ready(self) -> bool:
        """One probe, within about a second; raises OSError or returns False while the part is not ready."""

    def provision(self) -> None:  # noqa: B027 - most parts need nothing
        """What is done once the part is ready, before anybody uses it: accounts, databases."""

    def offers(self, service: str) -> dict[str, str]:  # noqa: ARG002 - for those who differ by service
        """Variables that tell the process of `service` how to reach this part."""
        return {}


def plain_environ(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """An environment for programs that are not ours: the language fixed, and nothing of PERGOLA_* or of their own."""
    kept = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TZ")
    return {name: environ[name] for name in kept if name in environ} | {"LC_ALL": "C"}
