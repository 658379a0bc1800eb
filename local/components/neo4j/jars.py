"""The jars of the server, fetched by Maven once a checkout, and the Java that runs them."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from local.components.component import plain_environ
from local.errors import PartFailed
from local.settings import CHECKOUT

POM: Final = Path(__file__).with_name("pom.xml")
START: Final = Path(__file__).with_name("Start.java")
VERSION: Final = "5.26.16"
"""The one of the pom."""
PLACE: Final = CHECKOUT / "build" / f"neo4j-{VERSION}"

_JARS_SHA256: Final = "343030a7facb39a9b42f860baf658e2ab4f5403b29ef2ed44e0754e89d813bd8"
"""Of the lines `<sha256> <name>` of all jars, in the order of their names."""
_OLDEST_JAVA: Final = 17
_MAVEN_SECONDS: Final = 900.0
_PART: Final = "graph-store"


def install_command() -> str:
    """What brings a JDK and Maven on this system."""
    if sys.platform == "darwin":
        return "brew install openjdk@17 maven"
    return "apt-get install -y openjdk-17-jdk-headless maven (Fedora: dnf install java-17-openjdk-devel maven)"


def java(chosen: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """A JDK's `java` of 17 or newer: the chosen one, that of JAVA_HOME, or the one on the PATH.

    Raises PartFailed that says what to install. A Java without its compiler is not enough: the server's starter is
    compiled when it is started.
    """
    home = environ.get("JAVA_HOME")
    on_path = shutil.which("java", path=environ.get("PATH"))
    candidates = (
        [chosen] if chosen else [Path(home, "bin", "java") if home else None, Path(on_path) if on_path else None]
    )
    tried = [candidate for candidate in candidates if candidate is not None]
    for candidate in tried:
        if _is_jdk(candidate):
            return candidate
    found = f" {' and '.join(map(str, tried))} is none." if tried else ""
    raise PartFailed(
        _PART,
        f"graph-store: Neo4j needs a JDK, {_OLDEST_JAVA} or newer.{found} Install one: {install_command()}; "
        "or name its `java` by PERGOLA_GRAPH_STORE_JAVA. Without GRAPH=neo4j the suite needs none.",
    )


def missing(chosen: Path | None = None, environ: Mapping[str, str] = os.environ) -> str | None:
    """Why Neo4j can't be started on this machine, or None when it can."""
    try:
        java(chosen, environ)
        if not PLACE.exists():
            _maven(environ)
    except PartFailed as error:
        return str(error)
    return None


def fetch(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of the jars, filled by Maven (116 MB) if it is not there yet.

    Raises PartFailed when Maven is missing, fails, or brings other jars than those that were pinned.
    """
    if PLACE.exists():
        return PLACE
    maven = _maven(environ)
    PLACE.parent.mkdir(exist_ok=True)
    # Stacks that start at once in one checkout fetch once.
    with PLACE.with_name("neo4j.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not PLACE.exists():
            with tempfile.TemporaryDirectory(dir=PLACE.parent, prefix="neo4j-") as folder:
                jars = Path(folder, "jars")
                _copy(maven, jars, environ)
                _check(jars)
                jars.rename(PLACE)
    return PLACE


def _copy(maven: str, jars: Path, environ: Mapping[str, str]) -> None:
    # Strict about the checksums of the repository; silent unless it fails.
    command = [
        maven,
        "--batch-mode",
        "--quiet",
        "--strict-checksums",
        "--file",
        str(POM),
        "dependency:copy-dependencies",
    ]
    more = {name: environ[name] for name in ("JAVA_HOME", "MAVEN_OPTS", "MAVEN_ARGS") if name in environ}
    try:
        done = subprocess.run(
            [*command, f"-DoutputDirectory={jars}"],
            env=plain_environ(environ) | more,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_MAVEN_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PartFailed(_PART, f"graph-store: Maven could not fetch Neo4j {VERSION}: {error}") from error
    if done.returncode != 0:
        told = "\n".join(f"    {line}" for line in done.stdout.strip().splitlines()[:8])
        raise PartFailed(_PART, f"graph-store: Maven could not fetch Neo4j {VERSION}. It says:\n{told}")


def _check(jars: Path) -> None:
    lines = (f"{hashlib.sha256(jar.read_bytes()).hexdigest()} {jar.name}\n" for jar in sorted(jars.iterdir()))
    found = hashlib.sha256("".join(lines).encode()).hexdigest()
    if found != _JARS_SHA256:
        raise PartFailed(
            _PART,
            f"graph-store: the jars that Maven brought for Neo4j {VERSION} are not those that were pinned "
            f"(SHA-256 {found}); is a mirror set that changes them?",
        )


def _maven(environ: Mapping[str, str]) -> str:
    maven = shutil.which("mvn", path=environ.get("PATH"))
    if maven is None:
        raise PartFailed(
            _PART,
            f"graph-store: Neo4j is fetched by Maven, and no `mvn` was found. Install it: {install_command()}. "
            "Without GRAPH=neo4j the suite needs none.",
        )
    return maven


def _is_jdk(candidate: Path) -> bool:
    """Whether this is a `java` that is new enough and can compile."""
    try:
        done = subprocess.run(
            [candidate, "--list-modules"], env=plain_environ(), capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    version = re.search(r"^java\.base@(\d+)", done.stdout, re.MULTILINE)
    return version is not None and int(version[1]) >= _OLDEST_JAVA and "jdk.compiler@" in done.stdout
