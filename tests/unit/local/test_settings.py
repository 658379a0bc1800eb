"""What the embedded stack reads from the environment, and what it hands on."""

import socket
from pathlib import Path

import pytest

from local import settings
from local.components import plan, wiring
from local.components.callers import Callers
from local.components.component import Site
from local.errors import IncompatibleData, PortTaken, SettingsError
from local.system import ports
from local.system.datadir import DataDirectory


def _site(tmp_path: Path, environ: dict[str, str], parts: tuple[str, ...] = settings.PARTS) -> Site:
    data = DataDirectory(tmp_path / "data")
    data.acquire()
    passed = wiring.user_environ(environ)
    return Site(data, settings.load(environ), plan.choose_ports(parts, {}), passed, Callers(passed, data))


def test_all_wrong_settings_are_named_at_once() -> None:
    environ = {
        "PERGOLA_GATEWAY_PORT": "http",
        "PERGOLA_REDIS_VALUES_MB": "1",
        "PERGOLA_POSTGRES_BIN": "/does/not/exist",
        "PERGOLA_POSTGRS_PORT": "5432",
        "PERGOLA_VECTOR_METRICS_LISTEN": "0.0.0.0:9000",
        "PERGOLA_REDIS_STATE_URL": "redis://elsewhere:6379/0",
        "PERGOLA_GRAPH_STORE_JAVA_OPTIONS": "-Xss1m @elsewhere",
    }
    with pytest.raises(SettingsError) as caught:
        settings.load(environ)
    assert all(name in str(caught.value) for name in environ)
    assert "PERGOLA_VECTOR_METRICS_PORT" in str(caught.value)
    assert "'@elsewhere' is no option" in str(caught.value)
    assert "-Xss1m" not in str(caught.value)


def test_own_settings_stay_here_and_others_pass_through(tmp_path: Path) -> None:
    site = _site(tmp_path, {"PERGOLA_VECTOR_PORT": "0", "PERGOLA_VECTOR_WORKERS": "1", "PERGOLA_LOG_LEVEL": "debug"})
    told = wiring.part_environ(site, "vector", [])
    assert "PERGOLA_VECTOR_PORT" not in told
    assert told["PERGOLA_VECTOR_WORKERS"] == "1"
    assert told["PERGOLA_LOG_LEVEL"] == "debug"
    assert told["PERGOLA_VECTOR_LISTEN"] == site.address("vector") == told["PERGOLA_VECTOR_ADDRESS"]


def test_loopback_is_exempt_from_a_proxy(tmp_path: Path) -> None:
    site = _site(tmp_path, {"http_proxy": "http://127.0.0.1:9", "no_proxy": "example.org"})
    told = wiring.part_environ(site, "chat", [])
    assert told["no_proxy"] == "example.org,127.0.0.1,localhost,::1"
    assert told["http_proxy"] == "http://127.0.0.1:9"


def test_a_part_that_runs_elsewhere_is_not_started(tmp_path: Path) -> None:
    environ = {"PERGOLA_CACHE_ADDRESS": "10.0.0.7:9000,10.0.0.8:9000"}
    assert wiring.replaced(environ) == {"cache": "PERGOLA_CACHE_ADDRESS"}
    site = _site(tmp_path, environ, tuple(part for part in settings.PARTS if part != "cache"))
    assert wiring.part_environ(site, "chat", [])["PERGOLA_CACHE_ADDRESS"] == environ["PERGOLA_CACHE_ADDRESS"]


def test_a_port_that_is_taken_or_set_twice_is_named() -> None:
    free = ports.choose(set())
    with pytest.raises(PortTaken, match="PERGOLA_CHAT_PORT"):
        plan.choose_ports(settings.PARTS, {"cache": free, "chat": free})
    with socket.create_server((ports.LOOPBACK, free)), pytest.raises(PortTaken, match=f"{free}.*gateway"):
        plan.choose_ports(settings.PARTS, {"gateway": free})
    assert plan.choose_ports(settings.PARTS, {"gateway": free})["gateway"] == free


def test_stores_of_another_format_stop_the_start_untouched(tmp_path: Path) -> None:
    site = _site(tmp_path, {})
    components = plan.make_components(site, settings.STORES, lambda _part: {})
    plan.check_formats(site.data, components)
    good = site.data.formats()
    site.data.record_format("postgres", "PostgreSQL 99")
    site.data.record_format("redis-state", "Valkey 1000")
    before = site.data.formats()
    with pytest.raises(IncompatibleData) as caught:
        plan.check_formats(site.data, components)
    assert "PostgreSQL 99" in str(caught.value)
    assert good["postgres"] in str(caught.value)
    assert "Valkey 1000" in str(caught.value)
    assert site.data.formats() == before
    assert not (site.data.root / "postgres").exists()


def test_an_older_valkey_s_log_is_taken_over(tmp_path: Path) -> None:
    site = _site(tmp_path, {})
    components = plan.make_components(site, ["redis-state"], lambda _part: {})
    site.data.record_format("redis-state", "Valkey 8")
    plan.check_formats(site.data, components)
    assert site.data.formats()["redis-state"] == components["redis-state"].format()
