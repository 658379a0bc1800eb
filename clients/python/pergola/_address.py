"""Where Pergola is."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from pergola._errors import InvalidArgument

DEFAULT_URL: Final = "http://127.0.0.1:8080"
_STATE: Final = Path("run") / "state.json"


class Address(NamedTuple):
    """A gateway, or a service that is called directly."""

    host: str
    port: int
    tls: bool

    @property
    def target(self) -> str:
        """host:port, as gRPC and the Host header write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.target}"

    @property
    def loopback(self) -> bool:
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


def find(url: str | None = None, environ: Mapping[str, str] = os.environ) -> Address:
    """`url` if given; else PERGOLA_URL; else the suite that `make run` keeps running from this checkout, or from the
    directory in PERGOLA_DATA_DIR; else http://127.0.0.1:8080.

    Raises InvalidArgument for what is no URL.
    """
    chosen = url or environ.get("PERGOLA_URL")
    if chosen:
        return parse(chosen)
    running = next(filter(None, map(_gateway, _data_directories(environ))), None)
    return parse(running or DEFAULT_URL)


def parse(url: str) -> Address:
    """Raises InvalidArgument for anything but http(s)://host[:port]."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    plain = not (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise InvalidArgument(
            f"{_without_userinfo(url)!r} is not an address; write http://host:port or https://host:port",
            code="INVALID_ARGUMENT",
        )
    tls = parts.scheme == "https"
    return Address(parts.hostname, port or (443 if tls else 80), tls)


def _without_userinfo(url: str) -> str:
    """Somebody may have put a key there; it must not be printed."""
    before, at, after = url.rpartition("@")
    return f"{before.partition('//')[0]}//…@{after}" if at else url


def _data_directories(environ: Mapping[str, str]) -> Iterator[Path]:
    if environ.get("PERGOLA_DATA_DIR"):
        yield Path(environ["PERGOLA_DATA_DIR"])
        return
    here = Path.cwd()
    yield from (folder / ".pergola" for folder in (here, *here.parents))
    # In a checkout this file is clients/python/pergola/_address.py.
    own = Path(__file__).resolve()
    if own.parts[-4:-1] == ("clients", "python", "pergola"):
        yield own.parents[3] / ".pergola"


def _gateway(data_directory: Path) -> str | None:
    """The gateway's URL of the suite that runs on a data directory, or None."""
    try:
        state = json.loads((data_directory / _STATE).read_text("utf-8"))
        gateway, pid = state["gateway"], int(state["supervisor"]["pid"])
        # A suite that was killed leaves its file behind.
        os.kill(pid, 0)
    except PermissionError as error:
        # A file that cannot be read, or a process of somebody else's, which does run.
        return None if error.filename else gateway
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return gateway if isinstance(gateway, str) else None
