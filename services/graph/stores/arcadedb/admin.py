"""ArcadeDB's HTTP API: databases, groups, logins, and the queries that run."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from services.runtime import call
from services.runtime.errors import StoreUnavailable

log = logging.getLogger(__name__)

READERS: Final = "pergola-readers"
"""The group of the logins that raw Cypher runs under."""


class ArcadeDBAdmin:
    """Every method raises StoreUnavailable when the server does not answer or refuses the configured login."""

    def __init__(self, url: str, user: str, password: str, *, seconds: float) -> None:
        self._url = url.rstrip("/")
        self._headers = {"authorization": aiohttp.encode_basic_auth(user, password)}
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def version(self) -> str:
        """Name and release, without the build."""
        answer = await self._call("GET", "/api/v1/server?mode=basic")
        return f"ArcadeDB {answer.get('version', '')}".partition(" (")[0].strip()

    async def databases(self) -> list[str]:
        return [str(name) for name in (await self._command("list databases"))["result"]]

    async def create_database(self, name: str) -> None:
        """Does nothing when there is one of this name. `name` is one that `ArcadeDBStore` made."""
        answer = await self._command(f"create database {name}", tolerate="DatabaseAlreadyExistsException")
        if answer:
            log.info("made the database %s", name)

    async def make_readers(self, database: str, read_seconds: float) -> None:
        """The group that may read the records of this database, each statement for `read_seconds` at most."""
        wanted = {
            "access": [],
            "resultSetLimit": -1,
            "readTimeout": round(read_seconds * 1000),
            "types": {"*": {"access": ["readRecord"]}},
        }
        groups = await self._groups()
        if groups.get(database, {}).get("groups", {}).get(READERS) != wanted:
            await self._call("POST", "/api/v1/server/groups", {"database": database, "name": READERS, **wanted})

    async def makes_logins(self) -> bool:
        """Whether this server lets groups and logins be made by HTTP."""
        return bool(await self._call("GET", "/api/v1/server/groups", tolerate=""))

    async def make_reader(self, database: str, user: str, password: str) -> bool:
        """A login of that group; False when there is one of this name already."""
        body = {"name": user, "password": password, "databases": {database: [READERS]}}
        return bool(await self._call("POST", "/api/v1/server/users", body, tolerate="UserAlreadyExistsException"))

    async def replace_reader(self, database: str, user: str, password: str) -> None:
        """Gives an existing login this password and this group."""
        body = {"name": user, "password": password, "databases": {database: [READERS]}}
        await self._call("PUT", f"/api/v1/server/users?name={user}", body)

    async def end_query(self, mark: str) -> bool:
        """Asks the queries whose text holds `mark` to end; False when there are none (any more)."""
        running = (await self._command("list queries"))["result"]
        found = [query["id"] for query in running if mark in str(query.get("text", ""))]
        for query in found:
            await self._command(f"terminate query {query}", tolerate="")
        return bool(found)

    async def _groups(self) -> Mapping[str, Any]:
        answer = await self._call("GET", "/api/v1/server/groups")
        found: Mapping[str, Any] = answer["result"]["databases"]
        return found

    async def _command(self, command: str, tolerate: str | None = None) -> Mapping[str, Any]:
        return await self._call("POST", "/api/v1/server", {"command": command}, tolerate)

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, tolerate: str | None = None
    ) -> Mapping[str, Any]:
        """The answer; empty when it is an error whose exception's name ends with `tolerate`."""
        left = call.remaining()
        seconds = self._seconds if left is None else max(0.01, min(self._seconds, left))
        try:
            async with asyncio.timeout(seconds):
                try:
                    status, answer = await self._send(method, path, body)
                except aiohttp.ServerDisconnectedError:
                    # The server closes connections that were idle, now and then just when one is used again; all that
                    # is asked here may be asked twice.
                    status, answer = await self._send(method, path, body)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.warning("the graph store's HTTP API does not answer: %s", type(error).__name__)
            raise StoreUnavailable("the graph store does not answer now; try again") from error
        if status < 300:
            return answer
        exception = str(answer.get("exception", ""))
        if tolerate is not None and exception.endswith(tolerate):
            return {}
        log.error("the graph store's HTTP API answered %d (%s) to %s %s", status, exception, method, path.split("?")[0])
        raise StoreUnavailable("the graph store can't be administered now; try again")

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, Mapping[str, Any]]:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers, trust_env=False)
        async with self._session.request(method, self._url + path, json=body, allow_redirects=False) as response:
            answer: Mapping[str, Any] = await response.json(content_type=None)
            return response.status, answer
