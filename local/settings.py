"""What the embedded stack itself reads from the environment.

These names are the stack's own and are not handed to the services, which refuse names they do not know.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.errors import SettingsError

CHECKOUT = Path(__file__).resolve().parents[1]

STORES = ("postgres", "redis-values", "redis-state", "graph-store")
SERVICES = ("cache", "vector", "graph", "chat")
PARTS = (*STORES, *SERVICES, "edge", "gateway")

PORTS = (
    *STORES,
    "graph-store-admin",
    *(name for service in SERVICES for name in (service, f"{service}-metrics")),
    "edge",
    "gateway",
)
DEFAULT_GATEWAY_PORT = 8080

# A part is not started when one of these tells where it runs already; the value then passes through to the services.
REPLACED_BY = {
    "postgres": "PERGOLA_VECTOR_POSTGRES_URL",
    "redis-values": "PERGOLA_REDIS_VALUES_URL",
    "redis-state": "PERGOLA_REDIS_STATE_URL",
    "graph-store": "PERGOLA_GRAPH_STORE_URL",
    **{service: f"PERGOLA_{service.upper()}_ADDRESS" for service in SERVICES},
}

# What must come along with a replacement, because the embedded stack then knows no password for it.
_COMPANIONS = {
    "PERGOLA_REDIS_VALUES_URL": ("PERGOLA_REDIS_STATE_URL",),
    "PERGOLA_REDIS_STATE_URL": ("PERGOLA_REDIS_VALUES_URL",),
    "PERGOLA_GRAPH_STORE_URL": ("PERGOLA_GRAPH_STORE_USER",),
    "PERGOLA_VECTOR_POSTGRES_URL": ("PERGOLA_VECTOR_POSTGRES_OWNER_USER", "PERGOLA_VECTOR_POSTGRES_APP_USER"),
}

# Names that belong to a part's process but that the stack decides, with what to set instead.
_DECIDED_HERE = {
    f"PERGOLA_{service.upper()}_{kind}LISTEN": f"PERGOLA_{service.upper()}_{kind.replace('_', '_')}PORT"
    for service in (*SERVICES, "edge", "gateway")
    for kind in (("", "METRICS_") if service in SERVICES else ("",))
}


def port_setting(name: str) -> str:
    """The variable that sets a port: graph-store-admin → PERGOLA_GRAPH_STORE_ADMIN_PORT."""
    return f"PERGOLA_{name.upper().replace('-', '_')}_PORT"


@dataclass(frozen=True)
class LocalSettings:
    """Settings of the embedded stack."""

    ports: Mapping[str, int] = field(default_factory=dict)
    """Ports that were set, by name; 0 means any free one. The others are free ones, the gateway's 8080."""

    data_dir: Path | None = None
    """PERGOLA_DATA_DIR: where everything is kept. Default: `.pergola/` in the checkout."""

    postgres_bin: Path | None = None
    """PERGOLA_POSTGRES_BIN: folder with another PostgreSQL's `initdb` and `postgres` (pgvector installed)."""

    postgres_user: str = ""
    """PERGOLA_POSTGRES_USER: when root starts the suite, the account PostgreSQL runs under (it refuses root).
    Default: `nobody` inside a user namespace, which needs no access to the data directory of its own."""

    redis_binary: Path | None = None
    """PERGOLA_REDIS_BINARY: another `valkey-server` or `redis-server`."""

    redis_values_mb: int = 256
    """PERGOLA_REDIS_VALUES_MB: memory of the evicting instance, in MiB."""

    redis_state_mb: int = 256
    """PERGOLA_REDIS_STATE_MB: memory of the instance that refuses writes when it is full, in MiB."""

    graph_store: str = "arcadedb"
    """PERGOLA_GRAPH_STORE: `arcadedb`, or `neo4j` (Community 5.26; a JDK and Maven are needed). Each has files of its
    own, so that the graph of the one is there again when it is chosen again."""

    graph_store_java: Path | None = None
    """PERGOLA_GRAPH_STORE_JAVA: another `java` (ArcadeDB: 21 or newer; Neo4j: a JDK, 17 or newer)."""

    graph_store_heap_mb: int = 512
    """PERGOLA_GRAPH_STORE_HEAP_MB: heap of the graph store, in MiB."""

    graph_store_java_options: tuple[str, ...] = ()
    """PERGOLA_GRAPH_STORE_JAVA_OPTIONS: more options for its Java, between spaces, after our own."""

    envoy_binary: Path | None = None
    """PERGOLA_ENVOY_BINARY: another `envoy` (1.40 or newer)."""


