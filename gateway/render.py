"""Writes Envoy's configuration: `python -m gateway.render --output FILE`.

Reads PERGOLA_GATEWAY_* and the addresses of the services; `--output -` writes to standard output. Exits with 2 and the
reasons when a setting cannot be used.
"""

import argparse
import base64
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jinja2

from gateway import addresses, catalog, replies, routes
from gateway.settings import SERVICES, GatewaySettings
from services.runtime.settings import SettingsError, load

_HERE: Final = Path(__file__).resolve().parent
_DESCRIPTORS: Final = _HERE.parent / "build" / "pergola.binpb"
_LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")
_LUA: Final = ("gate.lua", "answers.lua")
_ROUTE_LUA: Final = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute"
_FILTER_CONFIG: Final = "type.googleapis.com/envoy.config.route.v3.FilterConfig"


def render(settings: GatewaySettings) -> str:
    """Envoy's configuration as YAML.

    Raises CatalogError, RouteError or AddressError; each says what to do.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        undefined=jinja2.StrictUndefined,
        # Every expression of the template comes out as JSON: a value stays a value whatever is in it.
        finalize=json.dumps,
        autoescape=False,  # noqa: S701 - the output is YAML, not HTML
        keep_trailing_newline=True,
    )
    return environment.get_template("envoy.yaml.j2").render(_context(settings))


def _context(settings: GatewaySettings) -> dict[str, Any]:
    contracts = catalog.read(settings.descriptors or _DESCRIPTORS)
    listen = addresses.parse(settings.listen, any_port=True)
    metrics = settings.metrics_listen and addresses.parse(settings.metrics_listen, any_port=True)
    parts = [*SERVICES, "edge"]
    return {
        "admin_socket": settings.admin_socket,
        "bypass": _disabled("grpc_json_transcoder", "body_size_limit", "lua"),
        "descriptors": base64.b64encode(contracts.descriptors).decode(),
        "health_interval": _duration(settings.health_interval_seconds),
        "health_routes": _health_routes(parts),
        "hosts": [*_LOCAL_HOSTS, *settings.allowed_hosts],
        "idle_timeout": _duration(settings.idle_timeout_seconds),
        "listen": listen,
        "lua": "\n".join((_HERE / name).read_text(encoding="utf-8") for name in _LUA),
        "mappers": replies.mappers(),
        "max_body_bytes": settings.max_body_bytes,
        "max_connections": settings.max_connections,
        "max_heap_bytes": settings.max_heap_mb * 2**20,
        "max_response_bytes": settings.max_response_bytes,
        "max_streams": settings.max_streams,
        "metrics_listen": metrics,
        "origin_matchers": [{"exact": origin} for origin in settings.allowed_origins],
        "origins": list(settings.allowed_origins),
        "parts": parts,
        "routes": routes.table(contracts.methods, settings),
        "services": routes.services(contracts.methods),
        "tls": _listener_tls(settings),
        "upstreams": [_upstream(settings, part) for part in parts],
    }


def _upstream(settings: GatewaySettings, part: str) -> dict[str, Any]:
    found = addresses.parse_list(getattr(settings, f"{part}_address"))
    grpc = part in SERVICES
    return {
        "name": part,
        "addresses": found,
        "static": all(address.is_ip for address in found),
        "grpc": grpc,
        "tls": _upstream_tls(settings, found) if grpc else None,
    }


def _listener_tls(settings: GatewaySettings) -> dict[str, Any] | None:
    if settings.tls_certificate_file is None:
        return None
    return {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificates": _certificates(settings),
    }


def _upstream_tls(settings: GatewaySettings, found: Sequence[addresses.Address]) -> dict[str, Any] | None:
    if settings.tls_peer_ca_file is None:
        return None
    names = [settings.tls_peer_name] if settings.tls_peer_name else sorted({address.host for address in found})
    kinds = ("IP_ADDRESS" if addresses.Address(name, 1).is_ip else "DNS" for name in names)
    return {
        # One name for the whole cluster; addresses with several names are told apart by their certificates.
        "sni": names[0],
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "tls_certificates": _certificates(settings),
            "validation_context": {
                "trusted_ca": {"filename": str(settings.tls_peer_ca_file.resolve())},
                "match_typed_subject_alt_names": [
                    {"san_type": kind, "matcher": {"exact": name}} for kind, name in zip(kinds, names, strict=True)
                ],
            },
        },
    }


def _certificates(settings: GatewaySettings) -> list[dict[str, Any]]:
    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return []
    return [
        {
            "certificate_chain": {"filename": str(settings.tls_certificate_file.resolve())},
            "private_key": {"filename": str(settings.tls_key_file.resolve())},
        }
    ]


def _health_routes(parts: Sequence[str]) -> list[dict[str, Any]]:
    gates: dict[str, dict[str, Any]] = {"/healthz": {}, "/readyz": {"readiness": list(parts)}}
    return [
        {
            "name": path,
            "match": {"path": path},
            # The gate answers /readyz itself; what stands here is the answer of /healthz.
            "direct_response": {"status": 200, "body": {"inline_string": '{"status": "alive"}\n'}},
            "typed_per_filter_config": {
                **_disabled("grpc_json_transcoder", "body_size_limit"),
                "envoy.filters.http.lua": {"@type": _ROUTE_LUA, "filter_context": {"door": "health", **gate}},
            },
        }
        for path, gate in gates.items()
    ]


def _disabled(*filters: str) -> dict[str, Any]:
    return {f"envoy.filters.http.{name}": {"@type": _FILTER_CONFIG, "disabled": True} for name in filters}


def _duration(seconds: float) -> str:
    return f"{seconds:.3f}s"


def write(text: str, output: Path) -> None:
    """Writes in one move, so that Envoy never reads half a file."""
    handle, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(name).replace(output)


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m gateway.render", description="Writes Envoy's configuration.")
    parser.add_argument("--output", required=True, help="file to write; - for standard output")
    output = parser.parse_args(arguments).output
    try:
        text = render(load(GatewaySettings, "gateway", environ))
    except (SettingsError, catalog.CatalogError, routes.RouteError, addresses.AddressError) as error:
        print(error, file=sys.stderr)
        return 2
    if output == "-":
        sys.stdout.write(text)
    else:
        write(text, Path(output))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
