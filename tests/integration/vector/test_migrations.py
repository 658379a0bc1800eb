import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from pergola.vector.v1 import document_pb2, point_pb2, querying_pb2
from services.runtime.errors import FailedPrecondition, StoreUnavailable
from services.vector.stores import collections as collection_store
from services.vector.stores.database import migrate
from services.vector.stores.database.connections import Database
from services.vector.stores.points.terms import filling
from tests import bounds
from tests.stacks import Stores
from tests.support.vector import Vector, caller, database_of, vector_service


@pytest.fixture
async def database(stores: Stores) -> AsyncIterator[Database]:
    async with database_of(await stores.own_database()) as opened:
        yield opened


async def _applied(database: Database) -> list[tuple[int, str, str]]:
    async with database.owner_connection() as connection:
        rows = await connection.fetch("SELECT number, name, sha256 FROM pergola.migrations ORDER BY number")
    return [tuple(row) for row in rows]


async def test_replicas_that_start_together_migrate_once(database: Database) -> None:
    await asyncio.gather(*(migrate.migrate(database) for _ in range(6)))
    files = sorted(migrate.FOLDER.glob("*.sql"))
    assert await _applied(database) == [
        (int(file.name[:4]), file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files
    ]


async def test_a_file_that_was_changed_is_noticed(database: Database) -> None:
    await migrate.migrate(database)
    async with database.owner_connection() as connection:
        await connection.execute("UPDATE pergola.migrations SET sha256 = 'other' WHERE number = 1")
    with pytest.raises(FailedPrecondition, match="0001_catalogue"):
        await migrate.migrate(database)


async def test_an_older_program_leaves_a_newer_database_alone(database: Database) -> None:
    await migrate.migrate(database)
    async with database.owner_connection() as connection:
        await connection.execute(
            "INSERT INTO pergola.migrations (number, name, sha256) VALUES (9000, '9000_future.sql', 'x')"
        )
    with pytest.raises(FailedPrecondition, match="newer version"):
        await migrate.migrate(database)


async def test_a_migration_that_fails_leaves_nothing_behind(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "0001_half.sql").write_text("CREATE TABLE pergola.half (a int); SELECT 1 / 0;")
    monkeypatch.setattr(migrate, "FOLDER", tmp_path)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate.migrate(database)
    async with database.owner_connection() as connection:
        assert await connection.fetchval("SELECT to_regclass('pergola.half')") is None
    assert await _applied(database) == []


async def test_a_database_without_pgvector_says_so(stores: Stores) -> None:
    environ = await stores.own_database()
    name = environ["PERGOLA_VECTOR_POSTGRES_URL"].rpartition("/")[2]
    connection = await stores.postgres(name)
    await connection.execute("DROP EXTENSION vector")
    await connection.close()
    async with database_of(environ) as database:
        with pytest.raises(FailedPrecondition, match="CREATE EXTENSION vector"):
            await migrate.migrate(database)


async def test_a_wrong_password_is_no_outage_of_an_hour(stores: Stores, tmp_path: Path) -> None:
    environ = await stores.own_database()
    wrong = tmp_path / "password"
    wrong.write_text("not the password")
    with pytest.raises(StoreUnavailable, match="login") as caught:
        async with database_of(environ | {"PERGOLA_VECTOR_POSTGRES_OWNER_PASSWORD_FILE": str(wrong)}) as database:
            await migrate.migrate(database)
    assert "not the password" not in str(caught.value)


async def test_rights_follow_the_app_login(stores: Stores) -> None:
    environ = await stores.own_database()
    async with vector_service(environ):
        pass
    name = environ["PERGOLA_VECTOR_POSTGRES_URL"].rpartition("/")[2]
    connection = await stores.postgres(name)
    try:
        owned = await connection.fetchval(
            "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE r.rolname = $1",
            environ["PERGOLA_VECTOR_POSTGRES_APP_USER"],
        )
        bypasses = await connection.fetchval(
            "SELECT rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = $1",
            environ["PERGOLA_VECTOR_POSTGRES_APP_USER"],
        )
    finally:
        await connection.close()
    assert (owned, bypasses) == (0, False)


async def test_collections_of_before_take_pages_too(stores: Stores) -> None:
    environ = await stores.own_database()
    async with vector_service(environ) as address, caller(address) as vector:
        collection = await vector.create()
        await vector.ingest(collection, "Apples are red.")
    async with database_of(environ) as database, database.owner_connection() as connection:
        # As the tables were before the migration.
        table = await connection.fetchval("SELECT tablename FROM pg_tables WHERE tablename ~ '^c[0-9]+_point$'")
        await connection.execute(f'ALTER TABLE points."{table}" DROP page')
        await connection.execute(
            "DROP TABLE pergola.upload_parts, pergola.uploads CASCADE;"
            "ALTER TABLE pergola.job_documents DROP upload_id, DROP media_type, DROP bytes, DROP sha256;"
            "ALTER TABLE pergola.documents DROP deleted, DROP fresh;"
            "DELETE FROM pergola.migrations WHERE name LIKE '%_uploads.sql'"
        )
    async with vector_service(environ) as address, caller(address) as vector:
        job = await vector.ingest(collection, "Plums are blue.")
        assert job.status == "completed"
        found = await vector.query(collection, text="fruit")
        assert {one.point.chunk.text for one in found} == {"Apples are red.", "Plums are blue."}


async def test_phrases_are_found_in_what_was_stored_before_there_were_any(stores: Stores) -> None:
    environ = await stores.own_database()
    async with vector_service(environ) as address, caller(address) as vector:
        collection = await vector.create()
        text = "# Oil\n\nTrim the wick daily."
        document = document_pb2.Document(id="d", title="Old lamps", text=text, format="markdown")
        await vector.ingest(collection, document)
        await vector.points.UpsertPoints(
            point_pb2.UpsertPointsRequest(
                collection=collection, points=[point_pb2.NewPoint(id=f"p{n}", text=f"the wick {n}") for n in range(3)]
            )
        )
    async with database_of(environ) as database, database.owner_connection() as connection:
        # As the tables were before the migration.
        name = await connection.fetchval("SELECT tablename FROM pg_tables WHERE tablename ~ '^c[0-9]+_lexical$'")
        number = name[1 : -len("_lexical")]
        table = f"points.c{number}"
        for index in await connection.fetch(
            "SELECT indexname FROM pg_indexes WHERE schemaname = 'points' AND tablename = ANY($1::text[])"
            " AND (indexdef LIKE '%(word)' OR indexdef LIKE '%jsonb_path_ops%')",
            [f"c{number}_term", f"c{number}_point"],
        ):
            await connection.execute(f"DROP INDEX points.{index['indexname']}")
        await connection.execute(f"ALTER TABLE {table}_lexical DROP sequence")
        await connection.execute(
            "ALTER TABLE pergola.collections DROP language;"
            "DELETE FROM pergola.migrations WHERE name LIKE '%_search.sql'"
        )
    async with vector_service(environ) as address, caller(address) as vector, database_of(environ) as database:
        async with database.transaction("default") as session:
            found = await collection_store.find(session, collection)
        assert found is not None
        # Maintenance does the same at the start, and may hold the rows.
        async with asyncio.timeout(bounds.RECOVERY):
            while not await filling.fill(database, found):  # noqa: ASYNC110 - another process's rows
                await asyncio.sleep(0.05)
        for phrase, ids in (
            ("the wick", {"p0", "p1", "p2", "d"}),
            ("trim the wick", {"d"}),
            ("old lamps", {"d"}),
            ("wick the", set()),
        ):
            lexical = querying_pb2.LexicalOptions(phrases=[phrase])
            points = [one.point for one in await vector.query(collection, lexical=lexical)]
            assert {one.chunk.document or one.id for one in points} == ids
    async with database_of(environ) as database, database.owner_connection() as connection:
        indexes = await connection.fetch(
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'points' AND tablename = ANY($1::text[])",
            [f"c{number}_term", f"c{number}_point"],
        )
        assert sum("(word)" in one["indexdef"] or "jsonb_path_ops" in one["indexdef"] for one in indexes) == 2


async def test_points_of_before_are_scored_alike_with_and_without_outlines(stores: Stores) -> None:
    environ = await stores.own_database()
    texts = [f"lamp {'wick ' * (n % 5)} {'oil ' * (n % 7)} shelf {n}" for n in range(200)]

    async def answers(vector: Vector, collection: str) -> list[tuple[str, float]]:
        found = await vector.query(collection, text="wick oil lamp", mode="lexical", k=10)
        return [(one.point.id, one.score) for one in found]

    async with vector_service(environ) as address, caller(address) as vector:
        collection = await vector.create(dimension=2)
        await vector.points.UpsertPoints(
            point_pb2.UpsertPointsRequest(
                collection=collection,
                points=[
                    point_pb2.NewPoint(id=f"p{n:03}", text=text, vector=point_pb2.Vector(values=[1, 0]))
                    for n, text in enumerate(texts)
                ],
            )
        )
        expected = await answers(vector, collection)
    async with database_of(environ) as database, database.owner_connection() as connection:
        # As the tables were before the migration.
        table = await connection.fetchval("SELECT tablename FROM pg_tables WHERE tablename ~ '^c[0-9]+_lexical$'")
        await connection.execute(f"ALTER TABLE points.{table} DROP once, DROP again, DROP times")
        await connection.execute("DELETE FROM pergola.migrations WHERE name LIKE '%_outlines.sql'")
    async with vector_service(environ) as address, caller(address) as vector, database_of(environ) as database:
        assert await answers(vector, collection) == expected
        async with database.transaction("default") as session:
            found = await collection_store.find(session, collection)
        assert found is not None
        async with asyncio.timeout(bounds.RECOVERY):
            while not await filling.fill(database, found):  # noqa: ASYNC110 - another process's rows
                await asyncio.sleep(0.05)
        assert await answers(vector, collection) == expected
        async with database.owner_connection() as connection:
            # Some without: they may have any score, and are looked into.
            without = f"UPDATE points.{table} SET once = NULL, again = NULL, times = NULL WHERE n % 3 = 0"  # noqa: S608
            await connection.execute(without)
        assert await answers(vector, collection) == expected
