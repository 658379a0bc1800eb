"""Values between the contract and the domain."""

import math
import re
from collections.abc import Iterator
from typing import Final

from google.protobuf import struct_pb2

from pergola.cache.v1 import cache_pb2
from services.cache.value import Kind, Value
from services.runtime.errors import Violation
from services.runtime.server.validation import invalid

_LIMIT: Final = 2.0**53
_MANY: Final = 20
"""As many violations as an answer carries."""

# A `number_value` on the wire is 0x11 and eight bytes, the last of them the sign and the upper exponent. This finds
# every number of 2^53 and beyond, and not-a-number, and now and then something harmless: then, and only then, the
# tree is walked, which is a hundred times slower.
_SUSPECT: Final = re.compile(rb"\x11.{6}[\x40-\xff][\x43\xc3]|\x11.{7}[\x44-\x7f\xc4-\xff]", re.DOTALL)


def value_from(value: cache_pb2.Value, path: str) -> Value:
    """The domain's value; `path` names the field in errors.

    Raises InvalidArgument for JSON with a number that JSON cannot hold, or that a double may have rounded.
    """
    kind = value.WhichOneof("kind")
    if kind == "text":
        return Value(Kind.TEXT, value.text.encode())
    if kind == "json":
        # Deterministic: the same JSON is the same bytes, whatever order a map had.
        content = value.json.SerializeToString(deterministic=True)
        if _SUSPECT.search(content):
            _check_numbers(value.json, f"{path}.json")
        return Value(Kind.JSON, content)
    return Value(Kind.DATA, value.data)


def value_to(value: Value) -> cache_pb2.Value:
    """The contract's value."""
    if value.kind is Kind.TEXT:
        return cache_pb2.Value(text=value.content.decode())
    if value.kind is Kind.JSON:
        return cache_pb2.Value(json=struct_pb2.Value.FromString(value.content))
    return cache_pb2.Value(data=value.content)


def _check_numbers(value: struct_pb2.Value, path: str) -> None:
    found: list[Violation] = []
    for where, number in _numbers(value, path):
        if not math.isfinite(number):
            found.append(Violation(where, "JSON has no such number; use null or text"))
        elif abs(number) >= _LIMIT:
            found.append(Violation(where, "integers of 2^53 and beyond lose digits in JSON; send them as text"))
        if len(found) == _MANY:
            break
    if found:
        raise invalid(found)


def _numbers(value: struct_pb2.Value, path: str) -> Iterator[tuple[str, float]]:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        yield path, value.number_value
    elif kind == "struct_value":
        for name, field in value.struct_value.fields.items():
            yield from _numbers(field, f"{path}.{name}")
    elif kind == "list_value":
        for index, item in enumerate(value.list_value.values):
            yield from _numbers(item, f"{path}[{index}]")
