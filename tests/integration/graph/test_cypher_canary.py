"""LOAD CSV in every spelling, aimed at a file and a server of the test's own: neither is read, and both would tell."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc
import pytest_asyncio
from google.protobuf import struct_pb2

from tests.support.graph import GraphDoor

TOKEN: Final = "canary-4711"

SPELLINGS: Final = (
    "LOAD CSV FROM '{url}' AS line RETURN line",
    "LOAD CSV WITH HEADERS FROM '{url}' AS line RETURN line",
    'load csv with headers from "{url}" as line return line',
    "lOaD cSv FrOm '{url}' AS line RETURN line",
    "LOAD/*x*/CSV/*y*/FROM'{url}'AS line RETURN line",
    "LOAD // a comment\nCSV FROM '{url}' AS line RETURN line",
    "/* RETURN 1 */ LOAD CSV FROM '{url}' AS line RETURN line // RETURN 2",
    "LOAD\u00a0CSV FROM '{url}' AS line RETURN line",
    "LOAD\tCSV\r\nFROM\n'{url}' AS line RETURN line",
    "L\\u004fAD CSV FROM '{url}' AS line RETURN line",
    "LOAD CSV FROM '\\u{first}{rest}' AS line RETURN line",
    "LOAD CSV FROM '{upper}' AS line RETURN line",
    "LOAD CSV FROM '{head}' + '{tail}' AS line RETURN line",
    "LOAD CSV FROM $url AS line RETURN line",
    "LOAD CSV FROM $map.url AS line RETURN line",
    "WITH '{url}' AS f LOAD CSV FROM f AS line RETURN line",
    "UNWIND ['{url}'] AS f LOAD CSV FROM f AS line RETURN line",
    "WITH reverse('{backwards}') AS f LOAD CSV FROM f AS line RETURN line",
    "LOAD CSV FROM '{url}' AS line FIELDTERMINATOR ';' RETURN line",
    "CALL {{ LOAD CSV FROM '{url}' AS line RETURN line }} RETURN line",
    "CALL () {{ LOAD CSV FROM '{url}' AS line RETURN line }} RETURN line",
    "CALL {{ CALL {{ LOAD CSV FROM '{url}' AS line RETURN line }} RETURN line AS l }} RETURN l",
    "UNWIND [1] AS i CALL {{ WITH i LOAD CSV FROM '{url}' AS line RETURN line }} RETURN line",
    "UNWIND [1] AS i CALL {{ WITH i LOAD CSV FROM '{url}' AS line RETURN line }} IN TRANSACTIONS RETURN line",
    "RETURN collect {{ LOAD CSV FROM '{url}' AS line RETURN line }}",
    "RETURN exists {{ LOAD CSV FROM '{url}' AS line RETURN line }}",
    "RETURN count {{ LOAD CSV FROM '{url}' AS line RETURN line }}",
    "RETURN 1 AS line UNION ALL LOAD CSV FROM '{url}' AS line RETURN line",
    "OPTIONAL MATCH (n) WITH n LIMIT 1 LOAD CSV FROM '{url}' AS line RETURN line",
    "PROFILE LOAD CSV FROM '{url}' AS line RETURN line",
    "CYPHER runtime=slotted LOAD CSV FROM '{url}' AS line RETURN line",
    "USING PERIODIC COMMIT LOAD CSV FROM '{url}' AS line RETURN line",
    "LOAD CSV FROM '{url}' AS line WITH line WHERE false RETURN line",
    "CALL apoc.load.csv('{url}') YIELD line RETURN line",
    "CALL apoc.load.json('{url}') YIELD value RETURN value",
    "CALL apoc.load.xml('{url}') YIELD value RETURN value",
    "CALL apoc.cypher.run(\"LOAD CSV FROM '{url}' AS line RETURN line\", {{}}) YIELD value RETURN value",
    "CALL dbms.queryJmx('{url}')",
    "RETURN file('{url}')",
)


@dataclass
class Canary:
    """A file and a server that both hold the token; how often the server was asked."""

    path: Path
    port: int
    asked: list[bytes] = field(default_factory=list)

    @property
    def urls(self) -> list[str]:
        files = [str(self.path), f"file://{self.path}", f"file:{self.path}", f"file://localhost{self.path}"]
        files += [f"file:///..{self.path}", f"file:///%2e%2e{self.path}", f"FILE://{self.path}"]
        hosts = [f"http://{host}:{self.port}/canary.csv" for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]")]
        hosts += [f"http://2130706433:{self.port}/canary.csv", f"HTTP://127.0.0.1:{self.port}/canary.csv"]
        other = [f"https://127.0.0.1:{self.port}/a", f"ftp://127.0.0.1:{self.port}/a", f"jar:file:{self.path}!/a"]
        return [*files, *hosts, *other, f"jar:http://127.0.0.1:{self.port}/a.jar!/a", f"http://[::1]:{self.port}/a"]


@pytest_asyncio.fixture
async def canary(tmp_path: Path) -> AsyncIterator[Canary]:
    path = tmp_path / "canary.csv"
    path.write_text(f"{TOKEN},1\n{TOKEN},2\n")
    path.chmod(0o644)
    made = Canary(path, 0)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.asked.append(await reader.read(1024))
        writer.write(f"HTTP/1.0 200 OK\r\ncontent-type: text/csv\r\n\r\n{TOKEN},1\n".encode())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


async def test_the_server_notices_whoever_asks(canary: Canary) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", canary.port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    assert TOKEN.encode() in await reader.read()
    writer.close()
    assert len(canary.asked) == 1


async def test_no_file_and_no_address_is_read(door: GraphDoor, canary: Canary) -> None:
    """Every spelling at a file and at a server; the plain one at every address there is."""
    aimed = [(spelling, url) for spelling in SPELLINGS for url in (f"file://{canary.path}", canary.urls[7])]
    for spelling, url in [*aimed, *((SPELLINGS[0], url) for url in canary.urls)]:
        statement = spelling.format(
            url=url,
            upper=url.upper(),
            head=url[:3],
            tail=url[3:],
            first=f"{ord(url[0]):04x}",
            rest=url[1:],
            backwards=url[::-1],
        )
        parameters = struct_pb2.Struct()
        parameters.update({"url": url, "map": {"url": url}})
        said = await everything_said(door, statement, parameters)
        assert TOKEN not in said, statement
        assert not canary.asked, statement


async def everything_said(door: GraphDoor, statement: str, parameters: struct_pb2.Struct) -> str:
    said: list[str] = []
    try:
        async for message in door.query(statement, parameters=parameters):
            said.append(str(message))  # noqa: PERF401 - what came before the error is kept
    except grpc.aio.AioRpcError as error:
        said += [error.details() or "", str(error.trailing_metadata())]
    else:
        # What is not refused reads nothing.
        assert "done" in said[-1], statement
    return "".join(said)
