"""From generated code to what the interceptor serves: which methods a servicer has, and how their messages are read."""

from typing import Any

import grpc
from google.protobuf.message import DecodeError

from services.runtime import contracts
from services.runtime.errors import InvalidArgument, PergolaError, Unimplemented, wire
from services.runtime.policy import DEFAULT_DEADLINE, Policy
from services.runtime.roles import Role
from services.runtime.server.active import FACES, Method
from services.runtime.server.validation import check
from services.runtime.settings import ServiceSettings
from services.runtime.telemetry.metrics import MethodStats


def describe(
    service: str, name: str, handler: Any, policy: Policy, settings: ServiceSettings, stats: MethodStats
) -> Method:
    """What is known of a method before any call: its policy, over the defaults of its proto and the settings."""
    role = policy.role
    if role is None:
        descriptor = contracts.methods_of(service).get(name)
        reads = descriptor is not None and contracts.no_side_effects(descriptor)
        role = Role.READER if reads else Role.WRITER
    deadline = policy.deadline
    if deadline == DEFAULT_DEADLINE:
        streams = handler.request_streaming or handler.response_streaming
        deadline = settings.stream_deadline_seconds if streams else settings.unary_deadline_seconds
    return Method(
        service=service,
        name=name,
        path=f"/{service}/{name}",
        role=role,
        deadline=deadline,
        policy=policy,
        parse=handler.request_deserializer,
        serialize=handler.response_serializer,
        stats=stats,
    )


def implemented(handler: Any) -> bool:
    """False for a method that the servicer has only from its generated base class."""
    inner = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    return not str(getattr(inner, "__module__", "")).endswith("_pb2_grpc")


class Registrar:
    """Stands in for the server in the generated `add_…_to_server`, and keeps what is registered."""

    def __init__(self) -> None:
        self.services: dict[str, dict[str, Any]] = {}

    def add_generic_rpc_handlers(self, _handlers: Any) -> None:
        """The same handlers once more, without their names."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        self.services[service] = handlers


class Requests:
    """The messages of a client stream, each parsed and validated as it is read."""

    __slots__ = ("_context", "_method")

    def __init__(self, method: Method, context: Any) -> None:
        self._method = method
        self._context = context

    def __aiter__(self) -> "Requests":
        return self

    async def __anext__(self) -> Any:
        raw = await self._context.read()
        if raw is grpc.aio.EOF:
            raise StopAsyncIteration
        return read(self._method, raw)


def read(method: Method, raw: bytes) -> Any:
    method.stats.received += 1
    try:
        request = method.parse(raw)
    except DecodeError:
        raise InvalidArgument(f"the request of {method.name} is not the message its contract names") from None
    policy = method.policy
    if policy.validate and not (policy.plain is not None and policy.plain(request)):
        check(request)
    return request


async def no_such_method(_requests: Any, context: Any) -> None:
    failure: PergolaError = Unimplemented("this service has no such method; its reflection lists those it has")
    headers = dict(context.invocation_metadata() or ())
    face = headers.get("x-pergola-face")
    await context.abort(
        failure.code,
        failure.message,
        wire.trailing(failure, headers.get("x-request-id", ""), face if face in FACES else "grpc"),
    )
