"""The route table, made from the contracts: one route an RPC and path, with what the gate must know about it.

The order is the meaning: Envoy takes the first route that matches.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.catalog import HttpBinding, Method
from gateway.settings import GatewaySettings

REFLECTION = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
"""Answered by chat, which lists the services of all four."""


class RouteError(Exception):
    """The settings name an RPC that does not exist; the message says which."""


@dataclass(frozen=True, slots=True)
class Route:
    """One entry of the table."""

    name: str
    match: Mapping[str, Any]
    """Envoy's `RouteMatch`."""
    cluster: str
    gate: Mapping[str, Any]
    """What gate.lua reads: door, face, methods, answer, deadlines, body limit, any_body."""
    streaming: bool = False
    open_ended: bool = False
    transcoded: bool = False
    raw: bool = False
    """A file as its body, which is streamed: nothing in the gateway collects it."""
    upgrade: bool = False


@dataclass(frozen=True, slots=True)
class _Deadlines:
    settings: GatewaySettings

    def gate(self, method: Method) -> dict[str, Any]:
        """Default, limit and grace in milliseconds; nothing for what lasts as long as the caller wants."""
        settings = self.settings
        if method.open_ended and method.full_name not in settings.method_deadline_seconds:
            return {"deadline_grace_ms": _milliseconds(settings.deadline_grace_seconds)}
        default, limit = (
            (settings.stream_deadline_seconds, settings.stream_deadline_limit_seconds)
            if method.streaming
            else (settings.unary_deadline_seconds, settings.unary_deadline_limit_seconds)
        )
        default = settings.method_deadline_seconds.get(method.full_name, default)
        return {
            "deadline_ms": _milliseconds(default),
            "deadline_limit_ms": _milliseconds(max(default, limit)),
            "deadline_grace_ms": _milliseconds(settings.deadline_grace_seconds),
        }


def table(methods: Sequence[Method], settings: GatewaySettings) -> list[Route]:
    """All routes behind an accepted Host, in the order in which Envoy tries them.

    Raises RouteError when `method_deadline_seconds` names an RPC that the contracts do not have.
    """
    unknown = settings.method_deadline_seconds.keys() - {method.full_name for method in methods}
    if unknown:
        raise RouteError(
            f"PERGOLA_GATEWAY_METHOD_DEADLINE_SECONDS: no RPC is called {', '.join(sorted(unknown))}; names look like "
            f"{methods[0].full_name}"
        )
    deadlines = _Deadlines(settings)
    return [
        Route("/ws/chat", {"path": "/ws/chat"}, "edge", {"door": "websocket", "methods": "GET"}, upgrade=True),
        *(_grpc(method, deadlines) for method in methods),
        *_grpc_fallbacks(methods, settings),
        *(route for method in methods for route in _rest(method, deadlines, settings)),
        *_other_methods(methods),
        Route("unknown /v1", {"path_separated_prefix": "/v1"}, "nowhere", {"door": "openai", "answer": 404}),
        Route("unknown", {"prefix": "/"}, "nowhere", {"door": "api", "answer": 404}),
    ]


def services(methods: Iterable[Method]) -> list[str]:
    """Full names of the services that have a path under /api or /v1, for the transcoder."""
    return sorted({method.service for method in methods if method.bindings})


def _grpc(method: Method, deadlines: _Deadlines) -> Route:
    return Route(
        name=method.full_name,
        match={"path": f"/{method.full_name}"},
        cluster=method.owner,
        gate={"door": "grpc", "methods": "POST", **deadlines.gate(method)},
        streaming=method.streaming,
        open_ended=method.open_ended,
    )


def _grpc_fallbacks(methods: Sequence[Method], settings: GatewaySettings) -> Iterator[Route]:
    # A replica may be newer than this table: what its package has more, it answers itself.
    packages = {method.service.rpartition(".")[0]: method.owner for method in methods}
    grace = {"deadline_grace_ms": _milliseconds(settings.deadline_grace_seconds)}
    for package, owner in packages.items():
        yield Route(
            name=f"{package}.*",
            match={"prefix": f"/{package}."},
            cluster=owner,
            gate={
                "door": "grpc",
                "methods": "POST",
                "deadline_ms": _milliseconds(settings.unary_deadline_seconds),
                "deadline_limit_ms": _milliseconds(settings.stream_deadline_limit_seconds),
                **grace,
            },
        )
    for service in REFLECTION:
        yield Route(
            name=service,
            match={"prefix": f"/{service}/"},
            cluster="chat",
            gate={"door": "grpc", "methods": "POST", **grace},
            streaming=True,
            open_ended=True,
        )


def _rest(method: Method, deadlines: _Deadlines, settings: GatewaySettings) -> Iterator[Route]:
    for binding in method.bindings:
        face = _face(binding.template)
        yield Route(
            name=f"{binding.verb} {binding.template}",
            match={
                "safe_regex": {"regex": binding.pattern},
                # OPTIONS comes along because a preflight must find a route; the CORS filter answers it.
                "headers": [_verb_is(binding.verb, "OPTIONS")],
            },
            cluster=method.owner,
            gate={
                "door": face,
                "face": face,
                "methods": binding.verb,
                **_body_limit(method, binding, settings),
                **({"any_body": True} if binding.raw else {}),
                **({"unwrap": binding.unwrapped} if binding.unwrapped else {}),
                **deadlines.gate(method),
            },
            streaming=method.server_streaming,
            open_ended=method.open_ended,
            transcoded=True,
            raw=binding.raw,
        )


def _body_limit(method: Method, binding: HttpBinding, settings: GatewaySettings) -> dict[str, int]:
    if binding.raw and method.open_ended:
        # Nobody holds such a body: it is worked off as it comes.
        return {}
    return {"body_limit": settings.max_upload_bytes if binding.raw else settings.max_body_bytes}


def _other_methods(methods: Iterable[Method]) -> Iterator[Route]:
    """One route a path for the verbs it does not have: the answer is 405, not 404."""
    verbs: dict[str, list[str]] = defaultdict(list)
    templates: dict[str, str] = {}
    for method in methods:
        for binding in method.bindings:
            verbs[binding.pattern].append(binding.verb)
            templates[binding.pattern] = binding.template
    for pattern, taken in verbs.items():
        yield Route(
            name=f"other methods {templates[pattern]}",
            match={"safe_regex": {"regex": pattern}},
            cluster="nowhere",
            gate={
                "door": _face(templates[pattern]),
                "answer": 405,
                "methods": ", ".join(sorted(set(taken))),
            },
        )


def _face(template: str) -> str:
    return "openai" if template.startswith("/v1/") else "api"


def _verb_is(*verbs: str) -> dict[str, Any]:
    return {"name": ":method", "string_match": {"safe_regex": {"regex": "|".join(verbs)}}}


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
