"""Neo4j in place of the embedded graph store: what is chosen, and what is said where it can't be had."""

import re
from pathlib import Path

import pytest

from local import settings
from local.components import plan
from local.components.callers import Callers
from local.components.component import Site
from local.components.neo4j import jars
from local.components.neo4j.component import Neo4j
from local.errors import PartFailed, SettingsError
from local.system.datadir import DataDirectory


def _site(tmp_path: Path, kind: str, **more: str) -> Site:
    data = DataDirectory(tmp_path / "data")
    data.acquire()
    own = settings.load({"PERGOLA_GRAPH_STORE": kind} | more)
    ports = plan.choose_ports(["graph-store"], {}, own.graph_store)
    site = Site(data, own, ports, {}, Callers({}, data))
    data.release()
    return site


def test_only_known_stores_can_be_chosen() -> None:
    with pytest.raises(SettingsError, match="PERGOLA_GRAPH_STORE: 'mongo' is none of arcadedb, neo4j"):
        settings.load({"PERGOLA_GRAPH_STORE": "mongo"})
    assert settings.load({}).graph_store == "arcadedb"


def test_each_store_has_files_and_formats_of_its_own(tmp_path: Path) -> None:
    for kind in ("arcadedb", "neo4j", "arcadedb"):
        site = _site(tmp_path, kind)
        plan.check_formats(site.data, plan.make_components(site, ["graph-store"], lambda _part: {}))
    formats = site.data.formats()
    assert set(formats) == {"graph-store", "graph-store-neo4j"}
    assert formats["graph-store-neo4j"] == "Neo4j 5.26"


def test_older_files_are_taken_over_and_newer_ones_are_not(tmp_path: Path) -> None:
    component = Neo4j(_site(tmp_path, "neo4j"))
    assert component.reads("Neo4j 5.9")
    assert not component.reads("Neo4j 5.27")
    assert not component.reads("Neo4j 2025.1")
    assert not component.reads("ArcadeDB 26.10")


def test_it_has_no_port_for_administration(tmp_path: Path) -> None:
    site = _site(tmp_path, "neo4j")
    assert set(site.ports) == {"graph-store"}
    offered = Neo4j(site).offers("graph")
    assert "PERGOLA_GRAPH_STORE_ADMIN_URL" not in offered
    assert offered["PERGOLA_GRAPH_STORE_URL"] == f"bolt://{site.address('graph-store')}"
    assert Neo4j(site).offers("chat") == {}


@pytest.mark.parametrize("kind", settings.GRAPH_STORES)
def test_its_java_gets_the_options_that_were_given(tmp_path: Path, kind: str) -> None:
    site = _site(tmp_path, kind, PERGOLA_GRAPH_STORE_JAVA_OPTIONS=" -Xss2m  -Da=b ")
    component = plan.make_components(site, ["graph-store"], lambda _part: {})["graph-store"]
    component.prepare()
    lines = (site.data.run / "graph-store.args").read_text().splitlines()
    assert lines.index('"-Xss2m"') + 1 == lines.index('"-Da=b"') < lines.index('"-cp"')


def test_without_a_jdk_what_to_install_is_said(tmp_path: Path) -> None:
    jre = tmp_path / "java"
    jre.write_text("#!/bin/sh\necho java.base@21.0.1\n")
    jre.chmod(0o755)
    for chosen, environ in ((None, {"PATH": str(tmp_path / "none")}), (jre, {}), (None, {"JAVA_HOME": "/nowhere"})):
        with pytest.raises(PartFailed, match=r"needs a JDK, 17 or newer.*Install one: .*openjdk.*17"):
            jars.java(chosen, {"PATH": "", **environ})
    jre.write_text("#!/bin/sh\necho java.base@11.0.1\necho jdk.compiler@11.0.1\n")
    assert "needs a JDK" in (jars.missing(jre, {"PATH": ""}) or "")


def test_without_maven_what_to_install_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jdk = tmp_path / "java"
    jdk.write_text("#!/bin/sh\necho java.base@17.0.1\necho jdk.compiler@17.0.1\n")
    jdk.chmod(0o755)
    assert jars.java(jdk, {}) == jdk
    monkeypatch.setattr(jars, "PLACE", tmp_path / "not-there")
    assert "no `mvn` was found. Install it: " in (jars.missing(jdk, {"PATH": ""}) or "")
    monkeypatch.setattr(jars, "PLACE", tmp_path)
    assert jars.missing(jdk, {"PATH": ""}) is None


def test_jars_that_are_not_the_pinned_ones_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text(
        '#!/bin/sh\nfor a; do case "$a" in -DoutputDirectory=*) d="${a#*=}";; esac; done\n'
        '/bin/mkdir -p "$d"; echo evil > "$d/neo4j.jar"\n'
    )
    maven.chmod(0o755)
    monkeypatch.setattr(jars, "PLACE", tmp_path / "build" / "jars")
    with pytest.raises(PartFailed, match="are not those that were pinned"):
        jars.fetch({"PATH": str(maven.parent)})
    assert not jars.PLACE.exists()
    maven.write_text("#!/bin/sh\necho '[ERROR] no such host'\nexit 1\n")
    with pytest.raises(PartFailed, match=r"could not fetch Neo4j.*\n    .ERROR. no such host"):
        jars.fetch({"PATH": str(maven.parent)})


def test_the_pom_and_the_docs_name_the_same_version() -> None:
    assert re.search(r"<version>([\d.]+)</version>", jars.POM.read_text())[1] == jars.VERSION  # type: ignore[index]
    page = (settings.CHECKOUT / "docs" / "dependencies.md").read_text()
    assert f"Neo4j Community {jars.VERSION}" in page
