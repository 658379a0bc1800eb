"""Neo4j Community in place of the embedded graph store: one database, spoken to over Bolt alone."""

import re
from pathlib import Path

from local.components import bolt
from local.components.component import Component, Launch, Site, plain_environ
from local.components.neo4j import jars
from local.system.datadir import replace_private
from local.system.ports import LOOPBACK

USER = "neo4j"

# In a file, not on the command line, which every account of the machine can read.
_ARGUMENTS = """\
-Xms64m
-Xmx{heap}m
-XX:+UseSerialGC
-XX:+ExitOnOutOfMemoryError
-XX:-UsePerfData
-XX:ErrorFile={directory}/logs/crash-%p.log
--add-opens=java.base/java.nio=ALL-UNNAMED
--add-opens=java.base/java.io=ALL-UNNAMED
--add-opens=java.base/sun.nio.ch=ALL-UNNAMED
--add-opens=java.base/java.util.concurrent=ALL-UNNAMED
--enable-native-access=ALL-UNNAMED
-Djava.awt.headless=true
-Djava.net.preferIPv4Stack=true
-Djava.io.tmpdir={directory}/tmp
-Djdk.nio.maxCachedBufferSize=1024
-Dio.netty.tryReflectionSetAccessible=true
-Dlog4j2.disable.jmx=true
-Dfile.encoding=UTF8
{options}-cp
{jars}/*
{start}
{directory}
{password_file}
"""

# No file and no address can be read by LOAD CSV; nothing is reported to anybody.
_CONFIGURATION = """\
# Written at every start.
server.config.strict_validation.enabled=true
server.bolt.enabled=true
server.bolt.listen_address={host}:{port}
server.bolt.advertised_address={host}:{port}
internal.dbms.bolt.netty_server_shutdown_quiet_period=0
server.http.enabled=false
server.https.enabled=false
server.default_listen_address={host}
dbms.security.auth_enabled=true
dbms.security.allow_csv_import_from_file_urls=false
internal.dbms.cypher_ip_blocklist=0.0.0.0/0,::/0
dbms.usage_report.enabled=false
client.allow_telemetry=false
server.memory.pagecache.size={page_cache}m
db.tx_log.preallocate=false
db.tx_log.rotation.size=64m
db.tx_log.rotation.retention_policy=2 files
"""


class Neo4j(Component):
    """One server with one database, which all tenants share."""

    name = "graph-store"
    port_names = ("graph-store",)
    stop_seconds = 60.0
    start_seconds = 120.0

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._directory = site.data.part(self.keeps_as)
        self._arguments = site.data.run / "graph-store.args"
        self._java = Path("java")

    @property
    def keeps_as(self) -> str:
        """Beside the files of the other store: neither is touched while the other one is used."""
        return "graph-store-neo4j"

    def format(self) -> str:
        return f"Neo4j {jars.VERSION.rpartition('.')[0]}"

    def reads(self, recorded: str) -> bool:
        """Newer versions take over the files of older ones, not the other way round."""
        kind, _, version = recorded.partition(" ")
        return kind == "Neo4j" and _numbers(version) <= _numbers(self.format().partition(" ")[2])

    def lacks(self) -> str | None:
        if jars.PLACE.exists():
            return None
        return f"fetching Neo4j {jars.VERSION} with Maven (116 MB, once a checkout) …"

    def obtain(self) -> None:
        self._java = jars.java(self.site.settings.graph_store_java, self.site.environ)
        jars.fetch(self.site.environ)

    def prepare(self) -> None:
        for folder in ("", "conf", "logs", "tmp"):
            (self._directory / folder).mkdir(exist_ok=True, mode=0o700)
        heap = self.site.settings.graph_store_heap_mb
        configuration = _CONFIGURATION.format(host=LOOPBACK, port=self.port, page_cache=max(32, heap // 4))
        replace_private(self._directory / "conf" / "neo4j.conf", configuration)
        text = _ARGUMENTS.format(
            heap=heap,
            directory=self._directory,
            options="".join(f"{one}\n" for one in self.site.settings.graph_store_java_options),
            jars=jars.PLACE,
            start=jars.START,
            password_file=self.site.data.secret_file("graph-store"),
        )
        lines = ('"' + line.replace("\\", "\\\\").replace('"', '\\"') + '"\n' for line in text.splitlines())
        replace_private(self._arguments, "".join(lines))

    def launch(self) -> Launch:
        return Launch([str(self._java), f"@{self._arguments}"], plain_environ(), self._directory)

    def ready(self) -> bool:
        return bolt.answers(self.port)

    def offers(self, service: str) -> dict[str, str]:
        if service != "graph":
            return {}
        return {
            "PERGOLA_GRAPH_STORE_URL": f"bolt://{self.address}",
            "PERGOLA_GRAPH_STORE_USER": USER,
            "PERGOLA_GRAPH_STORE_PASSWORD_FILE": str(self.site.data.secret_file("graph-store")),
        }


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
