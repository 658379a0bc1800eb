"""The callers file: what it may say, and whom it admits."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from services.runtime.errors import TenantForbidden, Unauthenticated
from services.runtime.identity import LOCAL, Caller, CallerEntry, CallersWatch, read_callers
from services.runtime.roles import Role, granted
from services.runtime.settings import SettingsError

KEY = "0123456789abcdef0123456789abcdef"
GOOD: dict[str, Any] = {
    "name": "web",
    "key_sha256": hashlib.sha256(KEY.encode()).hexdigest(),
    "tenants": ["acme", "globex"],
    "roles": ["writer"],
}


def write(folder: Path, *callers: dict[str, Any]) -> Path:
    file = folder / "callers.json"
    file.write_text(json.dumps({"callers": list(callers)}))
    return file


def test_a_key_finds_its_caller(tmp_path: Path) -> None:
    callers = read_callers(write(tmp_path, GOOD))
    assert callers.by_bearer(f"Bearer {KEY}").name == "web"
    assert callers.by_bearer(f"bearer  {KEY} ").name == "web"
    for wrong in ("", "Bearer", "Bearer ", f"Basic {KEY}", KEY, f"Bearer {KEY}x", f"Bearer {GOOD['key_sha256']}"):
        with pytest.raises(Unauthenticated):
            callers.by_bearer(wrong)


def test_a_certificate_finds_its_caller(tmp_path: Path) -> None:
    subject = "spiffe://example.org/chat"
    callers = read_callers(write(tmp_path, {**GOOD, "subjects": [subject, "chat.example.org"]}))
    for field in ("peer_spiffe_id", "x509_subject_alternative_name"):
        assert callers.by_certificate({field: [b"other", subject.encode()]}).name == "web"
    with pytest.raises(Unauthenticated):
        callers.by_certificate({"x509_common_name": [subject.encode()]})
    with pytest.raises(Unauthenticated):
        callers.by_certificate({})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"key_sha256": KEY}, "key_sha256"),
        ({"key_sha256": None}, "neither key_sha256 nor subjects"),
        ({"tenants": []}, "no tenants"),
        ({"tenants": ["Not A Tenant"]}, "tenants"),
        ({"tenants": ["-a"]}, "tenants"),
        ({"tenants": ["a" * 64]}, "tenants"),
        ({"tenants": "*"}, "is no service"),
        ({"tenants": "acme"}, "tenants"),
        ({"roles": []}, "roles"),
        ({"roles": ["root"]}, "roles"),
        ({"role": "reader"}, "role"),
        ({"name": ""}, "name"),
    ],
)
def test_what_a_caller_may_not_be(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        read_callers(write(tmp_path, {**GOOD, **change}))


def test_two_callers_share_nothing(tmp_path: Path) -> None:
    other = {**GOOD, "key_sha256": "0" * 64}
    with pytest.raises(SettingsError, match="listed twice"):
        read_callers(write(tmp_path, GOOD, other))
    with pytest.raises(SettingsError, match="key of another"):
        read_callers(write(tmp_path, GOOD, {**GOOD, "name": "other"}))
    shared = {"subjects": ["a"]}
    with pytest.raises(SettingsError, match="subject of another"):
        read_callers(write(tmp_path, {**GOOD, **shared}, {**other, **shared, "name": "other"}))


def test_no_key_stands_in_what_is_said_about_a_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read_callers(write(tmp_path, {**GOOD, "key_sha256": KEY, "name": 3}))
    assert KEY not in str(caught.value)
    with pytest.raises(SettingsError, match="can't be read"):
        read_callers(tmp_path / "absent.json")


def test_tenants() -> None:
    web = Caller(CallerEntry(name="web", tenants=["acme", "globex"], roles=[Role.WRITER]))
    assert [web.tenant(asked) for asked in (None, "acme", "globex")] == ["acme", "acme", "globex"]
    service = Caller(CallerEntry(name="chat", tenants="*", roles=[Role.SERVICE]))
    assert [service.tenant(asked) for asked in (None, "any-tenant")] == ["default", "any-tenant"]
    assert LOCAL.tenant(None) == LOCAL.tenant("default") == "default"
    for caller, asked in [(web, "initech"), (web, ""), (service, "No"), (service, "a/b"), (LOCAL, "acme")]:
        with pytest.raises(TenantForbidden):
            caller.tenant(asked)


@pytest.mark.parametrize(
    ("roles", "may"),
    [
        ({Role.READER}, {Role.READER}),
        ({Role.WRITER}, {Role.READER, Role.WRITER}),
        ({Role.ADMIN}, {Role.READER, Role.WRITER, Role.ADMIN}),
        ({Role.SERVICE}, {Role.READER, Role.WRITER, Role.SERVICE}),
        ({Role.SERVICE, Role.ADMIN}, set(Role)),
    ],
)
def test_what_roles_include(roles: set[Role], may: set[Role]) -> None:
    assert granted(frozenset(roles)) == may


def test_a_watch_sees_changes_and_keeps_what_was_good(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD)
    watch = CallersWatch(file)
    before = watch.now.by_bearer(f"Bearer {KEY}")
    assert not watch.refresh()
    write(tmp_path, {**GOOD, "roles": ["reader"]})
    assert watch.refresh()
    assert not watch.now.has(before)
    assert watch.now.has(watch.now.by_bearer(f"Bearer {KEY}"))
    file.write_text("[]")
    assert not watch.refresh()
    assert watch.now.by_bearer(f"Bearer {KEY}").roles == {Role.READER}
    file.unlink()
    assert not watch.refresh()
    assert watch.now.by_bearer(f"Bearer {KEY}").roles == {Role.READER}
