"""Keys of our own services, when callers are configured: each one generated, and listed beside the user's callers."""

import hashlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path

from local.errors import SettingsError
from local.settings import SERVICES
from local.system.datadir import DataDirectory, replace_private

_VARIABLE = "PERGOLA_CALLERS_FILE"
_POLL_SECONDS = 1.0


class Callers:
    """The callers file that the services read: the user's entries, followed as they change, and one a service.

    Does nothing while no callers file is set.
    """

    def __init__(self, environ: Mapping[str, str], data: DataDirectory) -> None:
        self._source = Path(environ[_VARIABLE]).expanduser() if environ.get(_VARIABLE) else None
        self._merged = data.run / "callers.json"
        self._data = data
        # A service whose key the user has set is listed by the user too.
        self._ours = [service for service in SERVICES if not _key_is_set(environ, service)]
        self._written = b""
        self._stop = threading.Event()

    def start(self) -> None:
        """Writes the merged file and keeps it up to date until stop().

        Raises SettingsError when the user's file cannot be read as JSON; what is in it the services check.
        """
        if self._source is None:
            return
        try:
            self._written = self._source.read_bytes()
            self._merge(self._written)
        except (OSError, ValueError) as error:
            raise SettingsError(f"{_VARIABLE}: {self._source} cannot be used: {error}") from error
        threading.Thread(target=self._follow, daemon=True, name="callers").start()

    def stop(self) -> None:
        self._stop.set()

    def variables(self, service: str) -> dict[str, str]:
        """What the process of `service` is told."""
        if self._source is None:
            return {}
        told = {_VARIABLE: str(self._merged)}
        if service in self._ours:
            told[f"PERGOLA_{service.upper()}_SERVICE_KEY_FILE"] = str(self._key_file(service))
        return told

    def refresh(self) -> None:
        """Writes the merged file anew if the user's changed; while that one is gone, the callers stay."""
        if self._source is None:
            return
        try:
            source = self._source.read_bytes()
            if source != self._written:
                self._written = source
                self._merge(source)
        except OSError:
            return
        except ValueError:
            # As it is: the services say in their logs what is wrong, and keep the callers they have.
            replace_private(self._merged, self._written.decode(errors="replace"))

    def _follow(self) -> None:
        while not self._stop.wait(_POLL_SECONDS):
            self.refresh()

    def _key_file(self, service: str) -> Path:
        return self._data.secret_file(f"{service}-service-key")

    def _merge(self, source: bytes) -> None:
        content = json.loads(source)
        if not isinstance(content, dict) or not isinstance(content.get("callers"), list):
            raise ValueError('an object with a list "callers" is expected')  # noqa: TRY004 - bad content, as bad JSON is
        entries = [
            {
                "name": f"pergola-{service}",
                "key_sha256": hashlib.sha256(self._key_file(service).read_bytes()).hexdigest(),
                "tenants": "*",
                "roles": ["service"],
            }
            for service in self._ours
        ]
        replace_private(self._merged, json.dumps({**content, "callers": [*content["callers"], *entries]}, indent=1))


def _key_is_set(environ: Mapping[str, str], service: str) -> bool:
    base = f"PERGOLA_{service.upper()}_SERVICE_KEY"
    return bool(environ.get(base) or environ.get(f"{base}_FILE"))
