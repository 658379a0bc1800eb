"""Settings: one frozen class a service, read from the environment, refused all at once when wrong.

The field `foo_bar` of the service `vector` comes from PERGOLA_VECTOR_FOO_BAR, else from PERGOLA_FOO_BAR, else from its
default. A `Secret` may also stand in a file: PERGOLA_VECTOR_FOO_BAR_FILE. Lists are separated by commas, mappings and
structs are JSON. An empty variable counts as unset.
"""

import difflib
import enum
import ipaddress
import os
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, Union

import msgspec
from msgspec import Meta

S = TypeVar("S", bound="Settings")


class SettingsError(Exception):
    """The settings can't be used. The message lists every problem by variable and reason, and no secret."""


class Secret:
    """A string that does not show itself: not in logs, not in reprs, not in errors."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> typing.NoReturn:
        raise TypeError("a Secret is not serialized")


_HOST_PORT: Final = r"(\[[0-9a-fA-F:]+\]|[^:,\s/]+):[0-9]{1,5}"
Address = Annotated[str, Meta(pattern=f"^{_HOST_PORT}$", examples=["127.0.0.1:50051"])]
Addresses = Annotated[
    str, Meta(pattern=f"^{_HOST_PORT}(,{_HOST_PORT})*$", examples=["127.0.0.1:50051", "10.0.0.1:50051,10.0.0.2:50051"])
]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What `load` fills: the root of ServiceSettings, and of the settings of processes that serve no gRPC."""

    def problems(self) -> list[str]:
        """What is wrong with the fields together, one sentence each, beginning with the field."""
        return []


class ServiceSettings(Settings, frozen=True, kw_only=True):
    """What every service has. A service's own class adds fields to these."""

    listen: Annotated[Address, Meta(description="host:port of the gRPC listener; port 0 takes a free one.")] = (
        "127.0.0.1:0"
    )
    metrics_listen: Annotated[
        Address | None, Meta(description="host:port where Prometheus reads /metrics; unset: no such listener.")
    ] = None
    callers_file: Annotated[
        Path | None,
        Meta(description="JSON file that lists who may call (docs/runtime.md). Unset: everyone, on loopback only."),
    ] = None
    service_key: Annotated[Secret | None, Meta(description="This service's own key, sent to the other services.")] = (
        None
    )
    unary_deadline_seconds: Annotated[
        float, Meta(gt=0, description="Seconds given to a unary call that brings no deadline.")
    ] = 30.0
    stream_deadline_seconds: Annotated[
        float, Meta(gt=0, description="Seconds given to a streaming call that brings no deadline.")
    ] = 600.0
    drain_notice_seconds: Annotated[
        float,
        Meta(ge=0, description="Seconds between NOT_SERVING and the stop; longer than balancers need to see it."),
    ] = 4.0
    drain_seconds: Annotated[float, Meta(ge=0, description="Seconds that running calls get to finish at a stop.")] = (
        20.0
    )
    max_message_bytes: Annotated[
        int, Meta(ge=4096, description="Largest gRPC message, in bytes, received or sent.")
    ] = 32 * 1024 * 1024
    max_connection_age_seconds: Annotated[
        float,
        Meta(gt=0, description="Seconds after which a client is asked to connect anew, and so finds new replicas."),
    ] = 300.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="From `warning` on, calls that went well are not logged."),
    ] = "info"
    tls_certificate_file: Annotated[
        Path | None, Meta(description="PEM chain of the gRPC listener, also shown to peers. Unset: plain text.")
    ] = None
    tls_key_file: Annotated[Path | None, Meta(description="PEM private key of tls_certificate_file.")] = None
    tls_client_ca_file: Annotated[
        Path | None, Meta(description="PEM of the CA whose client certificates are required (mutual TLS).")
    ] = None
    tls_peer_ca_file: Annotated[
        Path | None, Meta(description="PEM of the CA that signs the other services; set: they are called over TLS.")
    ] = None
    tls_peer_name: Annotated[
        str | None, Meta(description="Name expected in a peer's certificate, if it is not the host of its address.")
    ] = None
    otlp_endpoint: Annotated[
        str | None, Meta(description="http(s)://host:port of an OpenTelemetry collector (gRPC). Unset: no spans.")
    ] = None
    trace_sample_ratio: Annotated[
        float, Meta(ge=0, le=1, description="Share of the traces begun here that are recorded.")
    ] = 1.0
    cache_address: Annotated[
        Addresses | None, Meta(description="host:port of the cache service; commas: replicas.")
    ] = None
    vector_address: Annotated[
        Addresses | None, Meta(description="host:port of the vector service; commas: replicas.")
    ] = None
    graph_address: Annotated[
        Addresses | None, Meta(description="host:port of the graph service; commas: replicas.")
    ] = None
    chat_address: Annotated[Addresses | None, Meta(description="host:port of the chat service; commas: replicas.")] = (
        None
    )

    def problems(self) -> list[str]:
        """What is wrong with the fields together. A subclass extends it: `return [*super().problems(), …]`."""
        found = []
        if self.callers_file is None:
            for name, value in (("listen", self.listen), ("metrics_listen", self.metrics_listen)):
                if value is not None and not is_loopback(value):
                    found.append(f"{name}: only a loopback address is allowed without callers_file")
        if self.tls_certificate_file is not None and self.tls_key_file is None:
            found.append("tls_certificate_file: needs tls_key_file")
        if self.tls_key_file is not None and self.tls_certificate_file is None:
            found.append("tls_key_file: needs tls_certificate_file")
        if self.tls_client_ca_file is not None and self.tls_certificate_file is None:
            found.append("tls_client_ca_file: needs tls_certificate_file and tls_key_file")
        if self.tls_peer_name is not None and self.tls_peer_ca_file is None:
            found.append("tls_peer_name: needs tls_peer_ca_file")
        return found


