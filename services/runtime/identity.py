"""Who is calling, and for which tenant: the callers file and what follows from it.

The file is JSON: `{"callers": [{"name": "…", "key_sha256": "…", "subjects": ["spiffe://…"], "tenants": ["…"] or "*",
"roles": ["reader"]}]}`. A caller is known by a bearer key, of which only the SHA-256 is kept, or by a name in its
client certificate. Keys are random and long, so a plain hash is enough: there is nothing to guess.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from services.runtime.errors import TenantForbidden, Unauthenticated
from services.runtime.roles import Role, granted
from services.runtime.settings import SettingsError

log = logging.getLogger(__name__)

DEFAULT_TENANT: Final = "default"
_TENANT: Final = re.compile(r"^[a-z0-9][a-z0-9-]{0,62}$")
_POLL_SECONDS: Final = 1.0

TenantId = Annotated[str, Meta(pattern=_TENANT.pattern)]


class CallerEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One caller as the file lists it."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    tenants: list[TenantId] | Literal["*"]
    roles: Annotated[list[Role], Meta(min_length=1)]
    key_sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None = None
    subjects: list[Annotated[str, Meta(min_length=1)]] = []


class CallersFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    callers: list[CallerEntry]


class Caller:
    """A known caller. Two are the same when every right is: a changed entry ends what ran under the old one."""

    __slots__ = ("entry", "granted", "home", "name", "roles", "tenants")

    def __init__(self, entry: CallerEntry) -> None:
        self.entry = entry
        self.name = entry.name
        self.roles = frozenset(entry.roles)
        self.granted = granted(self.roles)
        self.tenants: frozenset[str] | None = None if entry.tenants == "*" else frozenset(entry.tenants)
        """None = every tenant."""
        self.home = DEFAULT_TENANT if entry.tenants == "*" else entry.tenants[0]
        """The tenant of a call that names none."""

    def tenant(self, asked: str | None) -> str:
        """The tenant a call is for, `asked` being its `x-pergola-tenant`.

        Raises:
            TenantForbidden: it is not one of the caller's, or no tenant id at all.
        """
        if asked is None:
            return self.home
        if self.tenants is None:
            if _TENANT.match(asked):
                return asked
        elif asked in self.tenants:
            return asked
        raise TenantForbidden("this caller may not act for the tenant in x-pergola-tenant")


LOCAL: Final = Caller(CallerEntry(name="local", tenants=[DEFAULT_TENANT], roles=list(Role)))
"""Everybody, while no callers file is configured. Every listener is bound to loopback then."""


class Callers:
    """The callers of one version of the file, ready to be looked up."""

    def __init__(self, entries: Iterable[CallerEntry]) -> None:
        self._by_key: dict[str, Caller] = {}
        self._by_subject: dict[str, Caller] = {}
        self.entries: set[str] = set()
        self.tenants: frozenset[str] = frozenset()
        """Those that are named; a caller that may act for any of them names none."""
        names: set[str] = set()
        for entry in entries:
            self._add(entry, names)

    def _add(self, entry: CallerEntry, names: set[str]) -> None:
        if entry.name in names:
            raise ValueError(f"the caller {entry.name} is listed twice")
        if entry.key_sha256 is None and not entry.subjects:
            raise ValueError(f"the caller {entry.name} has neither key_sha256 nor subjects")
        if not entry.tenants:
            raise ValueError(f"the caller {entry.name} has no tenants")
        if entry.tenants == "*" and Role.SERVICE not in entry.roles:
            raise ValueError(f'the caller {entry.name} is no service; list its tenants instead of "*"')
        names.add(entry.name)
        caller = Caller(entry)
        self.tenants |= caller.tenants or frozenset()
        if entry.key_sha256 is not None:
            if entry.key_sha256 in self._by_key:
                raise ValueError(f"the caller {entry.name} has the key of another one")
            self._by_key[entry.key_sha256] = caller
        for subject in entry.subjects:
            if subject in self._by_subject:
                raise ValueError(f"the caller {entry.name} has the subject of another one")
            self._by_subject[subject] = caller
        self.entries.add(_identity_of(entry))

    def has(self, caller: Caller) -> bool:
        """Whether this caller is still listed, with the same rights."""
        return _identity_of(caller.entry) in self.entries

    def by_bearer(self, authorization: str) -> Caller:
        """Raises Unauthenticated."""
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise Unauthenticated("send the key as `authorization: Bearer <key>`")
        caller = self._by_key.get(hashlib.sha256(key.strip().encode()).hexdigest())
        if caller is None:
            raise Unauthenticated("no caller has this key; it may have been replaced")
        return caller

    def by_certificate(self, auth_context: Mapping[str, Iterable[bytes]]) -> Caller:
        """Raises Unauthenticated."""
        for field in ("peer_spiffe_id", "x509_subject_alternative_name"):
            for subject in auth_context.get(field, ()):
                caller = self._by_subject.get(subject.decode(errors="replace"))
                if caller is not None:
                    return caller
        raise Unauthenticated("credentials are needed: send a key as `authorization: Bearer <key>`")


def _identity_of(entry: CallerEntry) -> str:
    return msgspec.json.encode(entry).decode()


def read_callers(path: Path) -> Callers:
    """Raises SettingsError, saying what is wrong with the file."""
    try:
        return Callers(msgspec.json.decode(path.read_bytes(), type=CallersFile).callers)
    except OSError as error:
        raise SettingsError(f"callers_file {path} can't be read ({error.strerror})") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise SettingsError(f"callers_file {path}: {error}") from None


class CallersWatch:
    """The callers now. A changed file counts within a second; a broken one is logged, and the last good one stays."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._stamp()
        self.now = read_callers(path)

    async def follow(self, changed: Callable[[Callers], None]) -> None:
        """Runs for ever; calls `changed` with each new version."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            if self.refresh():
                changed(self.now)

    def refresh(self) -> bool:
        """Read the file again if it changed; True when there are new callers."""
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        self._seen = stamp
        try:
            self.now = read_callers(self._path)
        except SettingsError as error:
            # The error says all; a traceback would hide it.
            log.error("the callers before the change stay: %s", error)  # noqa: TRY400
            return False
        log.info("callers reloaded", extra={"callers": len(self.now.entries)})
        return True

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
