"""The stores of the embedded stack: what they enforce, and what survives."""

import asyncio
import base64
import contextlib
import json
import sys
import urllib.request
from pathlib import Path

import asyncpg
import pytest
import redis
from neo4j import GraphDatabase
from neo4j.exceptions import AuthError, ClientError

from tests.stacks import Stores


def _secret(path: str) -> str:
    return Path(path).read_text()


async def _connect(environ: dict[str, str], login: str) -> "asyncpg.Connection[asyncpg.Record]":
    prefix = "PERGOLA_VECTOR_POSTGRES_"
    password = _secret(environ[f"{prefix}{login}_PASSWORD_FILE"])
    return await asyncpg.connect(environ[f"{prefix}URL"], user=environ[f"{prefix}{login}_USER"], password=password)


def _redis(environ: dict[str, str], which: str) -> "redis.Redis":
    password = _secret(environ["PERGOLA_REDIS_PASSWORD_FILE"])
    return redis.Redis.from_url(environ[f"PERGOLA_REDIS_{which}_URL"], password=password, decode_responses=True)


async def test_owner_migrates_and_app_owns_nothing(stores: Stores) -> None:
    environ = await stores.own_database("vector")
    owner = await _connect(environ, "OWNER")
    app = await _connect(environ, "APP")
    try:
        await owner.execute("CREATE TABLE t (v vector(3), s text)")
        await owner.execute("INSERT INTO t VALUES ('[1,2,3]', 'KRÅKØ')")
        assert await owner.fetchval("SELECT lower(s) FROM t") == "kråkø"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute("CREATE TABLE u (i int)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.fetch("SELECT * FROM t")
        assert not await app.fetchval("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
    finally:
        await owner.close()
        await app.close()


async def test_wrong_passwords_are_refused_by_every_store(stores: Stores) -> None:
    environ = stores.environ("vector") | stores.environ("graph")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(environ["PERGOLA_VECTOR_POSTGRES_URL"], user="pergola_vector_app", password="wrong")
    for which in ("VALUES", "STATE"):
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(environ[f"PERGOLA_REDIS_{which}_URL"]).ping()
    with (
        pytest.raises(AuthError),
        GraphDatabase.driver(environ["PERGOLA_GRAPH_STORE_URL"], auth=("root", "wrong")) as driver,
    ):
        driver.verify_connectivity()


def test_values_evict_and_state_refuses(stores: Stores) -> None:
    environ = stores.environ("cache")
    assert _redis(environ, "VALUES").config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lfu"}
    assert _redis(environ, "STATE").config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_state_survives_a_restart_and_values_do_not(stores: Stores) -> None:
    environ = stores.environ("cache")
    for which in ("VALUES", "STATE"):
        _redis(environ, which).set("survives", which)
    stores.restart("redis-state")
    stores.restart("redis-values")
    assert _redis(environ, "STATE").get("survives") == "STATE"
    assert _redis(environ, "VALUES").get("survives") is None


async def test_committed_rows_survive_a_killed_postgres(stores: Stores) -> None:
    environ = await stores.own_database("vector")
    owner = await _connect(environ, "OWNER")
    await owner.execute("CREATE TABLE kept (i int)")
    await owner.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
    stores.kill("postgres")
    with contextlib.suppress(asyncpg.PostgresError, OSError):
        await owner.close(timeout=1)
    stores.restart("postgres")
    owner = await _connect(environ, "OWNER")
    assert await owner.fetchval("SELECT count(*) FROM kept") == 1000
    await owner.close()


async def test_a_frozen_postgres_answers_again_when_released(stores: Stores) -> None:
    connection = await stores.postgres()
    with stores.frozen("postgres"):
        question = asyncio.ensure_future(connection.fetchval("SELECT 1"))
        _, waiting = await asyncio.wait({question}, timeout=0.5)
        assert waiting
    assert await question == 1
    await connection.close()


def test_graph_store_keeps_what_was_committed_and_reads_no_files(stores: Stores) -> None:
    environ = stores.environ("graph")
    auth = (environ["PERGOLA_GRAPH_STORE_USER"], _secret(environ["PERGOLA_GRAPH_STORE_PASSWORD_FILE"]))
    _create_database(environ, auth, "kept")
    with GraphDatabase.driver(environ["PERGOLA_GRAPH_STORE_URL"], auth=auth) as driver:
        driver.execute_query("CREATE (n:Kept {name: 'a'})", database_="kept")
    stores.kill("graph-store")
    stores.restart("graph-store")
    with GraphDatabase.driver(environ["PERGOLA_GRAPH_STORE_URL"], auth=auth) as driver:
        records, _, _ = driver.execute_query("MATCH (n:Kept) RETURN n.name AS name", database_="kept")
        assert [record["name"] for record in records] == ["a"]
        with pytest.raises(ClientError, match="Forbidden"):
            driver.execute_query("LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line", database_="kept")


def _create_database(environ: dict[str, str], auth: tuple[str, str], name: str) -> None:
    request = urllib.request.Request(
        environ["PERGOLA_GRAPH_STORE_ADMIN_URL"] + "/api/v1/server",
        json.dumps({"command": f"create database {name}"}).encode(),
        {
            "content-type": "application/json",
            "authorization": "Basic " + base64.b64encode(":".join(auth).encode()).decode(),
        },
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_password_is_on_a_command_line(stores: Stores) -> None:
    secrets = {path.read_text() for path in (stores.stack.data.root / "secrets").iterdir()}
    for part in stores.stack.parts:
        for member in stores.stack.processes_of(part):
            line = Path(f"/proc/{member.pid}/cmdline").read_text()
            assert not any(secret in line for secret in secrets)
