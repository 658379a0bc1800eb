"""The account PostgreSQL runs under. It refuses root, and root is who people are in a container.

not root                     → this account
root, user namespace allowed → `nobody` inside a namespace in which root's files belong to it
root, not allowed            → `nobody` for real, with its files and a copy of the programs where it can reach them
"""

import hashlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.components.component import plain_environ
from local.errors import SettingsError
from local.system.datadir import DataDirectory

_REACHABLE = Path("/var/lib/pergola")


@dataclass(frozen=True)
class Account:
    """Under which account PostgreSQL's programs are started, and where its files are."""

    binaries: Path
    files: Path
    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None
    note: str = ""

    def run(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs one of PostgreSQL's programs under the account, in a session of its own, and returns its output."""
        return subprocess.run(
            [*self.prefix, str(self.binaries / program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=plain_environ(),
            user=self.user,
            group=self.group,
            extra_groups=None if self.user is None else [],
            start_new_session=True,
        )

    def own(self, *paths: Path) -> None:
        """Gives files to the account."""
        if self.user is not None and self.group is not None:
            for path in paths:
                os.chown(path, self.user, self.group)

    def readable_copy(self, secret: Path, beside: Path) -> Path:
        """A copy of a secret file that the account can read, and nobody else; the caller removes it."""
        shutil.copyfile(secret, beside)
        beside.chmod(0o600)
        self.own(beside)
        return beside


def choose_account(wanted: str, installed: Path, data: DataDirectory) -> Account:
    """Decides the account; `wanted` is the setting PERGOLA_POSTGRES_USER or ''.

    Raises SettingsError when root names an account that does not exist or is root, or one that cannot have the files.
    """
    files = data.part("postgres")
    if os.geteuid() != 0:
        return Account(installed, files)
    try:
        entry = pwd.getpwnam(wanted or "nobody")
    except KeyError:
        raise SettingsError(f"PERGOLA_POSTGRES_USER: there is no account {wanted or 'nobody'!r}.") from None
    if entry.pw_uid == 0:
        raise SettingsError("PERGOLA_POSTGRES_USER: PostgreSQL refuses to run as root; name another account.")
    namespace = ("unshare", "--user", f"--map-user={entry.pw_uid}", f"--map-group={entry.pw_gid}")
    place = _REACHABLE / hashlib.sha256(str(data.root).encode()).hexdigest()[:16]
    # Where the files are decides before anything else: another place would look like an empty database.
    if not wanted and not _is_cluster(place / "postgres") and _runs(namespace):
        return Account(installed, files, prefix=namespace)
    if _is_cluster(files):
        raise SettingsError(
            f"PostgreSQL's files are in {files}, which a user namespace made usable for root; now none can be made, or "
            "PERGOLA_POSTGRES_USER names an account. Allow them and unset it, or use another PERGOLA_DATA_DIR."
        )
    return _reachable(entry, installed, place)


def _is_cluster(files: Path) -> bool:
    return (files / "PG_VERSION").exists()


def _runs(prefix: tuple[str, ...]) -> bool:
    if shutil.which(prefix[0]) is None:
        return False
    done = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    return done.returncode == 0


def _reachable(entry: pwd.struct_passwd, installed: Path, place: Path) -> Account:
    """Files and programs in a folder that every account can reach, one a data directory."""
    place.mkdir(parents=True, exist_ok=True, mode=0o755)
    os.chown(place, entry.pw_uid, entry.pw_gid)
    binaries = installed
    probe = subprocess.run(
        [installed / "postgres", "--version"], capture_output=True, check=False, cwd="/",
        user=entry.pw_uid, group=entry.pw_gid, extra_groups=[],
    ) if _enterable(installed, entry) else None  # fmt: skip
    if probe is None or probe.returncode != 0:
        binaries = _copy_programs(installed, place / "programs")
    note = f"PostgreSQL refuses root, so it runs as {entry.pw_name} and keeps its files in {place}."
    return Account(binaries, place / "postgres", user=entry.pw_uid, group=entry.pw_gid, note=note)


def _enterable(path: Path, entry: pwd.struct_passwd) -> bool:
    """Whether the account may enter `path` and every folder above it."""
    for folder in (path, *path.parents):
        status = folder.stat()
        bit = 0o100 if status.st_uid == entry.pw_uid else 0o010 if status.st_gid == entry.pw_gid else 0o001
        if not status.st_mode & bit:
            return False
    return True


def _copy_programs(installed: Path, place: Path) -> Path:
    """Copies PostgreSQL out of an environment that the account cannot enter; once a version."""
    package = installed.parent.parent
    mark = place / "copied-from"
    source = f"{installed} {(installed / 'postgres').stat().st_mtime_ns}"
    if not mark.exists() or mark.read_text() != source:
        shutil.rmtree(place, ignore_errors=True)
        target = place / package.name
        shutil.copytree(installed.parent, target / installed.parent.name, symlinks=True)
        # The programs look for the wheel's libraries in a folder beside the package.
        libraries = package.with_name(package.name + ".libs")
        if libraries.exists():
            shutil.copytree(libraries, place / libraries.name)
        for path in (place, *place.rglob("*")):
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444))
        mark.write_text(source)
    return place / package.name / installed.parent.name / installed.name
