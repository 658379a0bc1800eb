"""What the contracts say about every RPC, read from the descriptor set: a new RPC needs no route written by hand."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError

_PACKAGE = re.compile(r"pergola\.(\w+)\.v\d+")
_HTTP_BODY = ".google.api.HttpBody"
_VARIABLE = re.compile(r"\{[\w.]+(?:=([^{}]*))?\}")


class CatalogError(Exception):
    """The descriptor set cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class HttpBinding:
    """One `google.api.http` rule of an RPC."""

    verb: str
    """`GET`, `POST`, …"""
    template: str
    """The path as the contract writes it: `/api/collections/{collection}`."""
    raw: bool = False
    """Whether the body is a file as it is, whatever its type: a client stream of `google.api.HttpBody`."""
    unwrapped: str = ""
    """The one field of the response that is the JSON answer (`response_body`); empty: the whole response."""

    @property
    def pattern(self) -> str:
        """The template as a regular expression (RE2) over the whole path."""
        parts: list[str] = []
        position = 0
        for variable in _VARIABLE.finditer(self.template):
            parts.append(re.escape(self.template[position : variable.start()]))
            parts.append(_segments(variable.group(1) or "*"))
            position = variable.end()
        parts.append(re.escape(self.template[position:]))
        return "".join(parts)


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC of the contracts."""

    owner: str
    """The service process that answers: `chat`, `vector`, `graph` or `cache`."""
    service: str
    """Full name of the gRPC service."""
    name: str
    client_streaming: bool
    server_streaming: bool
    bindings: tuple[HttpBinding, ...]

    @property
    def full_name(self) -> str:
        """`pergola.vector.v1.JobService/GetJob`."""
        return f"{self.service}/{self.name}"

    @property
    def streaming(self) -> bool:
        """Whether either side streams."""
        return self.client_streaming or self.server_streaming

    @property
    def open_ended(self) -> bool:
        """Whether it lasts as long as the caller wants: feeds (`Watch…`), imports (`Import…`), conversations."""
        return (self.server_streaming and self.name.startswith("Watch")) or (
            self.client_streaming and (self.server_streaming or self.name.startswith("Import"))
        )


@dataclass(frozen=True, slots=True)
class Catalog:
    """All RPCs, and the descriptor set for Envoy's transcoder."""

    methods: tuple[Method, ...]
    """In the order of the files."""
    descriptors: bytes
    """The descriptor set, serialized, without the `response_body` rules that the transcoder refuses: it knows them for
    `google.api.HttpBody` alone. The gateway's own filter does the others (`HttpBinding.unwrapped`)."""


def read(path: Path) -> Catalog:
    """Reads the RPCs of the packages `pergola.*` in the descriptor set at `path`.

    Raises CatalogError when it cannot be read, holds none, or asks for an answer that cannot be made.
    """
    try:
        contracts = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes())
    except OSError as error:
        raise CatalogError(f"{path}: {error.strerror}; make it with `python -m local.stubs`") from error
    except DecodeError as error:
        raise CatalogError(f"{path} is not a descriptor set; make it again with `python -m local.stubs`") from error
    messages = {f".{file.package}.{message.name}": message for file in contracts.file for message in file.message_type}
    methods = tuple(method for file in contracts.file for method in _methods(file, messages))
    if not methods:
        raise CatalogError(f"{path} holds no service of Pergola; make it again with `python -m local.stubs`")
    return Catalog(methods, contracts.SerializeToString(deterministic=True))


_Messages = Mapping[str, descriptor_pb2.DescriptorProto]


def _methods(file: descriptor_pb2.FileDescriptorProto, messages: _Messages) -> Iterator[Method]:
    package = _PACKAGE.fullmatch(file.package)
    if package is None:
        return
    for service in file.service:
        for method in service.method:
            yield Method(
                owner=package.group(1),
                service=f"{file.package}.{service.name}",
                name=method.name,
                client_streaming=method.client_streaming,
                server_streaming=method.server_streaming,
                bindings=tuple(_bindings(method, messages)),
            )


def _bindings(method: descriptor_pb2.MethodDescriptorProto, messages: _Messages) -> Iterator[HttpBinding]:
    first = method.options.Extensions[annotations_pb2.http]
    for rule in (first, *first.additional_bindings):
        kind = rule.WhichOneof("pattern")
        if kind is None:
            continue
        unwrapped = _take_response_body(method, rule, messages)
        raw = _is_raw(method, rule, messages)
        if kind == "custom":
            yield HttpBinding(rule.custom.kind, rule.custom.path, raw, unwrapped)
        else:
            yield HttpBinding(kind.upper(), getattr(rule, kind), raw, unwrapped)


def _is_raw(method: descriptor_pb2.MethodDescriptorProto, rule: http_pb2.HttpRule, messages: _Messages) -> bool:
    if not method.client_streaming:
        return False
    fields = messages[method.input_type].field
    return any(field.name == rule.body and field.type_name == _HTTP_BODY for field in fields)


def _take_response_body(
    method: descriptor_pb2.MethodDescriptorProto, rule: http_pb2.HttpRule, messages: _Messages
) -> str:
    """Removes from `rule` the response body that Envoy can't make, and returns its field."""
    if not rule.response_body:
        return ""
    fields = messages[method.output_type].field
    field = next((field for field in fields if field.name == rule.response_body), None)
    if field is not None and field.type_name == _HTTP_BODY:
        return ""
    if method.server_streaming or field is None or len(fields) != 1 or not field.type_name:
        raise CatalogError(
            f"{method.name}: response_body works for HttpBody, and for the one field of a unary response, a message"
        )
    unwrapped: str = rule.response_body
    rule.ClearField("response_body")
    return unwrapped


def _segments(template: str) -> str:
    # `*` is one segment, `**` is the rest of the path; an empty rest would reach another RPC's path.
    return "/".join({"*": "[^/]+", "**": ".+"}.get(part) or re.escape(part) for part in template.split("/"))