_PATHS = {
    "PERGOLA_DATA_DIR": "data_dir",
    "PERGOLA_POSTGRES_BIN": "postgres_bin",
    "PERGOLA_REDIS_BINARY": "redis_binary",
    "PERGOLA_GRAPH_STORE_JAVA": "graph_store_java",
    "PERGOLA_ENVOY_BINARY": "envoy_binary",
}
_MEGABYTES = {
    "PERGOLA_REDIS_VALUES_MB": "redis_values_mb",
    "PERGOLA_REDIS_STATE_MB": "redis_state_mb",
    "PERGOLA_GRAPH_STORE_HEAP_MB": "graph_store_heap_mb",
}
_PORT_NAMES = {port_setting(name): name for name in PORTS}
GRAPH_STORES = ("arcadedb", "neo4j")
_JAVA_OPTIONS = "PERGOLA_GRAPH_STORE_JAVA_OPTIONS"
OWN_NAMES = frozenset(
    {*_PATHS, *_MEGABYTES, *_PORT_NAMES, "PERGOLA_POSTGRES_USER", "PERGOLA_GRAPH_STORE", _JAVA_OPTIONS}
)


def load(environ: Mapping[str, str]) -> LocalSettings:
    """Reads the stack's own settings.

    Raises SettingsError that names every wrong one.
    """
    problems: list[str] = []
    values: dict[str, object] = {}
    ports: dict[str, int] = {}
    for name, text in environ.items():
        if name in _PATHS:
            path = Path(text).expanduser().absolute()
            if name != "PERGOLA_DATA_DIR" and not path.exists():
                problems.append(f"{name}: {path} does not exist")
            values[_PATHS[name]] = path
        elif name in _MEGABYTES:
            values[_MEGABYTES[name]] = _whole(name, text, 32, 1_048_576, problems)
        elif name in _PORT_NAMES:
            ports[_PORT_NAMES[name]] = _whole(name, text, 0, 65_535, problems)
        elif name == "PERGOLA_GRAPH_STORE":
            if text not in GRAPH_STORES:
                problems.append(f"{name}: {text!r} is none of {', '.join(GRAPH_STORES)}")
            values["graph_store"] = text
        elif name == _JAVA_OPTIONS:
            options = tuple(text.split())
            # Anything else would be taken for the program, or for a file of arguments.
            problems.extend(f"{name}: {one!r} is no option: it must begin with `-`" for one in options if one[0] != "-")
            values["graph_store_java_options"] = options
        elif name == "PERGOLA_POSTGRES_USER":
            values["postgres_user"] = text
        elif name in _DECIDED_HERE:
            problems.append(f"{name}: the embedded stack listens on 127.0.0.1 only; set {_DECIDED_HERE[name]}")
        elif re.fullmatch(r"PERGOLA_\w+_PORT", name):
            problems.append(f"{name}: no part has such a port; there are {', '.join(sorted(_PORT_NAMES))}")
    for name, companions in _COMPANIONS.items():
        missing = [other for other in companions if name in environ and other not in environ]
        if missing:
            problems.append(f"{name} needs {' and '.join(missing)} too")
    if problems:
        raise SettingsError("Settings that cannot be used:\n" + "\n".join(f"  {line}" for line in problems))
    return LocalSettings(ports=ports, **values)  # type: ignore[arg-type]


def data_directory(own: LocalSettings) -> Path:
    """Where `make run` keeps everything."""
    return own.data_dir or CHECKOUT / ".pergola"


def _whole(name: str, text: str, lowest: int, highest: int, problems: list[str]) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not lowest <= int(text) <= highest:
        problems.append(f"{name}: {text!r} is not a whole number from {lowest} to {highest}")
        return lowest
    return int(text)
