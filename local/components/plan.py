"""What is decided before anything starts: which component stands for each part, on which ports, over which files."""

from collections.abc import Callable, Iterable, Mapping

from local import settings
from local.components.arcadedb import ArcadeDB
from local.components.component import Component, Site
from local.components.envoy import Envoy
from local.components.neo4j.component import Neo4j
from local.components.postgres import Postgres
from local.components.service import Edge, Service, Wiring
from local.components.valkey import ValkeyState, ValkeyValues
from local.errors import IncompatibleData, PortTaken
from local.system import ports as port_numbers
from local.system.datadir import DataDirectory

# Stores must be there when a service starts; the services find each other when they are called.
_NEEDS = {
    "cache": ("redis-values", "redis-state"),
    "vector": ("postgres", "redis-values", "redis-state"),
    "graph": ("graph-store", "redis-values", "redis-state"),
    "chat": ("redis-values", "redis-state"),
}

_ALONE: dict[str, Callable[[Site], Component]] = {
    "postgres": Postgres,
    "redis-values": ValkeyValues,
    "redis-state": ValkeyState,
}
_GRAPH_STORES: dict[str, type[Component]] = {"arcadedb": ArcadeDB, "neo4j": Neo4j}
_WIRED: dict[str, Callable[[Site, Wiring], Component]] = {"edge": Edge, "gateway": Envoy}

# Doors first, then callers before those they call, stores last and together.
STOP_ORDER = (("edge",), ("gateway",), ("chat",), ("graph",), ("vector",), ("cache",), settings.STORES)


def make_components(site: Site, parts: Iterable[str], wiring: Wiring) -> dict[str, Component]:
    """The components of `parts`, in an order in which those that are needed come first."""
    made: dict[str, Component] = {}
    for part in sorted(set(parts), key=settings.PARTS.index):
        if part in _ALONE:
            made[part] = _ALONE[part](site)
        elif part == "graph-store":
            made[part] = _GRAPH_STORES[site.settings.graph_store](site)
        elif part in _WIRED:
            made[part] = _WIRED[part](site, wiring)
        else:
            made[part] = Service(site, wiring, part, tuple(store for store in _NEEDS[part] if store in made))
    return made


def choose_ports(parts: Iterable[str], wanted: Mapping[str, int], graph_store: str = "arcadedb") -> dict[str, int]:
    """A port for every name that `parts` need: the one that is wanted, or a free one.

    Raises PortTaken when a wanted port is in use, or wanted twice.
    """
    chosen: dict[str, int] = {}
    here = set(parts)
    unused = {"graph-store", "graph-store-admin"}.difference(_GRAPH_STORES[graph_store].port_names)
    names = [
        name
        for name in settings.PORTS
        if name.removesuffix("-metrics").removesuffix("-admin") in here and name not in unused
    ]
    for name in names:
        port = wanted.get(name, 0)
        if port and port in chosen.values():
            raise PortTaken(f"Port {port} is set for two parts; change {settings.port_setting(name)}.")
        if port and port_numbers.is_taken(port):
            raise PortTaken(
                f"Port {port} on 127.0.0.1, which {name} would use, is taken by another program. "
                f"Stop that program, or choose another port: {settings.port_setting(name)}=…"
            )
        if port:
            chosen[name] = port
    for name in names:
        if name not in chosen:
            chosen[name] = port_numbers.choose(set(chosen.values()))
    return chosen


def check_formats(data: DataDirectory, components: Mapping[str, Component]) -> None:
    """Before any store is touched: what lies there can be read by what is installed. Then records what will write it.

    Raises IncompatibleData that names each store with both versions.
    """
    recorded = data.formats()
    kept = {component.keeps_as: component for component in components.values()}
    installed = {name: component.format() for name, component in kept.items()}
    wrong = [
        f"  {name}: written by {recorded[name]}, installed is {installed[name]}"
        for name, component in kept.items()
        if name in recorded and not component.reads(recorded[name])
    ]
    if wrong:
        stores = "\n".join(wrong)
        raise IncompatibleData(
            f"Stores in {data.root} were written by versions that the installed ones cannot take over:\n{stores}\n"
            "Nothing was touched. Export what you need with the version of Pergola that wrote them, "
            "or start anew with another PERGOLA_DATA_DIR."
        )
    for name, version in installed.items():
        if version is not None and recorded.get(name) != version:
            data.record_format(name, version)