def is_loopback(address: str) -> bool:
    """Whether `host:port` can be reached from this machine only."""
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load(cls: type[S], service: str, environ: Mapping[str, str] = os.environ) -> S:
    """Read the settings of `service` from `environ`.

    Raises:
        SettingsError: with every variable that is unknown, missing or wrong, and why.
    """
    hints = typing.get_type_hints(cls, include_extras=True)
    values: dict[str, Any] = {}
    wrong: list[str] = []
    known: set[str] = set()
    said_in: dict[str, str] = {}
    for field in msgspec.structs.fields(cls):
        kind = hints[field.name]
        names = variables(service, field.name, kind)
        known.update(names)
        name = next((name for name in names if environ.get(name)), None)
        said_in[field.name] = name or names[0]
        if name is None:
            if field.required:
                wrong.append(f"{names[0]}: is required")
            continue
        try:
            values[field.name] = _convert(environ[name], kind, from_file=is_secret(kind) and name in names[1::2])
        except (msgspec.MsgspecError, ValueError, OSError) as error:
            wrong.append(f"{name}: {_reason(error, kind)}")
    wrong.extend(_unknown(service, environ, known))
    if not wrong:
        settings = cls(**values)
        for problem in settings.problems():
            name, colon, reason = problem.partition(":")
            wrong.append(f"{said_in.get(name, name)}{colon}{reason}")
        if not wrong:
            return settings
    raise SettingsError(f"the settings of the {service} service can't be used:\n  " + "\n  ".join(wrong))


def variables(service: str, field: str, kind: Any) -> list[str]:
    """The environment variables of a field, the first that is set counts; of a Secret every second names a file."""
    names = [f"PERGOLA_{service.upper()}_{field.upper()}", f"PERGOLA_{field.upper()}"]
    return [name for base in names for name in (base, base + "_FILE")] if is_secret(kind) else names


def _unknown(service: str, environ: Mapping[str, str], known: set[str]) -> list[str]:
    own = f"PERGOLA_{service.upper()}_"
    found = []
    for name in sorted(environ):
        if name.startswith(own) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
            hint = f"; did you mean {near[0]}?" if near else ""
            found.append(f"{name}: the {service} service has no such setting{hint}")
    return found


def _convert(text: str, kind: Any, *, from_file: bool) -> Any:
    base = base_type(kind)
    if base is Secret:
        content = Path(text).read_text(encoding="utf-8").strip() if from_file else text
        if not content:
            raise ValueError("the file is empty")
        return Secret(content)
    raw: Any = text
    origin = typing.get_origin(base) or base
    if origin in _LISTS:
        raw = [item.strip() for item in text.split(",") if item.strip()]
    elif origin is dict or (isinstance(origin, type) and issubclass(origin, msgspec.Struct)):
        raw = msgspec.json.decode(text)
    return msgspec.convert(raw, kind, strict=False, dec_hook=_decode_other)


_LISTS: Final = (list, tuple, set, frozenset)


def _decode_other(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value).expanduser()
    raise NotImplementedError(f"settings of type {kind.__name__} can't be read from the environment")


def base_type(kind: Any) -> Any:
    """The type under `Annotated[…]` and `… | None`."""
    while True:
        origin = typing.get_origin(kind)
        if origin is Annotated:
            kind = typing.get_args(kind)[0]
        elif origin in (Union, types.UnionType):
            others = [arg for arg in typing.get_args(kind) if arg is not types.NoneType]
            if len(others) != 1:
                return kind
            kind = others[0]
        else:
            return kind


def is_secret(kind: Any) -> bool:
    return base_type(kind) is Secret


def _reason(error: Exception, kind: Any) -> str:
    """Why a value is refused, in words for whoever sets it; the value itself is left out."""
    if isinstance(error, OSError):
        return f"{error.filename} can't be read ({error.strerror})"
    base = base_type(kind)
    if typing.get_origin(base) is Literal:
        return "must be one of " + ", ".join(str(choice) for choice in typing.get_args(base))
    if isinstance(base, type) and issubclass(base, enum.Enum):
        return "must be one of " + ", ".join(str(choice.value) for choice in base)
    examples = [str(one) for meta in metas(kind) for one in meta.examples or ()]
    if "regex" in str(error) and examples:
        return "must look like " + " or ".join(examples)
    return str(error)


def metas(kind: Any) -> Iterator[Meta]:
    """Every `Meta` of an annotation, at any depth, the outermost first."""
    if typing.get_origin(kind) is Annotated:
        inner, *attached = typing.get_args(kind)
        yield from (meta for meta in attached if isinstance(meta, Meta))
        yield from metas(inner)
    elif typing.get_origin(kind) in (Union, types.UnionType):
        for arg in typing.get_args(kind):
            yield from metas(arg)
