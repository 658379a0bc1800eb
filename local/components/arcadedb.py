"""The graph store: ArcadeDB with its own Java from the wheel, spoken to over Bolt, administered over HTTP."""

import http.client
import importlib.util
import re
from pathlib import Path

from local.components import bolt
from local.components.component import Component, Launch, Site, plain_environ
from local.errors import PartFailed
from local.system.datadir import replace_private
from local.system.ports import LOOPBACK

USER = "root"

# In a file, not on the command line, which every account of the machine can read.
_ARGUMENTS = """\
-Xms64m
-Xmx{heap}m
-XX:+UseSerialGC
-XX:+ExitOnOutOfMemoryError
-XX:-UsePerfData
-XX:ErrorFile={directory}/log/crash-%p.log
--add-modules=jdk.incubator.vector
--add-opens=java.base/java.util.concurrent.atomic=ALL-UNNAMED
--add-opens=java.base/java.nio.channels.spi=ALL-UNNAMED
--add-opens=java.base/java.lang=ALL-UNNAMED
--enable-native-access=ALL-UNNAMED
-Djava.awt.headless=true
-Djava.net.preferIPv4Stack=true
-Djava.io.tmpdir={directory}/tmp
-Dfile.encoding=UTF8
-Dpolyglot.engine.WarnInterpreterOnly=false
-Darcadedb.server.mode=production
-Darcadedb.server.rootPath={directory}
-Darcadedb.server.rootPasswordPath={password_file}
-Darcadedb.server.logsDirectory={directory}/log
-Darcadedb.server.httpIncomingHost={host}
-Darcadedb.server.httpIncomingPort={http_port}
-Darcadedb.server.plugins=Bolt:com.arcadedb.bolt.BoltProtocolPlugin
-Darcadedb.bolt.host={host}
-Darcadedb.bolt.port={bolt_port}
-Darcadedb.txWalFlush=2
-Darcadedb.opencypher.loadCsv.allowFileUrls=false
-Darcadedb.opencypher.loadCsv.allowRemoteUrls=false
{options}-cp
{jars}/*
com.arcadedb.server.ArcadeDBServer
"""


class ArcadeDB(Component):
    """One server; the graph service makes a database a tenant in it."""

    name = "graph-store"
    port_names = ("graph-store", "graph-store-admin")
    stop_seconds = 60.0

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._directory = site.data.part(self.name)
        self._arguments = site.data.run / "graph-store.args"

    def _package(self) -> Path:
        wheel = importlib.util.find_spec("arcadedb_embedded")
        if wheel is None or wheel.origin is None:
            raise PartFailed(self.name, "graph-store: the package arcadedb-embedded is not installed; run `make run`.")
        return Path(wheel.origin).parent

    def format(self) -> str:
        """The release; its maker promises no format across releases."""
        (engine,) = (self._package() / "jars").glob("arcadedb-engine-*.jar")
        found = re.fullmatch(r"arcadedb-engine-(\d+\.\d+)\..*", engine.stem)
        return f"ArcadeDB {found[1] if found else engine.stem}"

    def prepare(self) -> None:
        for folder in (self._directory, self._directory / "log", self._directory / "tmp"):
            folder.mkdir(exist_ok=True, mode=0o700)
        text = _ARGUMENTS.format(
            heap=self.site.settings.graph_store_heap_mb,
            directory=self._directory,
            options="".join(f"{one}\n" for one in self.site.settings.graph_store_java_options),
            password_file=self.site.data.secret_file("graph-store"),
            host=LOOPBACK,
            http_port=self.site.ports["graph-store-admin"],
            bolt_port=self.site.ports["graph-store"],
            jars=self._package() / "jars",
        )
        lines = ('"' + line.replace("\\", "\\\\").replace('"', '\\"') + '"\n' for line in text.splitlines())
        replace_private(self._arguments, "".join(lines))

    def launch(self) -> Launch:
        java = self.site.settings.graph_store_java or self._package() / "jre" / "bin" / "java"
        return Launch([str(java), f"@{self._arguments}"], plain_environ(), self._directory)

    def ready(self) -> bool:
        admin = http.client.HTTPConnection(LOOPBACK, self.site.ports["graph-store-admin"], timeout=2.0)
        try:
            admin.request("GET", "/api/v1/ready")
            if admin.getresponse().status != http.HTTPStatus.NO_CONTENT:
                return False
        except http.client.HTTPException:
            return False
        finally:
            admin.close()
        return bolt.answers(self.port)

    def offers(self, service: str) -> dict[str, str]:
        if service != "graph":
            return {}
        return {
            "PERGOLA_GRAPH_STORE_URL": f"bolt://{self.address}",
            "PERGOLA_GRAPH_STORE_ADMIN_URL": f"http://{self.site.address('graph-store-admin')}",
            "PERGOLA_GRAPH_STORE_USER": USER,
            "PERGOLA_GRAPH_STORE_PASSWORD_FILE": str(self.site.data.secret_file("graph-store")),
        }
