"""Which environment each part's process gets: the user's own settings, and where the other parts are."""

from collections.abc import Iterable, Mapping

from local.components.component import Component, Site
from local.settings import CHECKOUT, OWN_NAMES, REPLACED_BY, SERVICES

_NO_PROXY = "127.0.0.1,localhost,::1"


def user_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """What passes through to the parts: all but the stack's own settings, with loopback exempt from any proxy."""
    passed = {name: value for name, value in environ.items() if name not in OWN_NAMES}
    for name in ("no_proxy", "NO_PROXY"):
        passed[name] = ",".join(filter(None, (passed.get(name), _NO_PROXY)))
    return passed


def addresses(site: Site) -> dict[str, str]:
    """Variables that say where this stack's services listen, but for those that a setting replaces."""
    wanted = {service: f"PERGOLA_{service.upper()}_ADDRESS" for service in SERVICES}
    return {
        name: site.address(part) for part, name in wanted.items() if part in site.ports and name not in site.environ
    }


def part_environ(site: Site, part: str, stores: Iterable[Component]) -> dict[str, str]:
    """The whole environment of the process of `part`.

    stores: the parts that this stack starts and that offer themselves to services.
    """
    own: dict[str, str] = {}
    if part in SERVICES:
        prefix = f"PERGOLA_{part.upper()}"
        own[f"{prefix}_LISTEN"] = site.address(part)
        own[f"{prefix}_METRICS_LISTEN"] = site.address(f"{part}-metrics")
        own["PERGOLA_DRAIN_NOTICE_SECONDS"] = "0"  # the gateway is stopped first: nobody is left to be told
        own["PERGOLA_MODELS_DIR"] = str(site.data.models)
        if part == "graph":
            own["PERGOLA_GRAPH_INDEX_DIR"] = str(site.data.part("graph-index"))
        for store in stores:
            own |= store.offers(part)
    elif part == "edge":
        own["PERGOLA_EDGE_LISTEN"] = site.address("edge")
    elif part == "gateway":
        own["PERGOLA_EDGE_ADDRESS"] = site.address("edge")
    given = {name: value for name, value in own.items() if name not in site.environ}
    decided = {"PYTHONUNBUFFERED": "1", "PYTHONPATH": python_path(site), **site.callers.variables(part)}
    return {**site.environ, **addresses(site), **given, **decided}


def python_path(site: Site) -> str:
    """The checkout and the client's package, before whatever the user has."""
    inherited = site.environ.get("PYTHONPATH")
    return ":".join(filter(None, (str(CHECKOUT), str(CHECKOUT / "clients" / "python"), inherited)))


def replaced(environ: Mapping[str, str]) -> dict[str, str]:
    """Parts that a setting says run elsewhere, with the name of that setting."""
    return {part: name for part, name in REPLACED_BY.items() if environ.get(name)}
