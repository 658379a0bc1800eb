"""What the protos say about their methods. Only descriptors are read here, never messages.

The stubs are imported by name: the runtime depends on no service's contract, it looks at whichever is there.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Final

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

SERVICES: Final = ("cache", "vector", "graph", "chat")


def methods_of(service: str) -> dict[str, MethodDescriptor]:
    """The methods of a gRPC service by name; empty when its descriptor is not loaded."""
    try:
        found: ServiceDescriptor = descriptor_pool.Default().FindServiceByName(service)
    except KeyError:
        return {}
    return dict(found.methods_by_name)


def no_side_effects(method: MethodDescriptor) -> bool:
    return bool(method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS)


def idempotent(method: MethodDescriptor) -> bool:
    """Whether a call may be repeated without harm."""
    return method.GetOptions().idempotency_level in (MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT)


def services_of(name: str) -> Iterator[ServiceDescriptor]:
    """The gRPC services of `pergola.<name>.v1`."""
    package = importlib.import_module(f"pergola.{name}.v1")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.endswith("_pb2"):
            stubs = importlib.import_module(f"{package.__name__}.{module.name}")
            yield from stubs.DESCRIPTOR.services_by_name.values()


def all_services() -> list[str]:
    """The full names of every Pergola gRPC service."""
    return sorted(service.full_name for name in SERVICES for service in services_of(name))
