"""Neo4j as part of the embedded stack: what it enforces, and what survives."""

import sys
from pathlib import Path

import pytest
from neo4j import READ_ACCESS, Driver, GraphDatabase
from neo4j.exceptions import AuthError, ClientError

from tests.stacks import Neo4jStores


def _driver(stores: Neo4jStores, password: str = "") -> Driver:
    environ = stores.environ("graph")
    assert "PERGOLA_GRAPH_STORE_ADMIN_URL" not in environ
    password = password or Path(environ["PERGOLA_GRAPH_STORE_PASSWORD_FILE"]).read_text()
    return GraphDatabase.driver(
        environ["PERGOLA_GRAPH_STORE_URL"], auth=(environ["PERGOLA_GRAPH_STORE_USER"], password)
    )


def test_what_was_committed_survives_a_kill(neo4j_stores: Neo4jStores) -> None:
    with _driver(neo4j_stores) as driver:
        driver.execute_query("CREATE (n:Kept {name: 'a'})")
    neo4j_stores.kill("graph-store")
    neo4j_stores.restart("graph-store")
    with _driver(neo4j_stores) as driver:
        records, _, _ = driver.execute_query("MATCH (n:Kept) WITH n, n.name AS name DELETE n RETURN name")
        assert [record["name"] for record in records] == ["a"]


def test_the_password_everybody_knows_is_refused(neo4j_stores: Neo4jStores) -> None:
    for password in ("neo4j", "wrong-password"):
        with pytest.raises(AuthError), _driver(neo4j_stores, password) as driver:
            driver.verify_connectivity()


@pytest.mark.parametrize(
    "source",
    ["file:///etc/passwd", "http://127.0.0.1:1/", "https://192.0.2.1/", "ftp://[::1]/", "http://169.254.169.254/"],
)
def test_load_csv_reads_no_file_and_no_address(neo4j_stores: Neo4jStores, source: str) -> None:
    with _driver(neo4j_stores) as driver, pytest.raises(ClientError, match="Cannot load from URL"):
        driver.execute_query("LOAD CSV FROM $f AS line RETURN line", f=source)


def test_sessions_that_read_can_not_write(neo4j_stores: Neo4jStores) -> None:
    with (
        _driver(neo4j_stores) as driver,
        driver.session(default_access_mode=READ_ACCESS) as session,
        pytest.raises(ClientError, match="read access mode"),
    ):
        session.run("CREATE (n:Evil)").consume()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_password_is_on_its_command_line(neo4j_stores: Neo4jStores) -> None:
    password = Path(neo4j_stores.environ("graph")["PERGOLA_GRAPH_STORE_PASSWORD_FILE"]).read_text()
    for member in neo4j_stores.neo4j.processes_of("graph-store"):
        assert password not in Path(f"/proc/{member.pid}/cmdline").read_text()
