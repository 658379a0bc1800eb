"""Brings the database to this version's schema: numbered SQL files, each run once, in order."""

import hashlib
import re
from pathlib import Path
from typing import Final

import asyncpg

from services.runtime.errors import FailedPrecondition
from services.vector.stores.database.connections import Database
from services.vector.stores.database.pool import Raw

FOLDER: Final = Path(__file__).resolve().parents[2] / "migrations"
_LOCK: Final = 0x7065_7267_766D  # any number of our own; replicas that start together wait for each other on it
_NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_PGVECTOR: Final = (0, 8)


async def migrate(database: Database) -> None:
    """Runs what has not run yet, as the owner, and gives the app login its rights.

    Raises FailedPrecondition when the database was made by a newer version, by changed files, or lacks pgvector;
    StoreUnavailable when it does not answer.
    """
    async with database.owner_connection() as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        try:
            await _require_pgvector(connection)
            await connection.execute(
                "CREATE SCHEMA IF NOT EXISTS pergola;"
                "CREATE TABLE IF NOT EXISTS pergola.migrations ("
                " number int PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,"
                " applied timestamptz NOT NULL DEFAULT now())"
            )
            await _run(connection)
            await _grant(connection, database.app_user)
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def _run(connection: Raw) -> None:
    applied = {
        row["number"]: row for row in await connection.fetch("SELECT number, name, sha256 FROM pergola.migrations")
    }
    files = {}
    for path in sorted(FOLDER.iterdir()):
        if match := _NAME.fullmatch(path.name):
            files[int(match[1])] = path
    if unknown := sorted(applied.keys() - files.keys()):
        raise FailedPrecondition(
            f"The database was migrated to {applied[unknown[-1]]['name']} by a newer version of Pergola: run that one."
        )
    for number, path in files.items():
        sql = path.read_text("utf-8")
        digest = hashlib.sha256(sql.encode()).hexdigest()
        if number in applied:
            if applied[number]["sha256"] != digest:
                raise FailedPrecondition(f"{path.name} is not the file this database was migrated with.")
            continue
        async with connection.transaction():
            await connection.execute(sql)
            await connection.execute(
                "INSERT INTO pergola.migrations (number, name, sha256) VALUES ($1, $2, $3)", number, path.name, digest
            )


async def _require_pgvector(connection: Raw) -> None:
    version = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    if version is None:
        try:
            # pgvector marks itself as trusted, so that a database's owner may create it where it is installed.
            await connection.execute("CREATE EXTENSION vector")
        except asyncpg.PostgresError as error:
            raise FailedPrecondition(
                "The database lacks pgvector: run CREATE EXTENSION vector in it as a superuser."
            ) from error
        return
    if tuple(int(part) for part in version.split(".")[:2]) < _PGVECTOR:
        raise FailedPrecondition(f"pgvector {version} is too old, 0.8 or newer is needed.")


async def _grant(connection: Raw, app: str) -> None:
    """The app login works with rows and owns nothing. Granted at each start, since the login is a setting."""
    await connection.execute(
        f'GRANT USAGE ON SCHEMA pergola, points TO "{app}";'
        f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pergola TO "{app}";'
        f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA pergola TO "{app}";'
        f'REVOKE ALL ON pergola.migrations FROM "{app}";'
        f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA points TO "{app}";'
        f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA points TO "{app}"'
    )
